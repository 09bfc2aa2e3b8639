"""The exported Python file predicts as the network does, in a process that has the standard library and nothing else."""

import datetime
import json
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from netloom.export import export
from netloom.export.python import to_python

ALONE = """
import importlib, json, pickle, glob
sys.path.insert(0, ".")
found = {}
for path in sorted(glob.glob("case*.py")):
    name = path[:-3]
    model = importlib.import_module(name)
    rows = pickle.load(open(name + ".rows", "rb"))
    answer = model.predict_proba if model.CLASSES is not None else model.predict
    found[name] = [answer(row) for row in rows]
    found[name + " labels"] = [str(model.predict(row)) for row in rows] if model.CLASSES is not None else []
print(json.dumps(found))
heavy = [m for m in sys.modules if m.split(".")[0] in ("numpy", "pandas", "scipy", "torch", "onnxruntime")]
assert not heavy, heavy
"""


def test_every_table_is_predicted_by_the_standard_library_alone(all_cases, elsewhere, agrees, tmp_path):
    for name, case in all_cases.items():
        export(case.network, tmp_path / f"{name}.py")
        (tmp_path / f"{name}.rows").write_bytes(pickle.dumps(case.rows))
    found = json.loads(elsewhere(ALONE, tmp_path))
    for name, case in all_cases.items():
        agrees(np.reshape(found[name], (len(case.rows), -1)), case)
        if case.network.classes is not None:
            assert found[f"{name} labels"] == [str(case.network.classes[c]) for c in case.expected().argmax(1).tolist()]


def loaded(network):
    module = {"__name__": "exported"}
    exec(compile(to_python(network), "exported.py", "exec"), module)
    return module


def test_a_row_may_be_a_mapping_in_any_order_or_a_list(make):
    case = make("everything, 2 classes")
    model = loaded(case.network)
    names = model["COLUMNS"]
    for row in case.rows[:5]:
        by_name = dict(reversed(list(zip(names, row, strict=True)))) | {"further": 1}
        assert model["predict_proba"](by_name) == model["predict_proba"](row)
        np.testing.assert_allclose(model["predict_proba"](by_name), case.network.predict_row(row), atol=1e-5)


def test_scalars_of_numpy_and_pandas_are_read_as_netloom_reads_them(make):
    case = make("everything, value")
    model = loaded(case.network)
    for i in range(10):
        row = list(case.frame.iloc[i])  # numpy and pandas scalars, NaN, NaT
        row = [pd.NA if value is None else value for value in row]
        np.testing.assert_allclose(model["predict"](row), case.network.predict_row(row), rtol=1e-5)
    moment = datetime.datetime(2024, 7, 1, 12, tzinfo=datetime.UTC)  # another zone than training's
    at = [column.kind for column in case.network.schema.columns].index("date")
    row[at] = moment
    np.testing.assert_allclose(model["predict"](row), case.network.predict_row(row), rtol=1e-5)


@pytest.mark.parametrize(
    "column, value, message",
    [
        ("number 0", "far", "column 'number 0': holds 'far'; use a number or leave it empty"),
        ("number 0", [1], "column 'number 0': holds [1]; use a number or leave it empty"),
        ("boolean 6", 2, "column 'boolean 6': holds 2; use True or False or leave it empty"),
        ("day 17", "31.1.2024", "column 'day 17': holds '31.1.2024'; use a date like 2024-01-31 or leave it empty"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(make, column, value, message):
    case = make("everything, 2 classes")
    model = loaded(case.network)
    row = dict(zip(model["COLUMNS"], case.rows[0], strict=True)) | {column: value}
    with pytest.raises(ValueError) as error:
        model["predict"](row)
    assert str(error.value) == message


def test_a_row_that_lacks_columns_is_named(make):
    model = loaded(make("booleans").network)
    with pytest.raises(ValueError, match="the row has no 'boolean 0', 'boolean missing 1', 'boolean missing 2'; give each column"):
        model["predict"]({})
    with pytest.raises(ValueError, match="3 values in the order of COLUMNS"):
        model["predict"]([1])


def test_as_a_program_it_turns_csv_into_csv(make, tmp_path):
    case = make("pairs")
    export(case.network, tmp_path / "model.py")
    frame = pd.DataFrame(case.rows, columns=case.frame.columns)
    frame = frame.replace({"": None})  # CSV cannot tell an empty text from a missing value
    run = subprocess.run(
        [sys.executable, "model.py"], cwd=tmp_path, input=frame.to_csv(index=False), capture_output=True, text=True, check=True
    )
    header, *lines = run.stdout.splitlines()
    assert header == "target 0,chance of 1,chance of two"
    np.testing.assert_allclose([float(line.split(",")[2]) for line in lines], case.network.predict_proba(frame)[:, 1], atol=1e-5)


def test_schema_classes_and_scores_travel_with_it(make):
    case = make("everything, 7 classes")
    document = loaded(case.network)["MODEL"]
    assert document["schema"] == case.network.schema.to_json() and document["metrics"] == case.network.metrics
    assert document["classes"]["values"][:3] == [1, "two", True] and document["target_names"] == ["target 0"]
