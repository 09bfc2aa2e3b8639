"""Thirty tables of every kind, and for each a network with random weights: what is exported does not depend on how good it is."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from netloom.loom.views import make_view
from netloom.target.network import TargetNetwork
from netloom.target.weights import Layer, Weights
from netloom.tasks.schema import Schema

N = 60
WORDS = [
    "red",
    "green",
    "blue",
    "ünïcode 漢",
    "yes",
    "no",
    "1",
    "a,b",
    'q"uote',
    "tab\there",
    "back\\slash",
    "new\nline",
    "C:\\n",
    "*/ end",
]
WORDS += ["*/ end", "??/", "'''", "{}"]


@dataclass
class Case:
    """A network, a training table and new rows: missing, unseen, infinite and extreme values among them."""

    name: str
    network: TargetNetwork
    frame: pd.DataFrame
    rows: list[list]  # new rows as plain Python values, in the order of the columns

    def expected(self):
        """The truth, row by row through netloom's own table door: chances (n, C) or values (n, O)."""
        table = pd.DataFrame({j: pd.Series([row[j] for row in self.rows], dtype=object) for j in range(len(self.rows[0]))})
        table.columns = list(self.frame.columns)
        if self.network.classes is not None:
            return self.network.predict_proba(table)
        return np.reshape(self.network.predict(table), (len(self.rows), -1))


def numbers(rng, n):
    return rng.normal(size=n) * 10.0 ** rng.integers(-4, 6) + rng.choice([0.0, 5.0, 1e4])


def with_missing(rng, values, share=0.2):
    return [None if rng.random() < share else value for value in values]


def plain(values):
    return [value.item() if isinstance(value, np.generic) else value for value in values]


COLUMNS = {
    "number": lambda rng, n: pd.Series(numbers(rng, n)),
    "number missing": lambda rng, n: pd.Series(numbers(rng, n)).mask(rng.random(n) < 0.2),
    "one number or none": lambda rng, n: pd.Series(np.where(rng.random(n) < 0.3, np.nan, 7.0)),
    "integer": lambda rng, n: pd.Series(rng.integers(0, 9, n)),
    "year": lambda rng, n: pd.Series(rng.integers(1990, 2025, n)),
    "huge": lambda rng, n: pd.Series(rng.normal(size=n) * 1e32),
    "boolean": lambda rng, n: pd.Series(rng.random(n) < 0.4),
    "boolean missing": lambda rng, n: pd.Series(with_missing(rng, plain(rng.random(n) < 0.4)), dtype=object),
    "pair": lambda rng, n: pd.Series(plain(rng.choice(["yes", "no"], n)), dtype=object),
    "pair missing": lambda rng, n: pd.Series(with_missing(rng, plain(rng.choice(["yes", "no"], n))), dtype=object),
    "few levels": lambda rng, n: pd.Series(plain(rng.choice(WORDS, n)), dtype=object),
    "few levels missing": lambda rng, n: pd.Series(with_missing(rng, plain(rng.choice(WORDS, n))), dtype=object),
    "level or none": lambda rng, n: pd.Series(with_missing(rng, ["always"] * n), dtype=object),
    "skewed levels": lambda rng, n: pd.Series([f"v{min(int(rng.exponential(8)), 40)}" for _ in range(n)], dtype=object),
    "many levels": lambda rng, n: pd.Series(with_missing(rng, [f"w{i // 2}" for i in rng.permutation(n)], 0.1), dtype=object),
    "free text": lambda rng, n: pd.Series(
        with_missing(rng, [f"é{i} " + "x\n" * int(rng.integers(0, 30)) for i in range(n)], 0.1), dtype=object
    ),
    "codes": lambda rng, n: pd.Series(rng.integers(0, 5, n)).astype("category"),
    "day": lambda rng, n: pd.Series(pd.Timestamp("1955-03-01") + pd.to_timedelta(rng.integers(0, 30_000, n), unit="D")),
    "moment": lambda rng, n: pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**8, n), unit="s")).mask(
        rng.random(n) < 0.2
    ),
    "same day": lambda rng, n: pd.Series([None if rng.random() < 0.3 else datetime.date(2020, 5, 5) for _ in range(n)], dtype=object),
    "zone": lambda rng, n: pd.Series(pd.Timestamp("2024-03-30", tz="Europe/Berlin") + pd.to_timedelta(rng.integers(0, 300, n), unit="h")),
    "duration": lambda rng, n: pd.Series(pd.to_timedelta(rng.integers(0, 10**6, n), unit="s")),
    "constant": lambda rng, n: pd.Series(["same"] * n, dtype=object),
    "nothing": lambda rng, n: pd.Series([None] * n, dtype=object),
}


