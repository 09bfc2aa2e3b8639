"""A few products of two or three columns."""

from __future__ import annotations

from torch import Tensor

from netloom.tasks.priors.batch import columns_at, standardise
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.inputs import inputs

__all__ = ["products"]


def products(draw: Draw, B: int, n: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    z = inputs(draw, B, n, d)
    latents = z.new_zeros(B, n, q)
    for _ in range(draw.between(1, 7)):
        factors = draw.pick((2, 2, 2, 3))
        latents = latents + draw.normal(B, 1, q) * columns_at(z, draw.integers(d, B, factors)).prod(-1, keepdim=True)
    return z, standardise(latents) + draw.normal(B, n, q) * 0.6 * draw.share()
