"""The suite (protocol B): many tables, three splits each, networks and baselines on the same rows, one line of CSV per run.

A suite is a folder with ``index.csv`` (columns name, kind, ...) and ``classification/*.parquet``, ``regression/*.parquet``, each table with
a column ``target``. A run that was cut goes on where it stopped: lines in the CSV are not computed again.

Seconds are those of the processor in a process of one thread, so that models timed on a busy machine can still be compared.
"""

import csv
import io
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from netloom.errors import ConfigError, FileError
from netloom.evaluate.baselines import BASELINES, available, fit_baseline
from netloom.evaluate.holdout import outputs
from netloom.evaluate.scores import coverage, score
from netloom.evaluate.splits import halves
from netloom.tasks.task import Task

__all__ = ["COLUMNS", "NETWORKS", "default_models", "read_index", "run"]

COLUMNS = (
    *("name", "kind", "seed", "model", "n_train", "n_test"),
    *("accuracy", "auc", "log_loss", "ece", "r2", "rmse", "coverage90"),
    *("fit_s", "predict_s", "bytes", "parameters", "family", "error"),
)
NETWORKS: dict[str, dict[str, Any]] = {  # our model and its controls: name -> options of netloom.loom.fit.fit
    "netloom": {},
    "quick": {"quick": True},  # one pass, without folds
    "untrained": {"families": "untrained"},  # linear, cells, random neurons, rules and their unions
    "no-trees": {"families": "no trees"},  # the same without rules
    "woven": {"families": "woven"},  # only families with woven neurons
    "random-weights": {"control": "random"},  # the same families with random numbers in place of woven weights
    "shuffled": {"control": "shuffled"},  # neurons woven from shuffled labels
    "quick-random": {"quick": True, "control": "random"},  # the same two of the one pass
    "quick-shuffled": {"quick": True, "control": "shuffled"},
}
Fit = Callable[[Task, int], Any]  # (training task, seed) -> model


class Job(NamedTuple):
    """One run: a model on one split of one table."""

    suite: str
    name: str
    kind: Literal["classification", "regression"]
    seed: int
    model: str
    most_rows: int = 2000  # for training

    @property
    def key(self) -> tuple[str, int, str]:
        return self.name, self.seed, self.model


def default_models() -> list[str]:
    """Our model, its controls, and the baselines that are installed."""
    return [*NETWORKS, *available()[0]]


def read_index(suite: str | os.PathLike) -> pd.DataFrame:
    """The index of a suite: at least the columns name and kind, in the order of the file.

    Raises
    ------
    FileError : no such folder or index, or an index without these columns
    """
    path = Path(suite) / "index.csv"
    if not path.is_file():
        raise FileError(f"{path}: not found; a suite is a folder with index.csv, classification/*.parquet and regression/*.parquet")
    try:
        index = pd.read_csv(path, dtype={"name": str})
    except (OSError, ValueError) as error:  # pandas' own errors of parsing are ValueErrors
        why = " ".join(str(error).split())[:120]
        raise FileError(f"{path}: cannot be read as a table ({why}); it needs the columns name and kind") from None
    if not {"name", "kind"} <= set(index) or not set(index["kind"]) <= {"classification", "regression"}:
        raise FileError(f"{path}: needs the columns name and kind, and every kind to be classification or regression")
    if index.empty:
        raise FileError(f"{path}: lists no table; give a line with name and kind for each")
    if index["name"].isna().any():
        raise FileError(f"{path}: row {int(index['name'].isna().argmax())} has no name; name every table")
    return index