def new_rows(rng, schema, frame, n):
    """Rows of the training table with values exchanged: missing, unseen, infinite, far away."""
    rows = []
    for i in range(n):
        row = [plain([value])[0] for value in frame.iloc[int(rng.integers(len(frame)))].tolist()]
        for j, column in enumerate(schema.columns):
            if isinstance(row[j], pd.Timestamp):
                row[j] = row[j].to_pydatetime()
            elif isinstance(row[j], pd.Timedelta):
                row[j] = row[j].to_pytimedelta()
            elif row[j] is pd.NaT or (isinstance(row[j], float) and np.isnan(row[j])):
                row[j] = None
            if rng.random() < 0.3 and i:
                row[j] = odd_value(rng, column, row[j])
        rows.append(row)
    return rows


def odd_value(rng, column, value):
    if column.kind == "number":
        return [None, float("inf"), -float("inf"), 1e300, -3e31, column.fill, column.high, float("nan"), 0.0][int(rng.integers(9))]
    if column.kind == "boolean":
        return [None, True, False, "true"][int(rng.integers(4))]
    if column.kind == "category":
        return [None, "never seen", "", "y" * 300, value][int(rng.integers(5))]
    if column.kind == "date":
        moments = [
            None,
            datetime.datetime(1, 1, 1),
            datetime.datetime(1969, 12, 31, 23, 59, 59, 999999),
            datetime.datetime(2400, 2, 29, 12),
        ]
        return [*moments, datetime.date(2023, 1, 1)][int(rng.integers(5))]
    return value


def random_weights(rng, X, outputs, shape):
    """``shape``: one entry per view, (ranked, cells), how many layers each gets, and how many rules the last one."""
    weight = np.ones(len(X))
    views = []
    for ranked, cells in shape["views"]:
        columns = np.sort(rng.choice(X.shape[1], max(1, int(X.shape[1] * shape.get("share", 1.0))), replace=False))
        views.append(make_view(X, weight, columns=columns, ranked=ranked, cells=cells))
    layers = []
    for v, view in enumerate(views):
        mine = []
        for depth in range(shape["layers"]):
            width = len(view.columns) if depth == 0 and shape.get("linear first") else view.width
            H = int(rng.integers(2, 9))
            earlier = tuple(t for t in mine if rng.random() < 0.8) if depth else ()
            onto = rng.normal(size=(sum(layers[t].width for t in earlier), H)).astype(np.float32) * 0.3 if earlier else None
            W = (rng.normal(size=(width, H)) / np.sqrt(width)).astype(np.float32)
            layers.append(Layer(v, W, rng.normal(size=H).astype(np.float32), earlier, onto))
            mine.append(len(layers) - 1)
    if "rules" in shape:
        layers += random_rules(rng, views[-1], len(views) - 1, len(layers), shape["rules"])
    p = sum(view.width for view in views) + sum(layer.width for layer in layers)
    readout = (rng.normal(size=(p, outputs)) * 2 / np.sqrt(p)).astype(np.float32)
    return Weights(tuple(views), tuple(layers), readout, rng.normal(size=outputs).astype(np.float32), np.zeros(outputs), np.ones(outputs))


