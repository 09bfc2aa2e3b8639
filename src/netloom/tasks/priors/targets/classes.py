"""Classes from latent values: cut into shares, the largest of several latents, imbalance, label noise."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.batch import standardise
from netloom.tasks.priors.draw import Draw

__all__ = ["argmax_classes", "cut_classes", "mislabel"]


def cut_classes(draw: Draw, y: Tensor, outputs: int, *, exact: bool = False) -> Tensor:
    """Cut y (B, n) into classes (B, n) in random order of their numbers, some of several separate stretches of y.

    ``exact`` cuts by value, so that equal values share a class and rules stay free of noise.
    """
    B, n = y.shape
    parts = 2 * outputs if not exact and draw.chance(0.5 if outputs > 2 else 0.1) else outputs
    share = draw.uniform(B, parts) + 0.15
    if draw.chance(0.15):  # a few classes hold nearly all rows
        share = torch.exp(1.5 * draw.normal(B, parts)) + 0.02
    cuts = torch.cumsum(share / share.sum(1, keepdim=True), 1)[:, :-1]
    if exact:
        thresholds = torch.gather(torch.sort(y, 1).values, 1, (cuts * n).long().clamp(max=n - 1))
        part = (y[..., None] >= thresholds[:, None]).sum(-1)
    else:
        rank = torch.argsort(torch.argsort(y + 1e-3 * draw.normal(B, n), 1), 1).float() / n
        part = (rank[..., None] > cuts[:, None]).sum(-1)
    names = draw.order(B, outputs)
    if parts > outputs:
        names = torch.cat([names, draw.integers(outputs, B, parts - outputs)], 1)
        names = torch.gather(names, 1, draw.order(B, parts))
    return torch.gather(names, 1, part)


def argmax_classes(draw: Draw, latents: Tensor) -> Tensor:
    """The class whose latent (B, n, classes) is the largest; some classes lead by nature."""
    B, _, classes = latents.shape
    return (standardise(latents) + draw.share() * draw.normal(B, 1, classes)).argmax(-1)


def mislabel(draw: Draw, y: Tensor, outputs: int, most: float = 0.15) -> Tensor:
    """Up to ``most`` of the labels y (B, n) replaced by any class."""
    wrong = draw.uniform(*y.shape) < most * draw.share()
    return torch.where(wrong, draw.integers(outputs, *y.shape), y)
