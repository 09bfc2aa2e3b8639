"""One Python file without dependencies: `standalone.py`, with the numbers of a network in it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np

from netloom.export.describe import as_json, describe
from netloom.export.plan import Part, Plan, make_plan
from netloom.target.network import TargetNetwork
from netloom.target.weights import gathered, is_sparse

__all__ = ["to_python", "write"]

WIDTH = 120  # characters of a line of numbers


def to_python(network: TargetNetwork, module: str = "model") -> str:
    """The source text of a module that predicts as the network does, by the standard library alone.

    Parameters
    ----------
    network : what is exported
    module : the name it will be imported by, for its docstring
    """
    plan = make_plan(network)
    document = describe(network, plan) | {"plan": _numbers(plan)}
    text = (Path(__file__).parent / "standalone.py").read_text(encoding="utf-8").replace("MODULE", module)
    text = text.replace('MODEL = json.loads("{}")', f"MODEL = json.loads(\n{_wrapped(as_json(document))}\n)")
    blocks = [f"    {name!r}: ({rows}, {width},\n{_wrapped(data)}\n    ),\n" for name, (rows, width, data) in _matrices(plan).items()]
    head = f"# Made by netloom from a network of {', '.join(network.target_names)!r}. Data and plain arithmetic; edit what you like.\n"
    return head + text.replace("WEIGHTS: dict = {}", "WEIGHTS: dict = {\n" + "".join(blocks) + "}")


def write(network: TargetNetwork, name: str) -> bytes:
    """The file's content; ``name`` is that of the file."""
    return to_python(network, Path(name).stem).encode()


def _numbers(plan: Plan) -> dict[str, Any]:
    """What of the plan is small enough to be plain JSON, in full precision."""
    views = [{key: getattr(view, key).tolist() for key in VIEW} for view in plan.views]
    parts = [{"start": p.start, "stop": p.stop, "bias": p.bias.tolist(), "earlier": list(p.earlier)} for p in [*plan.layers, plan.readout]]
    bounds = [[slot.fill, slot.low, slot.high] for slot in plan.slots]
    return {"views": views, "parts": parts, "bounds": bounds, "flags": plan.flags, "offsets": plan.offsets.tolist()}


VIEW = ("slots", "centre", "scale", "ranked", "knots", "heights", "many", "thresholds")


def _matrices(plan: Plan) -> dict[str, tuple[int, int, str]]:
    found = {}
    for i, part in enumerate([*plan.layers, plan.readout]):
        weight = _onto_all(part)
        matrices = {"weight": weight, "codes": part.codes, "flags": part.flags}
        if is_sparse(weight):  # rules: per neuron its inputs and their weights
            matrices["inputs"], matrices["weight"] = gathered(weight)
        for name, matrix in matrices.items():
            if name in ("codes", "flags") and not matrix.any():
                continue
            data = base64.b64encode(np.ascontiguousarray(matrix, dtype="<f4").tobytes()).decode()
            found[f"{i}.{name}"] = (len(matrix), matrix.shape[1], data)
    return found


def _onto_all(part: Part) -> np.ndarray:
    """A row per neuron: onto the features, then onto earlier neurons."""
    return np.concatenate([part.weight, part.onto]).T


def _wrapped(text: str) -> str:
    """A long text as a Python expression of short lines."""
    return "\n".join(f"        {text[i : i + WIDTH]!r}" for i in range(0, max(len(text), 1), WIDTH))
