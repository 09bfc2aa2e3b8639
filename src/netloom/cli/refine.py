"""``netloom refine``: gradient steps on a woven network until a criterion is met, kept only where held-out rows are better for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.options import TABLE_HELP, Json, Threads, same_file, use_threads, writable_network
from netloom.cli.show import print_json, progress

__all__ = ["refine"]

UNTIL_HELP = (
    "When to stop: steps=500, seconds=30, patience=200 (steps without improvement), log_loss<=0.3, accuracy>=0.9, rmse<=2, r2>=0.8; "
    "joined by | (either) and & (both)."
)


def refine(
    ctx: typer.Context,
    network: Annotated[Path, typer.Argument(help="A .netloom file.", show_default=False)],
    table: Annotated[str, typer.Argument(help=f"The rows it was woven from. {TABLE_HELP}", show_default=False)],
    until: Annotated[str, typer.Option(help=UNTIL_HELP)] = "patience=250 | steps=992",
    out: Annotated[Path | None, typer.Option(help="File to write; by default the network's own.", show_default=False)] = None,
    weight: Annotated[str | None, typer.Option(help="Column that says how much each row counts.", show_default=False)] = None,
    rate: Annotated[
        list[float] | None, typer.Option(help="Learning rates that are tried side by side; by default 0.015 and 0.1.", show_default=False)
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Held-out folds that judge.")] = 3,
    threads: Threads = 1,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace --out whatever it is.")] = False,
) -> None:
    """Train a network further; Ctrl-C ends the steps and keeps the best so far.

    In each fold a network is woven on the other rows and refined beside the whole one. The file is written only if held-out rows are better
    for it.
    """
    use_threads(threads)
    path = writable_network(out, table, force) if out is not None else network
    with progress(quiet) as tell:
        tell(0.0, f"reading {table}")
        from netloom.errors import ConfigError
        from netloom.refine.until import parse_until
        from netloom.target.network import TargetNetwork
        from netloom.tasks.tables import read_table

        stop = parse_until(until)
        model = TargetNetwork.load(network)
        if same_file(network, table):
            raise ConfigError(f"{table}: is the network itself; give the table it was woven from")
        import torch

        from netloom.refine.door import task_for
        from netloom.refine.guarded import refine_many
        from netloom.refine.train import Recipe

        torch.set_num_threads(threads)
        task = task_for(model, read_table(table), weight=weight)
        refined = refine_many([model], [task], stop, folds=folds, recipe=Recipe(rates=tuple(rate)) if rate else Recipe(), progress=tell)[0]
        if refined.kept or path != network:
            refined.network.save(path)
            ctx.find_root().obj = f"{path} was written"
    written = str(path) if refined.kept or path != network else None
    if as_json:
        print_json(
            {
                "kept": refined.kept,
                "why": refined.why,
                "steps": refined.steps,
                "taken": refined.taken,
                "seconds": refined.seconds,
                "steps_per_second": refined.steps_per_second,
                "held_out": {"before": refined.scores_before, "after": refined.scores_after},
                "loss": {"before": refined.before, "after": refined.after, "gain": refined.gain, "standard_error": refined.error},
                "curve": [list(point) for point in refined.curve],
                "written": written,
            }
        )
        return
    typer.echo(refined.why)
    for name, value in refined.scores_before.items():
        typer.echo(f"held out {name.replace('_', ' '):<9} {value:.4f} -> {refined.scores_after[name]:.4f}")
    if refined.taken:
        typer.echo(f"took     {refined.taken} steps in {refined.seconds:.1f} s, {refined.steps_per_second:.1f} a second")
    typer.echo(f"saved    {written}" if written else f"{network} stays as it was")
