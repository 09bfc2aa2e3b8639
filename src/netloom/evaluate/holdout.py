"""A held-out score with its error bar, beside baselines fitted on the same rows: what every printed number comes from."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from netloom.errors import ConfigError, DataError
from netloom.evaluate.baselines import available, fit_baseline
from netloom.evaluate.scores import MAIN_SCORE, SCORES, coverage, higher_is_better, paired, score, standard_errors
from netloom.evaluate.splits import folds, holdout
from netloom.target.calibration import COVERAGES, fan, reliability
from netloom.tasks.schema import Schema
from netloom.tasks.task import Task

__all__ = ["DEFAULT_BASELINES", "Model", "Report", "Row", "compare", "outputs"]

DEFAULT_BASELINES = ("constant", "linear", "rf300", "histgb")
FANS = 4  # targets whose predictions are kept beside the truth
FEW_ROWS = 200  # below, folds are used: a quarter of so few rows says too little
OURS = "netloom"


class Model(Protocol):
    """What a fitted network or baseline has in common here; classification needs `predict_proba` as well."""

    def predict(self, table: pd.DataFrame, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Row:
    """Scores of one model: mean and standard error by name, and seconds (over all folds)."""

    model: str
    scores: dict[str, tuple[float, float]]
    fit_s: float
    predict_s: float


@dataclass(frozen=True)
class Report:
    """The outcome of `compare`: prints as a table (rich) and gives a plain dict for ``--json``.

    Attributes
    ----------
    kind : "classification" or "regression"
    how : one line on the split
    n_train, n_test : rows; with folds, n_test is every row and n_train the rows of one training fold
    rows : netloom first, then the baselines
    differences : score -> (best baseline in that score, netloom minus it, standard error of the difference on the same rows)
    skipped : baselines whose package is not installed
    calibration : of netloom on the held-out rows: "chances" given and how often they came true, or "coverage" of its intervals and
        "values" that came for predictions; see `netloom.target.calibration`
    repeated : held-out rows whose inputs also occur among the rows they were predicted from
    """

    kind: str
    how: str
    n_train: int
    n_test: int
    rows: tuple[Row, ...]
    differences: dict[str, tuple[str, float, float]]
    skipped: tuple[str, ...]
    calibration: dict[str, Any] | None = None
    repeated: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; a score that could not be computed is None."""
        plain = asdict(self)
        plain["rows"] = [
            {
                "model": row.model,
                "scores": {k: {"value": _none(v), "standard_error": _none(e)} for k, (v, e) in row.scores.items()},
                "fit_s": row.fit_s,
                "predict_s": row.predict_s,
            }
            for row in self.rows
        ]
        plain["differences"] = {
            k: {"best_baseline": name, "difference": _none(value), "standard_error": _none(error), "higher_is_better": higher_is_better(k)}
            for k, (name, value, error) in self.differences.items()
        }
        plain["skipped"] = list(self.skipped)
        return plain

    def line(self) -> str:
        """The main score and its paired difference to the best baseline, in one line."""
        name = MAIN_SCORE[self.kind]
        value, error = self.rows[0].scores[name]
        said = f"{name.replace('_', ' ')} {_shown(value, error)} on {self.n_test} held-out rows"
        if name not in self.differences:
            return said
        best, difference, spread = self.differences[name]
        better = "better" if (difference > 0) == higher_is_better(name) else "worse"
        sure = "" if abs(difference) > 2 * spread else ", within the noise"
        return f"{said}; {_shown(abs(difference), spread)} {better} than {best}{sure}"

    def __rich__(self) -> Table:
        names = [name for name in SCORES[self.kind] if name != "ece"]  # in the dict; here it would not fit in 80 columns
        notes = [self.line()] + ([f"not installed: {', '.join(self.skipped)}"] if self.skipped else [])
        left: Any = {"title_justify": "left", "caption_justify": "left"}
        table = Table(box=SIMPLE_HEAD, title=self.how, caption="\n".join(notes), pad_edge=False, **left)
        table.add_column("model", no_wrap=True)
        for name in names:
            table.add_column(f"{name.replace('_', ' ')} {'↑' if higher_is_better(name) else '↓'}", justify="right", no_wrap=True)
        table.add_column("fit s", justify="right", no_wrap=True)
        finite = {n: [r.scores[n][0] for r in self.rows if np.isfinite(r.scores[n][0])] for n in names}
        best = {n: (max if higher_is_better(n) else min)(values) for n, values in finite.items() if values}
        for row in self.rows:
            cells = []
            for name in names:
                value, error = row.scores[name]
                text = "-" if np.isnan(value) else _shown(value, error)
                cells.append(f"[bold]{text}[/bold]" if value == best.get(name) else text)
            table.add_row(row.model, *cells, f"{row.fit_s:.2f}")
        return table


