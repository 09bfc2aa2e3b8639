"""``netloom predict``: a network and a table in, predictions out, in the order of the rows; needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.options import TABLE_HELP, Threads, same_file, use_threads
from netloom.errors import ConfigError

__all__ = ["predict"]


def predict(
    ctx: typer.Context,
    network: Annotated[Path, typer.Argument(help="A .netloom file.", show_default=False)],
    table: Annotated[str, typer.Argument(help=TABLE_HELP, show_default=False)],
    out: Annotated[str, typer.Option(help="File to write, its format by its name: .csv .tsv .jsonl .parquet; - is standard output.")] = "-",
    proba: Annotated[
        bool | None, typer.Option("--proba/--no-proba", help="A column with the chance of each class; by default yes.", show_default=False)
    ] = None,
    interval: Annotated[
        float | None, typer.Option(help="Columns low and high that hold the value with this chance, e.g. 0.9.", show_default=False)
    ] = None,
    threads: Threads = 1,
) -> None:
    """Predict each row of a table. Columns are found by name, in any order; columns the network does not know are ignored."""
    use_threads(threads)
    from netloom.target.network import TargetNetwork
    from netloom.tasks.tables import read_table, write_table

    model = TargetNetwork.load(network)
    if proba and model.classes is None:
        raise ConfigError("--proba: this network predicts values, not classes; use --interval 0.9")
    if interval is not None and model.classes is not None:
        raise ConfigError("--interval: this network predicts classes, whose chances --proba gives")
    if out != "-" and (same_file(out, table) or same_file(out, network)):
        raise ConfigError(f"--out {out!r} is what is read; give another name")
    predicted = model.to_frame(read_table(table), coverage=interval)
    if proba is False:
        predicted = predicted.iloc[:, : len(model.target_names)]
    ctx.find_root().obj = "the output may be cut" if out == "-" else None
    write_table(predicted, out)
