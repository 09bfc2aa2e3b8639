"""The target comes first: every row belongs to a group, and its columns are drawn around the group's centre (a mixture of Gaussians)."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.draw import Draw

__all__ = ["clusters"]


def clusters(draw: Draw, B: int, n: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    k = draw.between(2, 24)
    apart = draw.log_between(0.5, 3.0)
    centre = apart * draw.normal(B, k, d) * draw.some(0.2, B, 1, d, along=2)
    spread = torch.exp(draw.share() * draw.normal(B, k, d))  # each group with its own width along each column
    own = draw.integers(k, B, n)[..., None]
    mixed = draw.normal(B, n, d)
    if draw.chance(0.5):
        rank = draw.between(1, min(d, 6))
        mixed = 0.6 * mixed + draw.normal(B, n, rank) @ draw.normal(B, rank, d) / rank**0.5
    wide = own.expand(-1, -1, d)
    z = torch.gather(centre, 1, wide) + mixed * torch.gather(spread, 1, wide)
    return z, torch.gather(draw.normal(B, k, q), 1, own.expand(-1, -1, q))
