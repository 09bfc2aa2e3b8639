"""Columns as they come before anything depends on them: correlated, clustered, heavy-tailed, with few values."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from netloom.tasks.priors.batch import standardise
from netloom.tasks.priors.draw import Draw

__all__ = ["inputs"]


def inputs(draw: Draw, B: int, n: int, d: int) -> Tensor:
    """Standardised columns (B, n, d): Gaussian with low-rank correlation; sometimes clusters, wide tails, or only a few values."""
    z = draw.normal(B, n, d)
    if draw.chance(0.6):
        k = min(draw.between(1, d), draw.between(1, d))
        z = z * draw.noise() + draw.normal(B, n, k) @ draw.normal(B, k, d) / math.sqrt(k)
    if draw.chance(0.3):
        k = draw.between(2, 8)
        centres = draw.normal(B, k, d) * (1 + draw.share())
        member = draw.integers(k, B, n)[..., None].expand(-1, -1, d)
        z = 0.6 * z + torch.gather(centres, 1, member)
    if draw.chance(0.15):  # rows far from the rest, as a Student t with 3 degrees of freedom has them
        z = z / (draw.normal(B, n, 3).square().mean(-1, keepdim=True) + 0.05).sqrt()
    z = standardise(z)
    if draw.chance(0.2):  # some columns have few values, each with an effect of its own
        levels, few = 2 + draw.integers(9, B, 1, d), draw.uniform(B, 1, d) < draw.share()
        level = (torch.sigmoid(1.7 * z) * levels).long().clamp(max=10)
        effect = torch.gather(draw.normal(B, 11, d), 1, level)
        z = torch.where(few, standardise(effect), z)
    return z
