"""``netloom bench``: networks, their controls and baselines on a folder of tables (protocol B); goes on where it was cut."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.options import Json
from netloom.cli.show import print_json, progress
from netloom.errors import ConfigError

__all__ = ["bench"]


def bench(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Holds index.csv, classification/*.parquet, regression/*.parquet.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for runs.csv and the summary made from it.")] = Path("bench"),
    models: Annotated[str | None, typer.Option(help="Names by commas; by default all that can run here.", show_default=False)] = None,
    seeds: Annotated[str, typer.Option(help="Splits, by commas.")] = "0,1,2",
    jobs: Annotated[int, typer.Option(min=1, help="Processes, each with one thread.")] = 1,
    tables: Annotated[str | None, typer.Option(help="Only these tables, by commas.", show_default=False)] = None,
    max_tables: Annotated[int | None, typer.Option(min=1, help="At most so many, evenly over the index.", show_default=False)] = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Score models on many tables. A line of runs.csv per table, split and model; lines that are there are not computed again."""
    try:
        splits = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds {seeds!r}: must be numbers by commas, e.g. 0,1,2") from None
    if min(splits) < 0:
        raise ConfigError(f"--seeds {seeds!r}: must be 0 or more")
    from netloom.evaluate.suite import run
    from netloom.evaluate.summary import summarise

    ctx.find_root().obj = f"finished lines are in {out / 'runs.csv'}, and the same command goes on from there"
    chosen, only = (text.split(",") if text else None for text in (models, tables))
    with progress(quiet) as tell:
        run(folder, out / "runs.csv", chosen, seeds=splits, tables=only, max_tables=max_tables, jobs=jobs, progress=tell)
    summary = summarise(out / "runs.csv", models=chosen)
    written = summary.write(out)
    if as_json:
        lines = {"scores": summary.table.to_dict("records"), "costs": summary.costs.to_dict("records")}
        print_json(lines | {"written": [str(path) for path in (out / "runs.csv", *written)]})
    else:
        typer.echo(summary.to_markdown())
        typer.echo(f"written: {', '.join(str(path) for path in (out / 'runs.csv', *written))}")
