"""Rows unlike those of training, each with the reasons: a value out of range, a level never seen, an odd combination."""

import numpy as np
import pandas as pd

from netloom.target.reference import LEVELS, Reference
from netloom.tasks.columns.category import Category
from netloom.tasks.columns.column import shorten
from netloom.tasks.columns.number import Number
from netloom.tasks.schema import Schema

__all__ = ["unlike_rows"]

BEYOND = 0.05  # of the training range: so far outside is worth a word
USUAL = LEVELS.index(0.995)


def unlike_rows(schema: Schema, reference: Reference, X: np.ndarray, frame: pd.DataFrame | None = None) -> list[tuple[str, ...]]:
    """Reasons for each encoded row of X (n, d), none for a row like those of training; ``frame`` (n rows) to name its values."""
    found: list[list[str]] = [[] for _ in range(len(X))]
    start = 0
    for j, column in enumerate(schema.columns):
        width = len(column.labels())
        if isinstance(column, Number) and column.varies:
            x, far = X[:, start], BEYOND * (column.high - column.low)
            for i in np.flatnonzero((x < column.low - far) | (x > column.high + far)):
                found[i].append(f"{column.name} = {x[i]:.6g}, training had {column.low:.6g} to {column.high:.6g}")
        elif isinstance(column, Category) and column.kept and width:
            own = X[:, start : start + width]
            if column.pair:
                strange = (own[:, 0] != 0) & (own[:, 0] != 1)
            else:
                strange = ~own[:, : column.after_levels].any(axis=1) if column.kept > 1 else np.zeros(len(X), dtype=bool)
            if column.missing:
                strange &= X[:, start + width] == 0
            for i in np.flatnonzero(strange):
                value = _value(frame, column.name, j, int(i))
                found[i].append(f"{column.name}{value}: not seen in training")
        start += width + column.missing
    distance, odd = reference.distance(schema, X)
    for i in np.flatnonzero(distance > reference.distances[USUAL] * (1 + 1e-3)):
        if not found[i]:
            f = schema.features[int(np.abs(odd[i]).argmax())]
            found[i].append(f"an odd combination: {f.label} does not go with the rest")
    return [tuple(reasons) for reasons in found]


def _value(frame: pd.DataFrame | None, name: str, j: int, row: int) -> str:
    """The value itself where it can be found, for people."""
    if frame is None:
        return ""
    names = [str(column) for column in frame.columns]
    at = names.index(name) if names.count(name) == 1 else j if j < len(names) else None
    return "" if at is None else f" = {shorten(frame.iloc[row, at])}"
