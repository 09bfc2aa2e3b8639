"""A Gaussian process drawn by random Fourier features (Rahimi & Recht 2007), each column with its own length scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from netloom.tasks.priors.batch import standardise
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.inputs import inputs

__all__ = ["gaussian_process"]

WAVES = 64


def gaussian_process(draw: Draw, B: int, n: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    z = inputs(draw, B, n, d)
    scale = torch.exp(0.7 * draw.normal(B, d, 1)) * draw.some(0.2, B, d, 1, along=1) * (0.3 + 1.2 * draw.share()) / math.sqrt(d)
    phase = z @ (scale * draw.normal(B, d, WAVES)) * 1.5 + 6.3 * draw.uniform(B, 1, WAVES)
    return z, standardise(torch.cos(phase) @ draw.normal(B, WAVES, q)) + draw.normal(B, n, q) * 0.8 * draw.noise()
