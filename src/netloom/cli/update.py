"""``netloom update``: new rows into a network that is in use; readers see the old one or the new one, whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from netloom.cli.options import TABLE_HELP, Json, Threads, use_threads
from netloom.cli.show import print_json, progress

__all__ = ["update"]


def update(
    ctx: typer.Context,
    network: Annotated[Path, typer.Argument(help="A .netloom file; it is replaced if the new network is better.", show_default=False)],
    table: Annotated[str, typer.Argument(help=f"New rows only, with their target. {TABLE_HELP}", show_default=False)],
    learned: Annotated[
        str | None, typer.Option("--table", help="The rows the network was woven from: needed the first time.", show_default=False)
    ] = None,
    reweave: Annotated[
        Literal["auto", "always", "never"], typer.Option(help="Weave neurons anew: auto is when its own error says so.")
    ] = "auto",
    weight: Annotated[str | None, typer.Option(help="Column that says how much each row counts.", show_default=False)] = None,
    threads: Threads = 1,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Add rows to a network and keep the better one.

    What the rows add up to, and the newest rows themselves, are kept in a second file beside the network, NETWORK.memory; predicting
    does not need it.
    """
    use_threads(threads)
    with progress(quiet) as tell:
        tell(0.0, f"reading {table}")
        import torch

        from netloom.refine.door import task_for
        from netloom.refine.files import memory_path, update_file
        from netloom.target.network import TargetNetwork
        from netloom.tasks.tables import read_table

        torch.set_num_threads(threads)
        model = TargetNetwork.load(network)
        new = task_for(model, read_table(table), weight=weight)
        old = None if learned is None else task_for(model, read_table(learned), weight=weight)
        done = update_file(network, new, learned=old, reweave=reweave, progress=tell)
    ctx.find_root().obj = f"{network} was updated"
    if as_json:
        facts = {name: getattr(done, name) for name in ("action", "why", "rows", "version", "prequential", "recent", "promised", "broken")}
        facts |= {name: getattr(done, name) for name in ("before", "after", "gain", "error")}
        print_json(facts | {"network": str(network), "memory": memory_path(network), "rows_in_all": done.memory.rows})
        return
    typer.echo(f"{done.action}: {done.why}")
    loss = "log loss" if done.network.classes is not None else "squared error (in squared deviations)"
    promised = f", promised {done.promised:.4f}" if done.memory.errors.of else ""
    typer.echo(f"{loss} of new rows before they were learned: {done.prequential:.4f}{promised}")
    typer.echo(f"{done.rows:,} new rows, {done.memory.rows:,} in all; memory in {memory_path(network)}")
