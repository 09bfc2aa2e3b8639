"""A weighted count of satisfied conjunctions over columns with few levels, free of noise."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.batch import columns_at
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.inputs import inputs

__all__ = ["rules"]


def rules(draw: Draw, B: int, n: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    levels = 2 + draw.integers(4, B, 1, d).float()
    x = torch.floor(torch.sigmoid(1.7 * inputs(draw, B, n, d)) * levels).clamp(max=5)
    latents = []
    for _ in range(q):
        terms, used = draw.between(1, 4), draw.between(1, d)
        count = x.new_zeros(B, n)
        for _ in range(draw.between(1, 23)):
            literal = columns_at(x, draw.integers(used, B, terms))  # (B, n, terms)
            wanted = torch.gather(literal, 1, draw.integers(n, B, 1, terms))
            hit = ((literal == wanted) if draw.chance(0.6) else (literal >= wanted)).all(-1).float()
            size = 1 + draw.uniform(B, 1) if draw.chance(0.5) else 1.0
            count = count + hit * size * (1 if draw.chance(0.6) else -1)
        latents.append(count)
    return x, torch.stack(latents, -1)
