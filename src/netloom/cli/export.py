"""``netloom export``: a network in the format of another runtime, which needs no netloom to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netloom.cli.options import Json, same_file
from netloom.cli.show import print_json
from netloom.errors import ConfigError

__all__ = ["export"]

USE = {  # what to do with the file, by its ending
    ".onnx": "the table goes in as it is, one input per column; the inputs are described in its metadata",
    ".pt2": "torch.export.load(...).module()(numbers, codes); prepare rows with the .py export of the same network",
    ".keras": 'keras.models.load_model(...)({{"numbers": ..., "codes": ...}}); prepare rows with the .py export of the same network',
    ".py": 'from {stem} import predict; predict({{"column": value, ...}}), or python {name} < table.csv',
    ".h": "include it and call its predict function; its first comment says what it is given",
}
GROUPED = "numbers, texts and dates go in as one input each; their columns, in order, are described in its metadata"


def export(
    network: Annotated[Path, typer.Argument(help="A .netloom file.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="File to write; its ending says the format: .onnx .pt2 .keras .py .h", show_default=False)],
    grouped: Annotated[
        bool, typer.Option("--grouped", help="ONNX with one input per kind of column, not per column: faster for one row.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a network as ONNX, torch, Keras, one Python file or a C header. Each predicts as the network does, to 1e-5."""
    from netloom.export import FORMATS
    from netloom.export import export as write
    from netloom.target.network import TargetNetwork

    if out.suffix.lower() not in FORMATS:  # before the network is read
        raise ConfigError(f"{out.name!r}: the ending says the format and must be one of {', '.join(FORMATS)}")
    if same_file(out, network):
        raise ConfigError(f"{str(out)!r} is what is read; give another name")
    size = write(TargetNetwork.load(network), out, grouped=grouped)
    if as_json:
        print_json({"file": str(out), "format": out.suffix.lower(), "bytes": size})
        return
    typer.echo(f"{out}  {size / 1000:.1f} kB")
    use = GROUPED if grouped else USE[out.suffix.lower()].format(stem=out.stem, name=out.name)
    typer.echo(f"  {use}")
