"""The ONNX graph takes the table as it is and predicts as the network does, in a process that has onnxruntime and nothing else."""

import copy
import datetime
import json

import numpy as np
import pytest

from netloom.export import export
from netloom.export.fuse import fuse
from netloom.export.plan import make_plan
from netloom.export.rules import take_out

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
to_onnx = pytest.importorskip("netloom.export.onnx").to_onnx
worth_a_matrix = pytest.importorskip("netloom.export.onnx_values").worth_a_matrix

ALONE = """
import glob, pickle, numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
for path in sorted(glob.glob("case*.onnx")):
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = np.load(path[:-5] + ".npz", allow_pickle=True)
    feeds = {one.name: feeds[f"f{i}"] for i, one in enumerate(session.get_inputs())}
    answers = dict(zip([one.name for one in session.get_outputs()], session.run(None, feeds)))
    answers = {k: v.astype(str) if v.dtype == object else v for k, v in answers.items()}
    one_by_one = [session.run(None, {name: value[i : i + 1] for name, value in feeds.items()})[-1] for i in range(5)]
    np.savez(path[:-5] + ".out.npz", alone=np.concatenate(one_by_one), **answers)
assert "onnx" not in sys.modules and "torch" not in sys.modules
"""
EPOCH = datetime.datetime(1970, 1, 1)


def fed(model, case):
    """What the metadata says a user must feed, from plain Python values; column by column (n, 1)."""
    document = json.loads({entry.key: entry.value for entry in model.metadata_props}["netloom"])
    feeds = {}
    for entry in document["inputs"]:
        values = [row[entry["column"]] for row in case.rows]
        if entry["type"] == "double":
            column = np.array([number(value) for value in values])
        elif entry["type"] == "int64":
            column = np.array([entry["missing"] if value is None else microseconds(value, entry["zone"]) for value in values])
        else:
            column = np.array([entry["missing"] if value is None else str(value) for value in values], dtype=object)
        feeds[entry["name"]] = column[:, None]
    if "input" in document["inputs"][0]:  # grouped: the columns of a kind side by side
        groups = {}
        for entry in document["inputs"]:
            groups.setdefault(entry["input"], []).append(feeds[entry["name"]])
        return {name: np.concatenate(columns, axis=1) for name, columns in groups.items()}
    return feeds


def number(value):
    if value is None:
        return np.nan
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return {"true": 1.0}.get(value, value) if isinstance(value, str) else float(value)


def microseconds(value, zone):
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    return (value.replace(tzinfo=None) - EPOCH) // datetime.timedelta(microseconds=1)


def without_empty(case):
    """An empty text is what says missing to ONNX: the rows, with None instead."""
    for row in case.rows:
        row[:] = [None if value == "" else value for value in row]
    return case


@pytest.mark.parametrize("grouped", [False, True], ids=["columns", "grouped"])
def test_every_table_is_predicted_by_onnxruntime_alone(all_cases, elsewhere, agrees, tmp_path, grouped):
    for name, case in all_cases.items():
        without_empty(case)
        if grouped:
            onnx.save(to_onnx(case.network, grouped=True), tmp_path / f"{name}.onnx")
        else:
            export(case.network, tmp_path / f"{name}.onnx")
        feeds = fed(onnx.load(tmp_path / f"{name}.onnx"), case)
        np.savez(tmp_path / f"{name}.npz", **{f"f{i}": column for i, column in enumerate(feeds.values())})
    elsewhere(ALONE, tmp_path)
    for name, case in all_cases.items():
        found = np.load(tmp_path / f"{name}.out.npz")
        if case.network.classes is None:
            agrees(found["values"], case)
        else:
            agrees(found["chances"], case)
            expected = case.network.classes[case.expected().argmax(1)]
            assert [str(label) for label in found["label"]] == [str(label) for label in expected.tolist()]
        last = found["values" if case.network.classes is None else "chances"][:5]
        np.testing.assert_allclose(found["alone"], last, rtol=1e-5, atol=1e-6)  # a row does not depend on those beside it


