"""A curve, product or line plus noise whose size depends on a column, sometimes heavy-tailed."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.batch import columns_at, standardise
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.mechanisms.additive import additive
from netloom.tasks.priors.mechanisms.linear import linear
from netloom.tasks.priors.mechanisms.products import products

__all__ = ["uneven"]


def uneven(draw: Draw, B: int, n: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    X, latents = draw.pick((additive, products, linear))(draw, B, n, d, q)
    size = torch.exp(columns_at(standardise(X), draw.integers(d, B, 1)).clamp(-2, 2))  # (B, n, 1)
    noise = draw.normal(B, n, q)
    if draw.chance(0.5):  # a Student t with 3 degrees of freedom
        noise = noise / torch.sqrt(draw.normal(B, n, 3).square().mean(-1, keepdim=True) + 0.05)
    return X, standardise(latents) + 0.6 * draw.noise() * size * noise
