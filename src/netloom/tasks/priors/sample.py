"""One batch of synthetic tasks from beginning to end. Read `sample`."""

from __future__ import annotations

import torch

from netloom.tasks.priors.batch import Tasks, standardise
from netloom.tasks.priors.columns import draw_layout, encode, fill_in, warp
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.mechanisms import MECHANISMS
from netloom.tasks.priors.sizes import Sizes
from netloom.tasks.priors.targets import argmax_classes, cut_classes, mislabel, to_values

__all__ = ["LARGEST", "sample"]

LARGEST = 1e4  # of an encoded value


def sample(draw: Draw, sizes: Sizes, mechanism: str | None = None) -> Tasks:
    """B tasks of one mechanism (drawn by weight if not named) and one layout of columns; every number in them differs."""
    name = mechanism or draw.pick(list(MECHANISMS), [m.weight for m in MECHANISMS.values()])
    rule, B, n = MECHANISMS[name], sizes.B, sizes.n + sizes.queries
    layout = draw_layout(draw, sizes.d)
    exact = draw.chance(rule.exact)
    largest_wins = sizes.outputs > 2 and not exact and draw.chance(0.25)
    latents_needed = sizes.outputs if largest_wins else 1 if sizes.outputs else sizes.targets
    main, latents = rule.sample(draw, B, n, len(layout.role("main")), latents_needed)
    if rule.noisy and draw.chance(0.4):
        latents = standardise(latents) + draw.normal(*latents.shape) * 1.2 * draw.noise()
    X = fill_in(draw, main, layout)
    if not rule.levels:
        constant = X.std(1, keepdim=True) < 1e-6
        X = torch.where(constant, X, warp(draw, X))
    order = draw.order(B, n)
    X = torch.gather(X, 1, order[..., None].expand_as(X))
    latents = torch.gather(latents, 1, order[..., None].expand_as(latents))
    table = torch.nan_to_num(encode(draw, X, layout, sizes.n)).clamp(-LARGEST, LARGEST)
    if sizes.outputs:
        y = argmax_classes(draw, latents) if largest_wins else cut_classes(draw, latents[..., 0], sizes.outputs, exact=exact)
        if draw.chance(0.15):
            y = mislabel(draw, y, sizes.outputs)
    else:
        y = torch.nan_to_num(to_values(draw, latents)).clamp(-30, 30)
    return Tasks(table, y, sizes.outputs, sizes.n, name)
