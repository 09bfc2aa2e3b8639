"""Which values are missing: at random, or depending on the value itself, or on another column."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.batch import columns_at, standardise
from netloom.tasks.priors.draw import Draw

__all__ = ["missing_mask"]


def missing_mask(draw: Draw, X: Tensor) -> Tensor:
    """True where a value of X (B, n, d) is missing: 1 to 60 % of a column, mostly few."""
    B, n, d = X.shape
    share = 0.01 + 0.59 * draw.uniform(B, 1, d).square()
    lean = draw.pick(("none", "none", "own", "other"))
    score = torch.logit(draw.uniform(B, n, d), eps=1e-6)
    if lean != "none":
        of = standardise(X) if lean == "own" else standardise(columns_at(X, draw.order(B, d)))
        score = score + 3 * draw.normal(B, 1, d) * of
    place = (share * n).long().clamp(max=n - 1)  # (B, 1, d)
    return score < torch.gather(torch.sort(score, 1).values, 1, place)