def compare(
    task: Task,
    fit: Callable[[Task], Any],
    seed: int = 0,
    baselines: Sequence[str] = DEFAULT_BASELINES,
    progress: Callable[[float, str], None] | None = None,
) -> Report:
    """Score a fit on rows it has not seen, beside baselines fitted on the same training rows.

    A quarter of the rows is held out (classes keep their shares); with fewer than 200 rows five folds are, and the scores are those of all
    rows, each predicted by the model that has not seen it.

    Parameters
    ----------
    task : Task
    fit : called with a training Task, returns a network (``predict``, and ``predict_proba`` for classes)
    seed : int, of the split, the baselines and the bootstrap
    baselines : names from `BASELINES`; those that are not installed are left out and named in the report
    progress : called with the finished share and a message

    Raises
    ------
    DataError : fewer than 4 rows
    """
    if task.n < 4:
        raise DataError(f"{task.n} rows: a held-out score needs at least 4")
    parts = folds(task, seed) if task.n < FEW_ROWS else [holdout(task, seed)]
    usable, skipped = available(baselines)
    makers: dict[str, Callable[[Task], Any]] = {OURS: fit} | {name: _fitter(name, seed) for name in usable}
    tested = np.concatenate([test for _, test in parts])
    truth = task.y[tested]
    predicted, rows, intervals = {}, [], []
    for done, (name, make) in enumerate(makers.items()):
        if progress is not None:
            progress(done / len(makers), f"held-out score: {name}")
        pieces, fit_s, predict_s = [], 0.0, 0.0
        for train, test in parts:
            started = perf_counter()
            model = make(task.rows(train))
            fitted = perf_counter()
            pieces.append(outputs(model, task, test))
            if name == OURS and task.kind == "regression":
                intervals.append(_intervals(model, task, test))
            fit_s, predict_s = fit_s + fitted - started, predict_s + perf_counter() - fitted
        predicted[name] = np.concatenate(pieces)
        values, errors = score(task.kind, truth, predicted[name]), standard_errors(task.kind, truth, predicted[name], seed=seed)
        rows.append(Row(name, {k: (values[k], errors[k]) for k in values}, fit_s, predict_s))
    how = f"{len(parts)} folds of {len(tested)} rows" if len(parts) > 1 else f"{len(tested)} of {task.n} rows held out"
    differences = _differences(task.kind, truth, predicted, rows, seed)
    sure = _calibration(task.kind, truth, predicted[OURS], intervals) | {"how": how}
    repeated = _repeated(task, parts)
    return Report(task.kind, how, len(parts[0][0]), len(tested), tuple(rows), differences, tuple(skipped), sure, repeated)


def outputs(model: Any, task: Task, rows: np.ndarray) -> np.ndarray:
    """What a model says about rows of a task: probabilities in the order of the task's classes or values, (n, O)."""
    frame = task.frame.iloc[rows]
    if task.kind == "regression":
        return np.asarray(model.predict(frame), dtype=np.float64).reshape(len(rows), -1)
    said = np.asarray(model.predict_proba(frame), dtype=np.float64)
    classes = getattr(model, "classes", None)
    if classes is None or task.classes is None or len(classes) == task.outputs:
        return said
    place = {label: code for code, label in enumerate(task.classes.tolist())}  # a network that was told fewer classes
    every = np.zeros((len(rows), task.outputs))
    every[:, [place[label] for label in classes.tolist()]] = said
    return every


def _intervals(model: Any, task: Task, rows: np.ndarray) -> np.ndarray | None:
    """Intervals (coverages, n, O, 2) of a network that gives any."""
    try:
        given = [model.predict_interval(task.frame.iloc[rows], asked) for asked in COVERAGES]
    except (AttributeError, ConfigError):  # not a network, or woven from too few rows
        return None
    return np.stack(given).reshape(len(COVERAGES), len(rows), -1, 2)


def _calibration(kind: str, truth: np.ndarray, predicted: np.ndarray, intervals: list[np.ndarray | None]) -> dict[str, Any]:
    if kind == "classification":
        return {"chances": reliability(predicted, truth)}
    found: dict[str, Any] = {"values": [fan(predicted[:, o], truth[:, o]) for o in range(min(truth.shape[1], FANS))]}
    given = [part for part in intervals if part is not None]
    if given and len(given) == len(intervals):
        every = np.concatenate(given, axis=1)
        found["coverage"] = [[asked, round(coverage(truth, every[c]), 4)] for c, asked in enumerate(COVERAGES)]
    return found


def _repeated(task: Task, parts: list[tuple[np.ndarray, np.ndarray]]) -> int:
    """How many tested rows have inputs that their training rows hold as well, as the network reads them."""
    X = Schema.learn(task.frame, named=task.named).encode(task.frame)
    keys = np.array([hash(row.tobytes()) for row in np.ascontiguousarray(X)])
    return sum(int(np.isin(keys[test], keys[train]).sum()) for train, test in parts)


def _fitter(name: str, seed: int) -> Callable[[Task], Any]:
    return lambda task: fit_baseline(name, task, seed)


def _differences(kind: str, truth: np.ndarray, predicted: dict, rows: list[Row], seed: int) -> dict[str, tuple[str, float, float]]:
    """Per score: the best baseline, and ours minus it. The best is chosen on the same rows, which favours the baselines."""
    found = {}
    for name in SCORES[kind]:
        rivals = [row for row in rows[1:] if np.isfinite(row.scores[name][0])]
        if rivals:
            best = (max if higher_is_better(name) else min)(rivals, key=lambda row: row.scores[name][0]).model
            found[name] = (best, *paired(kind, truth, predicted[OURS], predicted[best], seed=seed, only=name)[name])
    return found


def _shown(value: float, error: float) -> str:
    """A value with its standard error, as many decimals as the error has use for, three at most."""
    decimals = 3 if not error > 0 else int(np.clip(1 - np.floor(np.log10(error)), 0, 3))
    return f"{value:,.{decimals}f} ± {error:,.{decimals}f}"


def _none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
