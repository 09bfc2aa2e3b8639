"""``netloom diff``: what has changed between two networks, in architecture and in what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from netloom.cli.options import TABLE_HELP, Json
from netloom.cli.show import print_json

__all__ = ["diff"]


def diff(
    old: Annotated[Path, typer.Argument(help="A .netloom file.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="Another one, of the same target.", show_default=False)],
    table: Annotated[
        str | None, typer.Option(help=f"Rows to compare on, scored if they hold the target; else made up. {TABLE_HELP}", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two networks: architecture, predictions on the same rows, and the columns they listen to."""
    from netloom.target.diff import difference
    from netloom.target.network import TargetNetwork
    from netloom.tasks.tables import read_table

    first, second = TargetNetwork.load(old), TargetNetwork.load(new)
    found = difference(first, second, None if table is None else read_table(table))
    if as_json:
        print_json(found.to_dict())
        return
    typer.echo("architecture:" if found.architecture else "architecture: as before")
    for name, a, b in found.architecture:
        typer.echo(f"  {name:<14} {_short(a)} -> {_short(b)}")
    if found.same_neurons:
        typer.echo("  neurons are the same, only the readout may have changed")
    typer.echo(f"behaviour on {found.rows:,} {found.source} rows:")
    shown = {"agree": "same label", "moved": "mean move", "largest": "largest move", "correlation": "correlation"}
    for name, value in found.behaviour.items():
        typer.echo(f"  {shown[name]:<14} {value:.4f}")
    if found.scores:
        s = found.scores
        typer.echo(f"  {s['loss']}: {s['old']:.4f} -> {s['new']:.4f}, lower by {s['gain']:.4f} +- {s['gain_se']:.4f} ({s['rows']:,} rows)")
    moving = [c for c in found.columns if abs(c[2] - c[1]) > 0]
    if moving:
        typer.echo("columns (how far predictions move when it is shuffled):")
        width = max(14, *(min(len(name), 60) for name, _, _ in moving))
        for name, a, b in moving:
            typer.echo(f"  {_short(name):<{width}} {a:.4f} -> {b:.4f}")
    if found.examples:
        typer.echo("rows that moved most:")
        for row, a, b in found.examples:
            typer.echo(f"  row {row:<10} {_short(a)} -> {_short(b)}")


def _short(value: Any) -> str:
    text = f"{value:.5g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