def random_rules(rng, view, at, first, count):
    """Cuts and the rules of up to three of them each: two sparse layers, as `netloom.loom.rules` makes them."""
    cuts = 2 * count
    weight, onto = np.zeros((len(view.columns), cuts), np.float32), np.zeros((cuts, count), np.float32)
    for i in range(cuts):
        slope = np.float32(np.float16(rng.choice([-1, 1]) * rng.uniform(1, 25)))
        weight[rng.integers(len(weight)), i] = slope
    for j in range(count):
        onto[rng.choice(cuts, rng.integers(1, 4)), j] = -1
    bias = (rng.normal(size=cuts) * 2).astype(np.float32)
    return [Layer(at, weight, bias), Layer(at, np.zeros((len(weight), count), np.float32), np.ones(count, np.float32), (first,), onto)]


BOTH = {"views": [(False, True), (True, True)], "layers": 3, "linear first": True, "rules": 40}
ONE = {"views": [(False, True)], "layers": 2}
RANKED = {"views": [(True, False), (True, True)], "layers": 1}
LINEAR = {"views": [(False, False)], "layers": 0}
SOME = {"views": [(False, True), (True, True), (False, False)], "layers": 2, "share": 0.6, "rules": 24}
ALL = list(COLUMNS)
LABELS = {
    "str": lambda C: np.array([f"class {c}" for c in range(C)]),
    "int": lambda C: np.arange(C) * 3 - 5,
    "bool": lambda C: np.array([False, True]),
    "float": lambda C: np.arange(C) / 2,
    "date": lambda C: np.array(["2020-01-01", "2021-02-03"], dtype="datetime64[D]"),
    "object": lambda C: np.array([1, "two", None, True][:C], dtype=object) if C < 3 else np.array([1, "two", True], dtype=object),
}

# name -> (columns, classes or None, targets, labels, shape of the network)
CASES = {
    "numbers, 2 classes": (["number"] * 4, 2, 1, "str", BOTH),
    "numbers, 3 classes": (["number"] * 3 + ["integer"], 3, 1, "int", ONE),
    "numbers, value": (["number"] * 5, None, 1, "", BOTH),
    "numbers with missing, value": (["number missing"] * 4 + ["number"], None, 1, "", ONE),
    "numbers with missing, 2 classes": (["number missing"] * 3, 2, 1, "bool", RANKED),
    "one column": (["number"], 2, 1, "str", ONE),
    "one level column": (["few levels"], 3, 1, "str", BOTH),
    "nothing varies": (["constant", "nothing"], 2, 1, "str", LINEAR),
    "only missing varies": (["one number or none", "level or none", "same day"], 2, 1, "str", BOTH),
    "linear": (["number", "few levels", "boolean"], None, 1, "", LINEAR),
    "linear, classes": (["number", "few levels", "boolean"], 4, 1, "str", LINEAR),
    "booleans": (["boolean", "boolean missing", "boolean missing"], 2, 1, "date", BOTH),
    "pairs": (["pair", "pair missing", "pair missing", "number"], 2, 1, "object", BOTH),
    "levels": (["few levels", "few levels missing", "codes"], 5, 1, "str", BOTH),
    "levels of one word list": (["few levels"] * 4, None, 2, "", SOME),
    "frequencies": (["skewed levels", "many levels", "number"], 2, 1, "str", BOTH),
    "free text": (["free text", "free text", "number"], None, 1, "", BOTH),
    "dates": (["day", "moment"], 2, 1, "str", BOTH),
    "dates, value": (["moment", "moment", "day", "number"], None, 1, "", SOME),
    "zones and durations": (["zone", "duration", "number"], 3, 1, "float", BOTH),
    "years": (["year", "year", "integer"], None, 1, "", BOTH),
    "huge numbers": (["huge", "number", "huge"], None, 1, "", BOTH),
    "40 classes": (["number", "few levels", "integer"], 40, 1, "str", BOTH),
    "12 classes": (["number missing"] * 2 + ["pair"], 12, 1, "int", SOME),
    "3 targets": (["number", "few levels", "day"], None, 3, "", BOTH),
    "everything, 2 classes": (ALL, 2, 1, "str", BOTH),
    "everything, 7 classes": (ALL, 7, 1, "object", SOME),
    "everything, value": (ALL, None, 1, "", BOTH),
    "everything, 4 targets": (ALL, None, 4, "", RANKED),
    "wide": (["number"] * 150 + ["number missing"] * 60 + ["few levels"] * 30 + ["boolean"] * 20, 3, 1, "str", BOTH),
}


