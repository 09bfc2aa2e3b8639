"""What travels with every exported network: one JSON document with its inputs, code tables, classes, schema and scores."""

from __future__ import annotations

import json
from typing import Any

from netloom import __version__
from netloom.export.plan import Plan
from netloom.target.network import TargetNetwork
from netloom.tasks.labels import labels_to_json

__all__ = ["FORMAT", "as_json", "class_names", "describe", "input_names"]

FORMAT = 1


def describe(network: TargetNetwork, plan: Plan) -> dict[str, Any]:
    """The document, plain JSON.

    ``numbers`` and ``codes`` say what a runtime that reads no texts or dates is given, in order; ``columns`` the same by name of column.
    """
    names = input_names(network)
    numbers = []
    for slot in plan.slots:
        column = network.schema.columns[slot.column]
        label = f"{names[slot.column]}:{slot.part}" if slot.part else names[slot.column]
        numbers.append({"name": label, "column": slot.column, "kind": column.kind, "part": slot.part, "missing": "NaN"})
    codes = []
    for code in plan.codes:
        table = {"levels": list(code.levels), "unseen": code.unseen, "missing": code.missing}
        codes.append({"name": names[code.column], "column": code.column, **table})
    return {
        "netloom": __version__,
        "format": FORMAT,
        "kind": network.kind,
        "target_names": list(network.target_names),
        "classes": None if network.classes is None else labels_to_json(network.classes),
        "numbers": numbers,
        "codes": codes,
        "schema": network.schema.to_json(),
        "architecture": network.architecture,
        "metrics": network.metrics,
        "provenance": network.provenance,
    }


def as_json(document: dict[str, Any]) -> str:
    """One line of ASCII, the same for the same document."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def input_names(network: TargetNetwork) -> list[str]:
    """A distinct name for every column: its own, with a number behind where it occurs again."""
    taken = {"label", "chances", "values"}  # of outputs
    names = []
    for column in network.schema.columns:
        name, again = column.name or "(no name)", 1
        while name in taken:
            again += 1
            name = f"{column.name} ({again})"
        taken.add(name)
        names.append(name)
    return names


def class_names(network: TargetNetwork) -> list[str]:
    """The classes as texts, in the order of the chances; empty for values."""
    return [] if network.classes is None else [str(label) for label in network.classes.tolist()]
