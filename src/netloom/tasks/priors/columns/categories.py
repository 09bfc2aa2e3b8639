"""Columns cut into levels of unequal frequency, their numbers in random order."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.batch import standardise
from netloom.tasks.priors.draw import Draw

__all__ = ["to_levels"]


def to_levels(draw: Draw, X: Tensor, levels: Tensor) -> Tensor:
    """X (B, n, d) as level numbers 0, ..., levels - 1 for the number of levels (d,) of each column."""
    B, _, d = X.shape
    most = int(levels.max())
    uneven = torch.exp(0.5 * draw.normal(B, 1, d))
    level = (torch.sigmoid(1.7 * standardise(X)).pow(uneven) * levels).long().clamp(min=0)
    level = torch.minimum(level, (levels - 1).expand_as(level))
    beyond = torch.arange(most, device=X.device)[:, None] >= levels  # (most, d): levels a column does not have stay at the end
    names = torch.argsort(draw.uniform(B, most, d) + 2 * beyond, 1)
    return torch.gather(names, 1, level)
