"""``netloom inspect``: what is in a network's file, and what each column does to its output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netloom.cli.options import Json
from netloom.cli.show import print_json, print_rich

if TYPE_CHECKING:
    import numpy as np

    from netloom.target.network import TargetNetwork

__all__ = ["inspect"]

STEPS = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)  # where a number is tried, in its deviations
SHOWN = 40  # columns


def inspect(network: Annotated[Path, typer.Argument(help="A .netloom file.", show_default=False)], as_json: Json = False) -> None:
    """Show a network: its columns and what they do, its architecture, how good it is, and where it comes from.

    "moves" is the standard deviation of the output (log odds for classes) as this column alone takes its usual values and all others
    are at their mean: what a column does only together with others does not show.
    """
    from netloom.target.network import TargetNetwork

    model = TargetNetwork.load(network)
    columns = _columns(model)
    if as_json:
        facts: dict[str, Any] = {"file": str(network), "kind": model.kind, "target": list(model.target_names)}
        facts |= {"classes": None if model.classes is None else model.classes.tolist(), "columns": columns}
        facts |= {"architecture": model.architecture, "metrics": model.metrics, "provenance": model.provenance}
        print_json(facts | {"parameters": model.n_parameters, "bytes": model.n_bytes})
        return
    from rich.table import Table

    typer.echo(model.summary())
    for key, value in model.provenance.items():
        typer.echo(f"  {key:<10} {value}")
    if "why" in model.architecture:
        typer.echo(f"  why        {model.architecture['why']}")
    shown = sorted(columns, key=lambda column: -column["moves"])[:SHOWN]
    more = f", the {SHOWN} of {len(columns)} that move it most" if len(columns) > SHOWN else ""
    rows = Table(title=f"columns{more}", title_justify="left")
    for head in ("column", "kind", "as", "moves"):
        rows.add_column(head, justify="right" if head == "moves" else "left")
    for column in shown:
        rows.add_row(column["name"], column["kind"], _shorten(column["features"]), f"{column['moves']:.3g}")
    print_rich(rows)


def _columns(model: TargetNetwork) -> list[dict[str, Any]]:
    """Per column: name, kind, the numbers it becomes, and how far it moves the output on its own."""
    import numpy as np

    features = model.schema.features
    centre, scale = _usual(model, len(features))
    found = []
    for j, column in enumerate(model.schema.columns):
        mine = [f for f, feature in enumerate(features) if feature.column == j]
        values = [f for f in mine if not features[f].binary]
        tried, chance = [centre], [1.0]
        for f in values:
            rows = np.tile(centre, (len(STEPS), 1))
            rows[:, f] += np.array(STEPS) * scale[f]
            tried += list(rows)
            chance += list(np.exp(-np.square(STEPS) / 2) / len(values))
        binary = [f for f in mine if features[f].binary]
        for f in binary:  # this level and no other of the column
            row = centre.copy()
            row[binary] = 0.0
            for value, share in ((1.0, centre[f]), (0.0, 1 - centre[f])) if len(binary) == 1 else ((1.0, centre[f]),):
                row = row.copy()
                row[f] = value
                tried.append(row)
                chance.append(float(np.clip(share, 0, 1)))
        moves = 0.0
        if mine:
            outputs = model.weights.forward(np.array(tried[1:]))  # (steps, O)
            if outputs.shape[1] > 1 and model.classes is not None:
                outputs = outputs - outputs.mean(axis=1, keepdims=True)  # only differences of logits matter
            share = np.array(chance[1:]) / max(sum(chance[1:]), 1e-12)
            moves = float(np.sqrt(share @ np.square(outputs - share @ outputs)).mean())
        found.append({"name": column.name, "kind": column.kind, "features": [features[f].label for f in mine], "moves": moves})
    return found


def _usual(model: TargetNetwork, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (d,) of the encoded columns, as far as the network still reads them."""
    import numpy as np

    centre, scale = np.zeros(d), np.zeros(d)
    for view in model.weights.views:
        centre[view.columns], scale[view.columns] = view.centre, view.scale
    return centre, scale


def _shorten(labels: list[str], limit: int = 50) -> str:
    text = ", ".join(labels) or "(not read: it does not vary)"
    return text if len(text) <= limit else f"{text[: limit - 3]}... ({len(labels)})"
