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
    used, fade = min(draw.between(1, d), draw.between(1, d)), draw.share()
    for term in range(draw.between(1, 7)):
        factors = draw.pick((1, 2, 2, 2, 3))
        latents = latents + fade**term * draw.normal(B, 1, q) * columns_at(z, draw.integers(used, B, factors)).prod(-1, keepdim=True)
    return z, standardise(latents) + draw.normal(B, n, q) * 0.6 * draw.noise()
