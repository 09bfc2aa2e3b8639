"""A sum of oblivious trees: every node of a level asks the same question."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.batch import columns_at, standardise
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.inputs import inputs

__all__ = ["forest"]


def forest(draw: Draw, B: int, n: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    z = inputs(draw, B, n, d)
    depth, used, trees = draw.between(1, 5), min(draw.between(1, d), draw.between(1, d)), draw.between(1, 29)
    powers = 2 ** torch.arange(depth, device=draw.device)
    latents = z.new_zeros(B, n, q)
    for _ in range(trees):
        asked = columns_at(z, draw.integers(used, B, depth))  # (B, n, depth)
        threshold = torch.gather(asked, 1, draw.integers(n, B, 1, depth))
        leaf = ((asked > threshold).long() * powers).sum(-1)  # (B, n)
        latents += torch.gather(draw.normal(B, 2**depth, q), 1, leaf[..., None].expand(-1, -1, q))
    return z, standardise(latents) + draw.normal(B, n, q) * torch.exp(draw.normal(B, 1, q) - 3.5)
