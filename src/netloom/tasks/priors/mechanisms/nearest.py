"""The value of the nearest of a few prototypes, by a distance in which only some columns count."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.inputs import inputs

__all__ = ["nearest"]


def nearest(draw: Draw, B: int, n: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    z, k = inputs(draw, B, n, d), draw.between(2, 16)
    used = draw.some(0.25, B, 1, d, along=2)
    prototype = torch.gather(z, 1, draw.integers(n, B, k)[..., None].expand(-1, -1, d)) + 0.3 * draw.normal(B, k, d)
    distance = torch.cdist(z * used, prototype * used) + 0.2 * draw.noise() * draw.normal(B, n, k)
    own = distance.argmin(-1)[..., None].expand(-1, -1, q)
    return z, torch.gather(draw.normal(B, k, q), 1, own) + 0.3 * draw.noise() * draw.normal(B, n, q)
