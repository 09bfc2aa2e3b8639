"""``netloom fit``: a table in, a network out, its held-out score beside baselines on the same rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from netloom.cli.options import BUDGET_HELP, TABLE_HELP, Json, Threads, parse_budget, use_threads, writable_network
from netloom.cli.show import print_json, print_rich, progress
from netloom.errors import ConfigError, DataError

if TYPE_CHECKING:
    from netloom.evaluate import Report
    from netloom.target.budget import Budget
    from netloom.target.network import TargetNetwork
    from netloom.tasks.task import Task

__all__ = ["fit"]

SCORED_ROWS = 20_000  # of a larger table, so many rows at random are scored: a random forest on a million takes hours
SCORING = 0.75  # share of the time


def fit(
    ctx: typer.Context,
    table: Annotated[str, typer.Argument(help=TABLE_HELP, show_default=False)],
    target: Annotated[list[str], typer.Option(help="Column to predict; repeat it for several numbers at once.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="File to write; by default the table's name with .netloom, in this folder.")] = None,
    kind: Annotated[
        Literal["classification", "regression"] | None, typer.Option(help="By default told by the target.", show_default=False)
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column that says how much each row counts.", show_default=False)] = None,
    head: Annotated[str, typer.Option(help="Readout: auto, logistic, svm, ridge or gaussian.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The same seed gives the same network.")] = 0,
    budget: Annotated[list[str] | None, typer.Option(help=BUDGET_HELP, show_default=False)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One pass without folds: a fraction of the time, scores a little lower.")] = False,
    threads: Threads = 1,
    baselines: Annotated[bool, typer.Option("--baselines/--no-baselines", help="Fit the usual models on the same rows.")] = True,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace --out whatever it is.")] = False,
) -> None:
    """Generate a network for a table and save it.

    A part of the rows is held out and scored, beside baselines fitted on the same rows; then the network is woven from all rows.
    """
    use_threads(threads)
    limits = parse_budget(budget)
    path = writable_network(out, table, force)
    with progress(quiet) as tell:
        tell(0.0, f"reading {table}")
        from netloom.tasks.tables import read_table
        from netloom.tasks.task import Task

        frame = read_table(table)
        task = Task.from_frame(frame, target=target[0] if len(target) == 1 else target, kind=kind, weight=weight)
        if not task.frame.shape[1]:
            raise DataError(f"{table}: no column is left to predict {', '.join(target)} from")
        import torch

        from netloom.loom.fit import fit as weave
        from netloom.target.file import MAX_BYTES

        torch.set_num_threads(threads)

        def make(task: Task, progress: Callable[[float, str], None] | None = None) -> TargetNetwork:
            return weave(task, budget=limits, seed=seed, head=head, quick=quick, progress=progress)

        report, note = _score(task, make, seed, baselines, lambda share, message: tell(SCORING * share, message))
        network = make(task, lambda share, message: tell(SCORING + (1 - SCORING) * share, message))
        network = _with_scores(network, task, report, (limits.max_bytes if limits else None) or MAX_BYTES)
        network.save(path)
    ctx.find_root().obj = f"{path} was written"
    facts = _facts(network, path, task, report, "; ".join(filter(None, [note, _over(network, limits)])))
    if as_json:
        print_json(facts)
    else:
        _print(facts, task, report)


def _score(
    task: Task, make: Callable[[Task], TargetNetwork], seed: int, baselines: bool, tell: Callable[[float, str], None]
) -> tuple[Report | None, str]:
    """The held-out report, or None, and what must be said about it."""
    import numpy as np

    from netloom.evaluate.holdout import DEFAULT_BASELINES, compare

    scored, note = task, ""
    if task.n > SCORED_ROWS:
        scored = task.rows(np.sort(np.random.default_rng(seed).permutation(task.n)[:SCORED_ROWS]))
        note = f"scored on {SCORED_ROWS:,} rows at random, three quarters of them for training; the saved network has seen all {task.n:,}"
    for rivals in (DEFAULT_BASELINES, ()) if baselines else ((),):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of baselines that do not converge
                return compare(scored, make, seed=seed, baselines=rivals, progress=tell), note
        except ConfigError:
            raise
        except ValueError as error:  # too few rows or classes in a part of the table; a network may be woven from the whole all the same
            if rivals:
                note = f"no held-out score beside baselines: {' '.join(str(error).split())}"
            else:
                note = f"no held-out score: {error if isinstance(error, DataError) else 'no class has rows enough to hold some out'}"
    return None, note


def _over(network: TargetNetwork, limits: Budget | None) -> str:
    """What to say of a network beyond the usual 96 kB, which alone give way: the preparation of its table may take more."""
    if limits is not None and limits.max_bytes is not None and network.n_bytes > limits.max_bytes:
        return f"larger than the budget of {limits.max_bytes:,} bytes: for this table no network is smaller"
    return ""


def _with_scores(network: TargetNetwork, task: Task, report: Report | None, max_bytes: int) -> TargetNetwork:
    """The network with its held-out scores, calibration and warnings in its metrics, as far as they fit."""
    from dataclasses import replace

    from netloom.explain import check_task

    found = check_task(task, *((report.repeated, report.n_test) if report else ()))
    kept: dict[str, Any] = {"warnings": [finding.to_dict() for finding in found[:20]]}
    if report is not None:
        rows = {row.model: {name: [_rounded(value), _rounded(error)] for name, (value, error) in row.scores.items()} for row in report.rows}
        kept["beside_baselines"] = {
            "how": report.how,
            "scores": rows,
            "differences": {name: [best, _rounded(value), _rounded(error)] for name, (best, value, error) in report.differences.items()},
        }
        if report.calibration is not None:
            kept["calibration"] = report.calibration
    for left_out in ((), ("calibration",), ("calibration", "warnings"), tuple(kept)):
        scored = replace(network, metrics=network.metrics | {key: value for key, value in kept.items() if key not in left_out})
        if scored.n_bytes <= max_bytes:
            return scored
    return network


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if value == value else None


def _facts(network: TargetNetwork, path: Path, task: Task, report: Report | None, note: str) -> dict[str, Any]:
    row = [task.frame.iloc[0, j] for j in range(task.frame.shape[1])]
    return {
        "network": str(path),
        "kind": network.kind,
        "target": list(network.target_names),
        "classes": None if network.classes is None else network.classes.tolist(),
        "rows": task.n,
        "rows_without_target": task.dropped,
        "columns": len(network.schema.columns),
        "held_out": None if report is None else report.to_dict(),
        "note": note or None,
        "architecture": network.architecture,
        "metrics": network.metrics,
        "provenance": network.provenance,
        "parameters": network.n_parameters,
        "bytes": network.n_bytes,
        "row_microseconds": round(1e6 * _row_seconds(network, row), 1),
    }


def _row_seconds(network: TargetNetwork, row: Sequence[Any], calls: int = 200) -> float:
    """Median time to predict one row."""
    taken = []
    for _ in range(calls):
        started = perf_counter()
        network.predict_row(row)
        taken.append(perf_counter() - started)
    return sorted(taken)[calls // 2]


def _print(facts: dict[str, Any], task: Task, report: Report | None) -> None:
    what = f"{len(facts['classes'])} classes" if facts["classes"] else "a number" if len(facts["target"]) == 1 else "numbers"
    without = f" ({task.dropped:,} more have no target)" if task.dropped else ""
    typer.echo(f"{', '.join(facts['target'])} ({what}) from {facts['columns']:,} columns, {task.n:,} rows{without}\n")
    if report is not None:
        print_rich(report)
    if facts["note"]:
        typer.echo(facts["note"])
    members = ", ".join(f"{m['family']} {m['weight']:.0%}" for m in facts["architecture"]["members"])
    layers = " + ".join(str(layer["neurons"]) for layer in facts["architecture"]["layers"])
    hidden = f"{layers} neurons" if layers else "no hidden neurons"
    typer.echo(f"\nwoven    {members}; {hidden}, {facts['architecture']['head']} readout")
    typer.echo(f"why      {facts['architecture']['why']}")
    size = f"{facts['parameters']:,} parameters, {facts['bytes'] / 1000:.1f} kB"
    typer.echo(f"size     {size}; one row in {facts['row_microseconds']:.0f} us")
    typer.echo(f"saved    {facts['network']}")
