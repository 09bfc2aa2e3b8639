"""A weighted sum of some columns, and noise."""

from __future__ import annotations

from torch import Tensor

from netloom.tasks.priors.batch import standardise
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.inputs import inputs

__all__ = ["linear"]


def linear(draw: Draw, B: int, n: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    z = inputs(draw, B, n, d)
    weight = draw.normal(B, d, q) * draw.some(0.15, B, d, q, along=1)
    return z, standardise(z @ weight) + draw.normal(B, n, q) * 2 * draw.noise()