def run(
    suite: str | os.PathLike,
    out: str | os.PathLike,
    models: Sequence[str] | None = None,
    *,
    seeds: Iterable[int] = (0, 1, 2),
    tables: Sequence[str] | None = None,
    max_tables: int | None = None,
    most_rows: int = 2000,
    jobs: int = 1,
    fits: dict[str, Fit] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> pd.DataFrame:
    """Run models over a suite and append one line per (table, seed, model) to a CSV; returns all its lines.

    A model that fails gets a line with its error, and the run goes on.

    Parameters
    ----------
    suite : folder
    out : CSV file, made if absent; its lines are not computed again
    models : names from `NETWORKS` and `BASELINES` (default: all that can run here), or from `fits`
    seeds : splits
    tables : names of tables (default: all of the index)
    max_tables : at most so many of them, evenly over the index
    most_rows : for training; of a larger half so many are drawn, class shares kept
    jobs : processes, each with one thread
    fits : own models by name; they run in this process, one after the other, together with no other model
    progress : called with the finished share and a message; by default lines on stderr

    Raises
    ------
    ConfigError : an unknown model, fewer than two rows, or a table that is unknown or not there
    FileError : no suite, or a CSV that is not of this kind
    """
    index, out = read_index(suite), Path(out)
    names = [str(name) for name in index["name"]]
    if tables is not None:
        unknown = sorted(set(tables) - set(names))
        if unknown:
            raise ConfigError(f"table '{unknown[0]}': not in {Path(suite) / 'index.csv'}")
        names = [name for name in names if name in set(tables)]
    if max_tables is not None and max_tables < len(names):
        names = [names[int(place)] for place in np.linspace(0, len(names) - 1, max(max_tables, 1))]
    if most_rows < 2:
        raise ConfigError(f"most_rows = {most_rows}: must be 2 or more, nothing is learned from fewer")
    models = list(models) if models is not None else list(fits) if fits is not None else default_models()
    for model in models:
        if model not in (fits if fits is not None else [*NETWORKS, *BASELINES]):
            raise ConfigError(f"model '{model}': unknown; choose from {', '.join(fits or [*NETWORKS, *BASELINES])}")
    kinds: dict[str, Any] = dict(zip(index["name"].astype(str), index["kind"], strict=True))
    for name in names:
        if not _table(suite, kinds[name], name).is_file():
            raise ConfigError(f"table '{name}': {_table(suite, kinds[name], name)} is not there; get it, or name others with tables")
    done = _begin(out)
    todo = [Job(str(suite), name, kinds[name], seed, model, most_rows) for name in names for seed in seeds for model in models]
    todo = [job for job in todo if job.key not in done]
    progress = progress or _say
    for count, row in enumerate(_rows(todo, jobs, fits), start=1):
        _append(out, row)
        progress(count / len(todo), _line(row, count, len(todo)))
    return pd.read_csv(out)


def run_one(job: Job, fit: Fit | None = None) -> dict[str, Any]:
    """One line of the CSV: load, split, fit, predict, score; an exception becomes its `error`."""
    row: dict[str, Any] = {"name": job.name, "kind": job.kind, "seed": job.seed, "model": job.model}
    try:
        frame = pd.read_parquet(_table(job.suite, job.kind, job.name))
        task = Task.from_frame(frame, target="target", kind=job.kind)
        train, test = halves(task, job.seed, job.most_rows)
        row |= {"n_train": len(train), "n_test": len(test)}
        training = task.rows(train)
        fit = fit or _named(job.model)
        started = process_time()
        model = fit(training, job.seed)
        fitted = process_time()
        predicted = outputs(model, task, test)
        row |= {"fit_s": fitted - started, "predict_s": process_time() - fitted}
        row |= score(job.kind, task.y[test], predicted)
        if job.kind == "regression" and hasattr(model, "predict_interval"):
            row["coverage90"] = coverage(task.y[test], np.asarray(model.predict_interval(task.frame.iloc[test], coverage=0.9)))
        row |= {"bytes": getattr(model, "n_bytes", None), "parameters": getattr(model, "n_parameters", None), "family": _family(model)}
    except Exception as error:  # whatever a model does, the other models go on
        place = traceback.extract_tb(error.__traceback__)[-1]
        row["error"] = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})".replace("\n", " ")[:500]
    return row


