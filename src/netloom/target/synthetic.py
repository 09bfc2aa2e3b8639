"""Rows that look, column by column, like those a network was woven from: what its schema and scalings still know. Columns are
independent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from netloom.target.network import TargetNetwork

__all__ = ["synthetic_frame"]


def synthetic_frame(network: TargetNetwork, n: int, seed: int = 0) -> pd.DataFrame:
    """A table of ``n`` rows with the network's columns, missing values where it has seen some."""
    rng = np.random.default_rng(seed)
    schema = network.schema
    centre, scale = usual(network)
    names: list[Any] = [column.name for column in schema.columns]
    made = []
    for j, column in enumerate(schema.columns):
        mine = [f for f, feature in enumerate(schema.features) if feature.column == j]
        values = _values(column, mine, schema.features, centre, scale, n, rng)
        if column.missing and mine:
            gone = rng.random(n) < (centre[mine[-1]] if np.isfinite(centre[mine[-1]]) else 0.1)
            values = pd.Series(values, dtype=object if values.dtype == object else None).where(~gone, None).to_numpy()
        made.append(pd.Series(values))
    frame = pd.concat(made, axis=1) if made else pd.DataFrame(index=range(n))
    frame.columns = pd.Index(names) if schema.named else pd.RangeIndex(len(names))
    return frame


def usual(network: TargetNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (d,) of the encoded columns; NaN for those the network does not read."""
    d = len(network.schema.features)
    centre, scale = np.full(d, np.nan), np.full(d, np.nan)
    for view in network.weights.views:
        centre[view.columns], scale[view.columns] = view.centre, view.scale
    return centre, scale


def _values(
    column: Any, mine: list[int], features: tuple[Any, ...], centre: np.ndarray, scale: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Values (n,) of one column."""
    first = mine[0] if mine else -1
    known = bool(mine) and np.isfinite(centre[first])
    if column.kind == "number" and column.varies:
        drawn = rng.normal(centre[first], scale[first], n) if known else rng.uniform(column.low, column.high, n)
        return np.clip(drawn, column.low, column.high)
    if column.kind == "number":
        return np.full(n, column.low)
    if column.kind == "boolean":
        return rng.random(n) < column.fill
    if column.kind == "category" and column.levels:
        if column.pair:
            return np.array(column.levels, dtype=object)[(rng.random(n) < column.share).astype(int)]
        share = np.ones(len(column.levels))
        kept = mine[: column.kept]
        if len(kept) == len(share) and np.isfinite(centre[kept]).all():
            share = np.clip(centre[kept], 1e-6, 1)
        elif column.logs:
            share = np.exp(column.logs)
        return rng.choice(np.array(column.levels, dtype=object), n, p=share / share.sum())
    if column.kind == "date" and column.parts:
        if column.parts[0] == "days":
            days = rng.normal(centre[first], scale[first], n) if known else column.fill[0] + rng.normal(0, 100, n)
        else:
            days = rng.uniform(0, 365, n)
        return np.array([np.datetime64(0, "s") + np.timedelta64(int(day * 86400), "s") for day in days])
    return np.full(n, None, dtype=object)
