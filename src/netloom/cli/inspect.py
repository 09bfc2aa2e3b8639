"""``netloom inspect``: what is in a network's file, what each column does to its output, and how sure it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netloom.cli.options import TABLE_HELP, Json
from netloom.cli.show import print_json, print_rich

if TYPE_CHECKING:
    from netloom.target.explain import Explanation, Shape
    from netloom.target.network import TargetNetwork

__all__ = ["inspect"]

SHOWN = 40  # columns
ROWS, PARTS = 20, 5  # rows explained in print, contributions of each
BARS = " ▁▂▃▄▅▆▇█"


def inspect(
    network: Annotated[Path, typer.Argument(help="A .netloom file.", show_default=False)],
    explain: Annotated[str | None, typer.Option(help=f"Explain the rows of this table: {TABLE_HELP}", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Show a network: what its columns do, alone and in pairs, its architecture, how good and how sure it is, where it comes from.

    "moves" is the mean size of a column's contribution to the output (log odds for classes) over usual rows, "share" its part of all of
    them; the shape is how the output goes with the column's value, from low to high.
    """
    from netloom.target.network import TargetNetwork

    model = TargetNetwork.load(network)
    table = None
    if explain is not None:
        from netloom.tasks.tables import read_table

        table = read_table(explain)
    explanation = model.explain(table) if model.reference is not None else None
    if as_json:
        print_json(_facts(network, model, explanation, table is not None))
        return
    typer.echo(model.summary())
    for key, value in model.provenance.items():
        typer.echo(f"  {key:<10} {value}")
    if "why" in model.architecture:
        typer.echo(f"  why        {model.architecture['why']}")
    _print_sureness(model)
    if explanation is None:
        typer.echo("what the columns do is not known: this file has no summary of its training rows; fit the network again")
        return
    if table is not None:
        _print_rows(model, explanation)
        return
    _print_columns(model, explanation)


def _facts(path: Path, model: TargetNetwork, explanation: Explanation | None, rows: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"file": str(path), "kind": model.kind, "target": list(model.target_names)}
    facts |= {"classes": None if model.classes is None else model.classes.tolist(), "columns": [], "pairs": []}
    facts |= {"architecture": model.architecture, "metrics": model.metrics, "provenance": model.provenance}
    facts |= {"parameters": model.n_parameters, "bytes": model.n_bytes}
    if explanation is None:
        return facts
    facts |= {"unit": explanation.unit, "outputs": list(explanation.outputs), "additive": explanation.additive}
    shapes = {shape.column: shape for shape in explanation.shapes}
    for j, column in enumerate(model.schema.columns):
        found: dict[str, Any] = {"name": column.name, "kind": column.kind}
        found["features"] = [feature.label for feature in model.schema.features if feature.column == j]
        found |= {"moves": explanation.moves[j], "share": explanation.shares[j]}
        if j in shapes:
            shape = shapes[j]
            found["shape"] = {"values": None if shape.values is None else shape.values.tolist(), "labels": list(shape.labels)}
            found["shape"] |= {"effect": shape.effect.tolist(), "additive": shape.direct.tolist()}
        facts["columns"].append(found)
    facts["pairs"] = [{"columns": [p.first, p.second], "strength": p.strength, "relative": p.relative} for p in explanation.pairs]
    if rows:
        facts["base"] = explanation.base.tolist()
        facts["rows"] = [
            {
                "output": explanation.predictions[i].tolist(),
                "contributions": dict(zip(explanation.columns, explanation.contributions[i].tolist(), strict=True)),
                "unlike": list(explanation.unlike[i]),
            }
            for i in range(len(explanation.predictions))
        ]
    return facts


