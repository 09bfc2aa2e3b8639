"""An ONNX graph written line by line: `Graph.add` makes a node and returns the name of its result; arrays become constants."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

__all__ = ["Graph"]

TYPES = {"float": TensorProto.FLOAT, "double": TensorProto.DOUBLE, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}
DTYPES: dict[Any, int] = {np.float32: 1, np.float64: 11, np.int64: 7, np.str_: 8}
PLAIN, LATEST, ML, IR = 17, 20, 3, 9  # opsets: the plain one, the first with RegexFullMatch, of ai.onnx.ml; IR version of the file
ML_OPS = {"LabelEncoder", "LinearClassifier", "OneHotEncoder"}


class Graph:
    """Nodes, constants, inputs and outputs, in the order they come."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []
        self.made: dict[Any, str] = {}  # what was added before, so that nothing is made or kept twice

    def input(self, name: str, dtype: Any, doc: str, width: int = 1) -> str:
        """A column (n, 1), or several (n, width)."""
        self.inputs.append(helper.make_tensor_value_info(name, DTYPES[dtype], ["n", width], doc))
        return name

    def add(self, op: str, *inputs: Any, **attributes: Any) -> str:
        """A node with one result. Arrays and numpy numbers among the inputs become constants; ``to`` may be a word."""
        if "to" in attributes:
            attributes["to"] = TYPES[attributes["to"]]
        read = [x if isinstance(x, str) else self.constant(x) for x in inputs]  # may add nodes of its own
        key = (op, *read, repr(attributes))
        if key in self.made:
            return self.made[key]
        self.made[key] = name = f"#{len(self.nodes)}"  # no column of a table is named so by accident: see `input_names`
        domain = "ai.onnx.ml" if op in ML_OPS else ""
        self.nodes.append(helper.make_node(op, read, [name], domain=domain, **attributes))
        return name

    def add_both(self, op: str, *inputs: Any, **attributes: Any) -> tuple[str, str]:
        """A node with two results."""
        first = self.add(op, *inputs, **attributes)
        second = f"{first}.1"
        next(node for node in self.nodes if node.output[0] == first).output[1:] = [second]
        return first, second

    def output(self, value: str, name: str, dtype: Any, shape: tuple[int, ...]) -> None:
        """Give a result its public name."""
        for node in self.nodes:
            node.output[:] = [name if x == value else x for x in node.output]
            node.input[:] = [name if x == value else x for x in node.input]
        self.outputs.append(helper.make_tensor_value_info(name, DTYPES[dtype], ["n", *shape]))

    def model(self, name: str, metadata: dict[str, str], doc: str) -> ModelProto:
        """The file."""
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.constants)
        plain = LATEST if any(node.op_type == "RegexFullMatch" for node in self.nodes) else PLAIN
        sets = [helper.make_opsetid("", plain), helper.make_opsetid("ai.onnx.ml", ML)]
        model = helper.make_model(graph, opset_imports=sets, ir_version=IR, producer_name="netloom", doc_string=doc)
        helper.set_model_props(model, metadata)
        return model

    def constant(self, value: Any) -> str:
        """An array of numbers, or one number of numpy's."""
        array = np.asarray(value)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.made:
            sparse = array.dtype.kind == "f" and 16 * np.count_nonzero(array) + 1000 < array.nbytes
            self.made[key] = self._scattered(array) if sparse else self._stored(array)
        return self.made[key]

    def _stored(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}#"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def _scattered(self, array: np.ndarray) -> str:
        """A constant that is mostly zeros, as its other numbers and their places: runtimes put it together once, as they load the file."""
        places = np.flatnonzero(array)
        zeros = self.add("ConstantOfShape", np.array([array.size]), value=numpy_helper.from_array(np.zeros(1, array.dtype)))
        at = self.add("Cast", places[:, None].astype(np.int32), to="int64")
        return self.add("Reshape", self.add("ScatterND", zeros, at, array.ravel()[places]), np.array(array.shape))