def make_case(name):
    columns, C, targets, labels, shape = CASES[name]
    seed = list(CASES).index(name)
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"{kind} {j}": COLUMNS[kind](rng, N) for j, kind in enumerate(columns)})
    schema = Schema.learn(frame)
    outputs = targets if C is None else 1 if C == 2 else C
    weights = random_weights(rng, schema.encode(frame), outputs, shape)
    classes = None if C is None else LABELS[labels](C)
    if classes is not None and len(classes) < C:
        classes = np.array([*classes, *(f"more {c}" for c in range(C - len(classes)))], dtype=object)
    if C is None:
        weights.centre[:], weights.scale[:] = rng.normal(size=outputs) * 100, 10 ** rng.normal(size=outputs)
    names = tuple(f"target {o}" for o in range(targets))
    metrics = {"accuracy": 0.9, "accuracy_se": 0.01} if C else {"r2": 0.8, "r2_se": 0.02}
    network = TargetNetwork(schema, weights, "regression" if C is None else "classification", classes, names, {"head": "ridge"}, metrics)
    return Case(name, network, frame, new_rows(rng, schema, frame, 40))


@pytest.fixture(scope="session")
def make():
    """Makes the case of a name, once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = make_case(name)
        return made[name]

    return get


def pytest_generate_tests(metafunc):
    if "any_case" in metafunc.fixturenames:
        metafunc.parametrize("any_case", list(CASES))


@pytest.fixture
def case(any_case, make):
    return make(any_case)


@pytest.fixture(scope="session")
def prepared():
    """Numbers (n, q) and codes (n, c) of a case's rows, as the exported Python file prepares them."""
    from netloom.export.python import to_python

    def prepare(case):
        module: dict = {"__name__": "exported"}
        exec(compile(to_python(case.network), "exported.py", "exec"), module)
        both = [module["prepare"](row) for row in case.rows]
        return np.array([x for x, _ in both]).reshape(len(both), -1), np.array([c for _, c in both], dtype=np.int64).reshape(len(both), -1)

    return prepare


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """Runs a program in a process that may not import netloom: folder of files in, its printed last line out."""

    def run(program, folder, **environment):
        text = f"import sys\n{program}\nassert not [m for m in sys.modules if m.split('.')[0] == 'netloom'], 'netloom was imported'\n"
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
        done = subprocess.run([sys.executable, "-c", text], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def agree(found, case):
    """1e-5: of a chance, or of the size of a value."""
    expected = case.expected()
    assert np.shape(found) == expected.shape, case.name
    size = 1.0 if case.network.classes is not None else np.maximum(np.abs(expected), np.abs(expected).mean())
    off = np.abs(np.asarray(found) - expected) / size
    assert off.max() <= 1e-5, f"{case.name}: off by {off.max():.2e} in row {off.max(axis=1).argmax()}"


@pytest.fixture(scope="session")
def agrees():
    return agree


@pytest.fixture(scope="session")
def all_cases(make):
    """Every case, with a name that is a file's."""
    return {f"case{i}": make(name) for i, name in enumerate(CASES)}