def _print_sureness(model: TargetNetwork) -> None:
    """Calibration and coverage on held-out rows, and the warnings kept at fit, a line each."""
    from netloom.explain.findings import findings_from

    sure = model.metrics.get("calibration", {})
    if sure.get("chances"):
        said = ", ".join(f"{given:.0%} -> {true:.0%}" for given, true, _ in sure["chances"][:: max(1, len(sure["chances"]) // 5)])
        typer.echo(f"  chances    said -> came true: {said} ({sure['how']})")
    if sure.get("coverage"):
        said = ", ".join(f"{asked:.0%} -> {inside:.0%}" for asked, inside in sure["coverage"])
        typer.echo(f"  intervals  asked for -> held the value: {said} ({sure['how']})")
    for finding in findings_from(model.metrics.get("warnings")):
        typer.echo(f"  warning    {finding.column + ': ' if finding.column else ''}{finding.says}")


def _print_columns(model: TargetNetwork, explanation: Explanation) -> None:
    import numpy as np
    from rich.table import Table

    shapes = {shape.column: shape for shape in explanation.shapes}
    order = np.argsort(-explanation.moves, kind="stable")[:SHOWN]
    more = f", the {SHOWN} of {len(explanation.columns)} that move it most" if len(explanation.columns) > SHOWN else ""
    title = f"columns{more} ({explanation.additive:.0%} of what they do is exactly additive, the rest is of neurons)"
    rows = Table(title=title, title_justify="left")
    for head in ("column", "kind", "share", "moves", f"shape{_of(explanation)}"):
        rows.add_column(head, justify="right" if head in ("share", "moves") else "left")
    for j in map(int, order):
        if j >= len(model.schema.columns):
            continue
        drawn = _drawn(shapes[j], _most(shapes[j])) if j in shapes else "(not read: it does not vary)"
        column = model.schema.columns[j]
        rows.add_row(_plain(column.name), column.kind, f"{explanation.shares[j]:.1%}", f"{explanation.moves[j]:.3g}", _plain(drawn))
    print_rich(rows)
    strong = [pair for pair in explanation.pairs if pair.relative >= 0.005][:5]
    if strong:
        said = ", ".join(f"{pair.first} with {pair.second} ({pair.relative:.1%})" for pair in strong)
        typer.echo(f"together, in parts of the output's deviation: {said}")
    elif len(explanation.columns) > 1:
        typer.echo("no two columns act together by more than 0.5 % of the output's deviation")


def _print_rows(model: TargetNetwork, explanation: Explanation) -> None:
    import numpy as np

    unit = f" {explanation.unit}" if explanation.unit != "value" else ""
    for i in range(min(ROWS, len(explanation.predictions))):
        out = explanation.predictions[i]
        o = int(out.argmax()) if explanation.unit == "logit" else 0
        parts = explanation.contributions[i, :, o]
        order = np.argsort(-np.abs(parts), kind="stable")
        said = ", ".join(f"{explanation.columns[j]} {parts[j]:+.3g}" for j in order[:PARTS])
        rest = parts[order[PARTS:]].sum()
        said += f", {len(order) - PARTS} others {rest:+.3g}" if len(order) > PARTS else ""
        typer.echo(f"row {i}: {explanation.outputs[o]} {out[o]:.4g}{unit} = {explanation.base[o]:.4g} on average, {said}")
        for reason in explanation.unlike[i]:
            typer.echo(f"       unlike the training rows: {reason}")
    left = len(explanation.predictions) - ROWS
    if left > 0:
        typer.echo(f"({left} more rows: --json gives all)")


def _of(explanation: Explanation) -> str:
    return " for the class it moves most" if explanation.unit == "logit" else ""


def _most(shape: Shape) -> int:
    """The output that the column moves most."""
    return int((shape.effect.max(axis=0) - shape.effect.min(axis=0)).argmax())


def _drawn(shape: Shape, o: int) -> str:
    """A curve as bars from the lowest to the highest value, or a few levels with their effects."""
    effect = shape.effect[:, o]
    if shape.values is not None:
        curve = effect[: len(shape.values)]
        few = curve[:: max(1, len(curve) // 20)]
        low, span = few.min(), few.max() - few.min()
        bars = "".join(BARS[1 + int(7 * (v - low) / span + 0.5)] if span > 0 else BARS[1] for v in few)
        return f"{bars}  {few[0]:+.3g} at {shape.labels[0]}, {few[-1]:+.3g} at {shape.labels[len(curve) - 1]}"
    said = ", ".join(f"{label} {value:+.3g}" for label, value in list(zip(shape.labels, effect, strict=True))[:4])
    return said + (f", ... ({len(effect)})" if len(effect) > 4 else "")


def _plain(text: str, limit: int = 60) -> str:
    """Short, and no markup of rich in it."""
    return (text if len(text) <= limit else f"{text[: limit - 3]}...").replace("[", r"\[")
