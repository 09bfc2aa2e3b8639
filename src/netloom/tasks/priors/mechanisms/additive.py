"""A sum of one curve per column: straight, saturating, waving, a step or a parabola."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.batch import standardise
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.inputs import inputs

__all__ = ["additive"]


def additive(draw: Draw, B: int, n: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    z = inputs(draw, B, n, d)
    a, b, shape = draw.normal(B, 1, d), draw.normal(B, 1, d), draw.integers(5, B, 1, d)
    curves = torch.stack([z, torch.tanh(2 * z * a + b), torch.sin(2 * z * a + b), 2 * (z > b).float() - 1, z * z - 1], -1)
    curve = torch.gather(curves, -1, shape.expand(-1, n, -1)[..., None])[..., 0]  # (B, n, d)
    weight = draw.normal(B, d, q) * draw.some(0.2, B, d, q, along=1)
    return z, standardise(curve @ weight) + draw.normal(B, n, q) * draw.noise()
