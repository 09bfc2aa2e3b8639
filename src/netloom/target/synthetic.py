"""Rows that look like those a network was woven from: drawn from its summary of them, or column by column where it keeps none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from netloom.target.network import TargetNetwork
from netloom.target.reference import Reference, value_features

__all__ = ["synthetic_frame"]

ANOTHER = "another"  # a level that has no feature of its own


def synthetic_frame(network: TargetNetwork, n: int, seed: int = 0) -> pd.DataFrame:
    """A table of ``n`` rows with the network's columns, missing values where it has seen some."""
    schema, made, start = network.schema, [], 0
    X = (network.reference or _from_scalings(network)).sample(schema, n, seed)
    for column in schema.columns:
        width = len(column.labels())
        values = pd.Series(_values(column, X[:, start : start + width]))
        made.append(values.mask(X[:, start + width] > 0.5) if column.missing else values)
        start += width + column.missing
    frame = pd.concat(made, axis=1) if made else pd.DataFrame(index=range(n))
    names: list[Any] = [column.name for column in schema.columns]
    frame.columns = pd.Index(names) if schema.named else pd.RangeIndex(len(names))
    return frame


def _values(column: Any, own: np.ndarray) -> np.ndarray:
    """Values (n,) of one column whose features are ``own`` (n, width)."""
    n = len(own)
    if column.kind == "number":
        return own[:, 0] if column.varies else np.full(n, column.low)
    if column.kind == "boolean":
        return own[:, 0] > 0.5 if column.varies else np.full(n, column.fill > 0.5)
    if column.kind == "category" and column.extra == "length":
        return np.array(["x" * int(max(length, 0)) for length in own[:, -1].tolist()], dtype=object)
    if column.kind == "category" and own.shape[1]:
        levels = own[:, : column.kept]
        code = own[:, 0] > 0.5 if column.pair else np.where(levels.max(axis=1) > 0.5, levels.argmax(axis=1), -1)
        return np.array([*column.levels[: column.kept], ANOTHER], dtype=object)[code.astype(int)]
    if column.kind == "date" and "days" in column.parts:
        return (own[:, column.parts.index("days")] * 86_400e6).astype("int64").astype("datetime64[us]")
    return np.full(n, None, dtype=object)


def _from_scalings(network: TargetNetwork) -> Reference:
    """A summary from what the views know: normal values, yes as often as on average, nothing of how columns go together."""
    schema = network.schema
    d, values = len(schema.features), value_features(schema)
    centre, scale = np.full(d, 0.5), np.zeros(d)
    for view in network.weights.views:
        centre[view.columns], scale[view.columns] = view.centre, view.scale
    quantiles = centre[values, None] + scale[values, None] * ndtri(np.linspace(0.005, 0.995, 17))
    for i, f in enumerate(values):
        column = schema.columns[schema.features[f].column]
        if column.kind == "number":
            quantiles[i] = quantiles[i].clip(column.low, column.high)
    latent = np.stack([np.clip(centre, 0, 1), np.ones(d)], axis=1)
    latent[values, 0] = 0
    return Reference(latent, quantiles, np.zeros(5))