def _named(model: str) -> Fit:
    """The fit of that name; what it needs is imported now, so that no fit is charged for it."""
    if model not in NETWORKS:
        return lambda task, seed: fit_baseline(model, task, seed)
    from netloom.loom.fit import fit as fit_network  # here, so that baselines alone run without torch
    from netloom.loom.loom import Loom

    loom = Loom.pretrained()
    return lambda task, seed: fit_network(task, loom=loom, seed=seed, **NETWORKS[model])


def _family(model: Any) -> str | None:
    """Members of a network, heaviest first, e.g. "woven 0.71, cells 0.29"."""
    members = (getattr(model, "architecture", None) or {}).get("members")
    if not members:
        return None
    weight: dict[str, float] = {}
    for member in members:
        weight[member["family"]] = weight.get(member["family"], 0.0) + float(member.get("weight", 0.0))
    return ", ".join(f"{family} {share:.2f}" for family, share in sorted(weight.items(), key=lambda item: -item[1]) if share >= 0.005)


def _rows(todo: list[Job], jobs: int, fits: dict[str, Fit] | None) -> Iterator[dict[str, Any]]:
    """Finished lines as they come, from processes of one thread each; a process that dies takes nobody with it."""
    if fits is not None:
        yield from (run_one(job, fits[job.model]) for job in todo)
        return
    left = {job.key: job for job in todo}
    alone = False  # after a process has died (memory, a crash in a library), one job at a time shows which it was
    while left:
        batch = list(left.values())[:1] if alone else list(left.values())
        with _one_thread():
            pool = ProcessPoolExecutor(max(1, min(jobs, len(batch))), mp_context=multiprocessing.get_context("spawn"))
            try:
                waiting = {pool.submit(run_one, job): job for job in batch}
                for future in as_completed(waiting):
                    job = waiting[future]
                    row = future.result()
                    del left[job.key]
                    yield row
            except BrokenProcessPool:
                if alone:
                    (job,) = batch
                    del left[job.key]
                    yield {"name": job.name, "kind": job.kind, "seed": job.seed, "model": job.model, "error": "the process died"}
                alone = not alone
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started inside use one thread: numpy and torch read these when they are first imported."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _table(suite: str | os.PathLike, kind: str, name: str) -> Path:
    return Path(suite) / kind / f"{name}.parquet"


def _begin(out: Path) -> set[tuple[str, int, str]]:
    """Make the CSV, or cut off a torn last line; returns what is in it."""
    if not out.exists():
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{str(out.parent)!r}: cannot make this folder: {error.strerror}") from None
        _write(out, COLUMNS)
        return set()
    content = out.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    try:
        lines = csv.DictReader(io.StringIO(whole.decode("utf-8")))
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise ValueError
        done = {(line["name"], int(line["seed"]), line["model"]) for line in lines}
    except (ValueError, TypeError, csv.Error):
        raise FileError(f"{out}: not a CSV of this suite (its columns differ); give another file") from None
    if len(whole) < len(content):
        with open(out, "r+b") as file:
            file.truncate(len(whole))
    return done


def _append(out: Path, row: dict[str, Any]) -> None:
    _write(out, [_text(row.get(column)) for column in COLUMNS])


def _write(out: Path, cells: Sequence[str]) -> None:
    """One line in one write to a file opened for appending: it is there whole, or not at all."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    with open(out, "ab", buffering=0) as file:
        file.write(line.getvalue().encode("utf-8"))


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(row: dict[str, Any], count: int, total: int) -> str:
    said = f"[{count}/{total}] {row['name']} seed {row['seed']} {row['model']}: "
    if row.get("error"):
        return said + row["error"]
    names = ("accuracy", "auc", "log_loss") if row["kind"] == "classification" else ("r2", "rmse")
    return said + ", ".join(f"{name} {row[name]:.4g}" for name in names) + f" ({row['fit_s']:.1f} s)"


def _say(_: float, message: str) -> None:
    print(message, file=sys.stderr, flush=True)
