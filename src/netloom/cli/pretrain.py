"""``netloom pretrain``: meta-train a loom, or go on; also ``torchrun --nproc-per-node 2 -m netloom.training config.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from netloom.cli.options import Json
from netloom.cli.show import print_json
from netloom.errors import ConfigError

__all__ = ["pretrain"]


def pretrain(
    ctx: typer.Context,
    config: Annotated[Path, typer.Argument(help="TOML, e.g. examples/pretrain.toml; docs/pretrain.md lists all keys.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; an unfinished run in it goes on.", show_default=False)] = None,
    init: Annotated[Path | None, typer.Option(help="Weights to start from (.safetensors).", show_default=False)] = None,
    tables: Annotated[Path | None, typer.Option(help="Folder of tables that half of the tasks are made of.", show_default=False)] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE: replaces a setting.", show_default=False)] = None,
    pack: Annotated[Path | None, typer.Option(help="Only write the tables here, to train without pandas.", show_default=False)] = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Meta-train a loom on synthetic tasks, and on your own tables. Interrupt at any time: the same command goes on."""
    from netloom.training.__main__ import parse_changes
    from netloom.training.settings import Settings

    changes: dict[str, Any] = parse_changes(change or [])
    changes |= {name: str(path) for name, path in (("out", out), ("init", init), ("tables", tables)) if path is not None}
    settings = Settings.from_toml(config, **changes)
    say = (lambda line: None) if quiet else (lambda line: typer.echo(line, err=True))
    if pack is not None:
        from netloom.tasks.pack import load_tables, write_packed

        if not settings.tables:
            raise ConfigError("--pack needs tables: give --tables FOLDER")
        packed = load_tables(settings.tables, say)
        write_packed(pack, packed)
        typer.echo(f"{len(packed)} tables, {pack}")
        return
    ctx.find_root().obj = f"the last checkpoint in {settings.out} is whole; the same command goes on from there"
    from netloom.training.trainer import pretrain as train

    state = train(settings, say)
    weights = Path(settings.out) / "loom.safetensors"
    if as_json:
        counts = {"step": state.step, "tasks": state.tasks, "seconds": state.seconds}
        print_json({**counts, "validation": state.validation, "weights": str(weights)})
    else:
        typer.echo(str(weights))
