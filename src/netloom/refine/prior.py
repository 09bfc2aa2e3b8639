"""How far each feature's readout weight may be expected to move: the families a network was averaged from, as one prior.

An average of ridges with shares s_m, scales a_m and penalties b_m has, as a Gaussian process, about the kernel sum_m s_m a_m^2 / b_m f
f': a feature that only a family with a small share reads hardly moves when rows are added. For one family it is that family's own ridge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netloom.loom.assemble import Member
from netloom.loom.rules import GROWN
from netloom.target.weights import Weights

__all__ = ["prior_scales"]

FLAT = 2e-2  # deviations below are not blown up, as where families are scaled


def prior_scales(weights: Weights, members: Sequence[Member], deviation: np.ndarray) -> np.ndarray:
    """Prior deviation (p,) of each feature's weight, in units of the penalty 1; ``deviation`` (p,) of the features."""
    parts = _parts(weights, any("random" in member.parts for member in members))
    unit = 1 / np.square(np.maximum(deviation, FLAT))
    variance = np.zeros(len(deviation))
    for member in members:
        chosen = np.unique(np.concatenate([parts[part] for part in member.parts]))
        variance[chosen] += member.weight * unit[chosen] / max(len(chosen), 1) / member.penalty
    known = variance[variance > 0]
    least = known.min() if len(known) else 1.0
    return np.sqrt(np.maximum(variance, least))


def _parts(weights: Weights, random: bool) -> dict[str, np.ndarray]:
    """Which features each part of the pool became, by view and by layer; random neurons come first and read values, then cuts and rules.

    The trees that rules are from cannot be told apart any more.
    """
    first = np.concatenate([[0], np.cumsum(weights.widths)]).astype(int)
    views = len(weights.views)
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("values", "cells", "random", "cuts", "rules", "woven", "woven ranked")}
    for v, view in enumerate(weights.views):
        own = np.arange(first[v], first[v + 1])
        if view.knots is None:
            found["values"].append(own[: len(view.columns)])
            found["cells"].append(own)
            found["woven"].append(own)
        else:
            found["woven ranked"].append(own)
    rules, cuts = weights.rules_and_cuts
    for t, layer in enumerate(weights.layers):
        own = np.arange(first[views + t], first[views + t + 1])
        view = weights.views[layer.view]
        if t in rules or t in cuts:
            found["rules" if t in rules else "cuts"].append(own)
        elif random and t == 0 and len(layer.weight) == len(view.columns) and not layer.earlier:
            found["random"].append(own)
        else:
            found["woven" if view.knots is None else "woven ranked"].append(own)
    found |= {part: found["rules"] for part in GROWN} | {"woven lightly": found["woven"]}
    return {name: np.concatenate(parts) if parts else np.zeros(0, dtype=int) for name, parts in found.items()}