@pytest.mark.parametrize("name", ["everything, 2 classes", "everything, value"])
def test_a_file_holds_no_zeros_that_its_reader_can_put_there(make, agrees, name):
    case = without_empty(make(name))
    model = to_onnx(case.network)
    for constant in model.graph.initializer:
        numbers = onnx.numpy_helper.to_array(constant)
        if numbers.dtype.kind == "f":
            assert 16 * np.count_nonzero(numbers) + 1000 >= numbers.nbytes, f"{numbers.shape} of {np.count_nonzero(numbers)} numbers"
    assert sum(node.op_type == "ScatterND" for node in model.graph.node) >= 1
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):  # put together at every call, or once
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        agrees(session.run(None, fed(model, case))[-1], case)


@pytest.mark.parametrize("grouped", [False, True], ids=["columns", "grouped"])
@pytest.mark.parametrize("name", ["levels", "levels of one word list", "everything, 7 classes", "wide"])
def test_very_many_levels_are_looked_up(monkeypatch, make, agrees, name, grouped):
    monkeypatch.setattr("netloom.export.onnx_columns.INDICATORS", 0)
    monkeypatch.setattr("netloom.export.rules.WORTH", 0)
    case = without_empty(copy.deepcopy(make(name)))
    model = to_onnx(case.network, grouped=grouped)
    operations = {node.op_type for node in model.graph.node}
    assert "LabelEncoder" in operations and "OneHotEncoder" not in operations
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    agrees(session.run(None, fed(model, case))[-1], case)


ENDS = [np.nan, np.inf, -np.inf, 1e29, -1e29, 1e31, -1e31, 1e300, -1e300, 1.7e308, -1.7e308, 5e-324, 0.0]


@pytest.mark.parametrize("name", ["numbers, 2 classes", "numbers with missing, value", "12 classes"])
@pytest.mark.parametrize("large", [True, False], ids=["as it is", "column by column"])
def test_what_is_missing_infinite_or_huge_is_told_apart(monkeypatch, make, agrees, name, large):
    if not large:
        monkeypatch.setattr("netloom.export.onnx_values.DENSE", 0)
    case = without_empty(copy.deepcopy(make(name)))
    numbers = [j for j, column in enumerate(case.network.schema.columns) if column.kind == "number"]
    for j in numbers:  # every end in every column, beside numbers and beside other ends
        for i, end in enumerate(ENDS):
            case.rows[i][j] = end
    for i, end in enumerate(ENDS):
        case.rows[len(ENDS) + i][numbers[i % len(numbers)]] = end
    assert worth_a_matrix(make_plan(case.network)) == large
    model = to_onnx(case.network)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    agrees(session.run(None, fed(model, case))[-1], case)


RULES = ["numbers, 2 classes", "numbers, value", "levels of one word list", "frequencies", "12 classes", "everything, 2 classes", "wide"]


@pytest.mark.parametrize("heard", [False, True], ids=["cuts only by rules", "cuts by the readout too"])
@pytest.mark.parametrize("as_made", [True, False], ids=["as made", "refined"])
@pytest.mark.parametrize("name", RULES)
def test_many_rules_stand_apart_and_say_the_same(monkeypatch, make, agrees, name, as_made, heard):
    monkeypatch.setattr("netloom.export.rules.WORTH", 0)
    monkeypatch.setattr("netloom.export.rules.A_GROUP", 8)
    case = without_empty(copy.deepcopy(make(name)))
    weights, rng = case.network.weights, np.random.default_rng(0)
    cuts, rules = weights.layers[-2:]
    if not as_made:
        rules.__dict__.pop("gathered_onto", None)
        rules.onto[rules.onto != 0] += rng.normal(size=np.count_nonzero(rules.onto)).astype(np.float32) / 3
    if not heard:
        end = len(weights.readout) - rules.width
        weights.readout[end - cuts.width : end] = 0
    plan = make_plan(case.network)
    whole = fuse(plan, pairs=case.network.classes is not None)
    fused, apart = take_out(whole, sum(len(view.slots) for view in plan.views), True)
    assert len(apart.bias) == rules.width and len(apart.groups) > 1
    assert 1 < len(apart.cuts.bias) <= 1 + cuts.width and not apart.cuts.reads[-1]
    assert len(whole.table.bias) - len(fused.table.bias) == rules.width + (0 if heard else len(apart.cuts.bias) - 1)
    model = to_onnx(case.network)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    agrees(session.run(None, fed(model, case))[-1], case)


def test_few_rules_stay_among_the_other_neurons(make):
    case = make("numbers, 2 classes")
    fused = fuse(make_plan(case.network), pairs=True)
    assert take_out(fused, 8, True) == (fused, None)
