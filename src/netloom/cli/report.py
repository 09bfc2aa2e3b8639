"""``netloom report``: a network's report as one HTML file; needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.options import TABLE_HELP, Threads, check_place, same_file, use_threads
from netloom.errors import ConfigError, FileError

__all__ = ["report"]

START = b"<!doctype html>"


def report(
    ctx: typer.Context,
    network: Annotated[Path, typer.Argument(help="A .netloom file.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="HTML file to write; by default the network's name with .html, in this folder.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help=f"A table to compare with the training one, to score and to explain: {TABLE_HELP}", show_default=False),
    ] = None,
    threads: Threads = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace --out whatever it is.")] = False,
) -> None:
    """Write what a network does as one page: how good, how sure, what each column does, warnings, model card.

    The page asks nothing of any host, reads on a phone, in print and in the dark.
    """
    use_threads(threads)
    path = out or Path(network.name).with_suffix(".html")
    _check_out(path, network, data, force)
    from netloom.report import write_report
    from netloom.target.network import TargetNetwork

    model = TargetNetwork.load(network)
    table = None
    if data is not None:
        from netloom.tasks.tables import read_table

        table = read_table(data)
    name = "standard input" if data == "-" else Path(data).name if data else ""
    write_report(model, path, table, data_name=name, file=network.name)
    ctx.find_root().obj = f"{path} was written"
    typer.echo(f"{path}: {path.stat().st_size / 1000:.0f} kB, one file that asks nothing of any host")


def _check_out(path: Path, network: Path, data: str | None, force: bool) -> None:
    """FileError or ConfigError early where the report cannot or must not be written: only an HTML page is replaced, unless forced."""
    check_place(path, "report.html")
    if same_file(path, network) or (data is not None and same_file(path, data)):
        raise ConfigError(f"--out {str(path)!r} is what is read; give another name")
    if path.exists() and not force:
        with open(path, "rb") as existing:
            begins = existing.read(200).lstrip().lower()
        if begins and not begins.startswith((START, b"<html")):
            raise FileError(f"{str(path)!r} exists and is not an HTML page; give another --out, or --force")
