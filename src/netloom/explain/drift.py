"""A later table against the training one, column by column, from the summary that a network keeps: no training row is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.target.network import TargetNetwork
from netloom.target.reference import need_reference, value_features

__all__ = ["Drift", "drift"]

ALLOWED = 0.15  # how far apart two distributions may be, beside what chance does
CHANCE = 1.36  # over the root of the rows: Kolmogorov-Smirnov, 5 %
FAR = 0.1  # difference in the share of missing values


@dataclass(frozen=True)
class Drift:
    """One column, then and now.

    gap : largest difference between the shares of rows below any value (Kolmogorov-Smirnov), or half the sum of the differences between
        the shares of levels; 0 to 1
    outside : share of the rows now beyond what training had, or of a level it never had
    missing : share of missing values in training and now
    drifted : whether this is more than chance and 15 percentage points
    """

    column: str
    kind: str
    gap: float
    outside: float
    missing: tuple[float, float]
    drifted: bool


def drift(network: TargetNetwork, table: Any) -> list[Drift]:
    """Each column of a table of at least one row, the one that has moved most first."""
    schema, reference = network.schema, need_reference(network.reference)
    X = schema.encode(table)
    n = max(len(X), 1)
    allowed = ALLOWED + CHANCE / n**0.5
    place = {int(f): i for i, f in enumerate(value_features(schema))}
    found, start = [], 0
    for column in schema.columns:
        width = len(column.labels())
        features = range(start, start + width)
        was, now = 0.0, 0.0
        seen = np.ones(len(X), dtype=bool)
        if column.missing:
            was, now = float(reference.shares[start + width]), float(X[:, start + width].mean()) if len(X) else 0.0
            seen = X[:, start + width] == 0
        gap = outside = 0.0
        if seen.any():
            own = X[seen]
            values = [f for f in features if f in place]
            levels = [f for f in features if f not in place]
            if levels:
                then = reference.shares[levels] / max(1 - was, 1e-6)
                gap = float(np.abs(own[:, levels].mean(axis=0) - then).sum()) / (2 if len(levels) > 1 else 1)
                if column.kind == "category":
                    strange = ~np.isin(own[:, levels[0]], (0, 1)) if len(levels) == 1 else ~own[:, levels].any(axis=1)
                    outside = float(strange.mean()) if len(levels) > 1 or getattr(column, "pair", False) else 0.0
            if values and not levels:
                knots = reference.quantiles[place[values[0]]].astype(np.float64)
                gap = _apart(own[:, values[0]], knots)
                edge = 1e-5 * (knots[-1] - knots[0])  # the knots are kept in single precision
                outside = float(((own[:, values[0]] < knots[0] - edge) | (own[:, values[0]] > knots[-1] + edge)).mean())
        moved = gap > allowed or abs(now - was) > FAR + CHANCE / n**0.5
        if width or column.missing:
            found.append(Drift(column.name, column.kind, gap, outside, (was, now), bool(moved)))
        start += width + column.missing
    return sorted(found, key=lambda d: (-d.drifted, -d.gap))


def _apart(x: np.ndarray, knots: np.ndarray) -> float:
    """Largest difference between the share of ``x`` up to a value and what training had: of few values known only to within one step."""
    value = np.unique(knots)
    last = np.searchsorted(knots, value, side="right") - 1
    steps = len(knots) - 1
    least, most = last / steps, np.minimum(last + (len(value) < len(knots)), steps) / steps
    edge = 1e-5 * (knots[-1] - knots[0])  # the knots are kept in single precision
    up_to = np.searchsorted(np.sort(x), value + edge, side="right") / len(x)
    return float(np.maximum(np.maximum(least - up_to, up_to - most), 0).max())
