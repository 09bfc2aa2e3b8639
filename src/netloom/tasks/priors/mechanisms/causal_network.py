"""Columns and target are nodes of one random noisy network: a structural causal model (as in TabPFN, Hollmann et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from netloom.tasks.priors.batch import columns_at, standardise
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.inputs import inputs

__all__ = ["causal_network"]

ACTIVATIONS: list[Callable[[Tensor], Tensor]] = [torch.tanh, torch.relu, F.elu, lambda v: v, torch.sin, torch.abs, torch.sign, torch.square]
OFTEN = (2, 2, 2, 2, 1, 1, 1, 1)  # most of what tables hold rises or falls


def causal_network(draw: Draw, B: int, n: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    """Columns are nodes before or beside the target's, so some are its causes and some its effects."""
    width = draw.between(max(d, 8), min(3 * max(d, 8), max(d, 96)))
    x = inputs(draw, B, n, draw.between(2, max(2, min(d, 40))))
    layers = [x]
    for _ in range(draw.between(2, 5)):
        keep = draw.some(0.1, B, x.shape[-1], width, along=1)
        W = draw.normal(B, x.shape[-1], width) * keep / keep.sum(1, keepdim=True).clamp(min=1).sqrt()
        x = standardise(x @ W + 0.5 * draw.normal(B, 1, width)) * torch.exp(0.5 * draw.normal(B, 1, 1))
        x = standardise(draw.pick(ACTIVATIONS, OFTEN)(x)) + draw.normal(B, n, width) * torch.exp(draw.normal(B, 1, 1) - 4)
        layers.append(x)
    everything = torch.cat(layers, -1)
    results = layers[-1] if draw.chance(0.7) else everything
    latents = columns_at(results, draw.order(B, results.shape[-1])[:, :q])
    pool = torch.cat(layers[:-1], -1) if draw.chance(0.5) else everything
    chosen = draw.order(B, pool.shape[-1])[:, :d]
    if chosen.shape[1] < d:
        chosen = draw.integers(pool.shape[-1], B, d)
    return columns_at(pool, chosen), latents
