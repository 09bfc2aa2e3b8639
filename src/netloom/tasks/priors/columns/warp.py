"""Numbers as tables have them: levels in or out of order, exponentials, rounded values, wide tails, a few outliers."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.batch import standardise
from netloom.tasks.priors.draw import Draw

__all__ = ["warp"]


def warp(draw: Draw, X: Tensor) -> Tensor:
    """X (B, n, d) with about half of its columns bent; the target does not follow, it was drawn before."""
    B, n, d = X.shape
    X, kind, levels = standardise(X), draw.uniform(B, 1, d), 2 + draw.integers(8, B, 1, d).float()
    level = torch.floor(torch.sigmoid(1.7 * X) * levels)
    level = torch.where(draw.uniform(B, 1, d) < 0.5, torch.remainder(7 * level + 3, levels), level)
    warped = torch.where(kind < 0.18, level, X)
    warped = torch.where((kind > 0.18) & (kind < 0.33), torch.exp(X.clamp(max=4)), warped)
    warped = torch.where((kind > 0.33) & (kind < 0.40), torch.round(X), warped)
    warped = torch.where((kind > 0.40) & (kind < 0.44), torch.sinh(1.5 * X.clamp(-4, 4)), warped)
    if draw.chance(0.1):
        wild = (kind > 0.9) & (draw.uniform(B, n, d) < 0.02)
        warped = torch.where(wild, 10 * draw.normal(B, 1, d).expand(-1, n, -1), warped)
    return warped
