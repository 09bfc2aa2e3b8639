"""From raw columns to the encoded table: every column becomes the features that `netloom.tasks.schema` would make of it."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.columns.categories import to_levels
from netloom.tasks.priors.columns.layout import Layout
from netloom.tasks.priors.columns.missing import missing_mask
from netloom.tasks.priors.draw import Draw
from netloom.tasks.priors.inputs import inputs

__all__ = ["encode", "fill_in"]


def fill_in(draw: Draw, main: Tensor, layout: Layout) -> Tensor:
    """Put the main columns (B, n, k) where the layout has them, and others that say nothing new around them: (B, n, columns)."""
    B, n, k = main.shape
    X = main.new_zeros(B, n, len(layout.sources))
    X[..., layout.role("main")] = main
    if irrelevant := layout.role("irrelevant"):
        X[..., irrelevant] = inputs(draw, B, n, len(irrelevant))
    if twins := layout.role("duplicate"):
        like = draw.integers(k, len(twins))
        sign = 2.0 * draw.integers(2, len(twins)) - 1
        scale = main.std(1, keepdim=True)[..., like]
        X[..., twins] = sign * main[..., like] + 0.3 * draw.share() * scale * draw.normal(B, n, len(twins))
    return X


def encode(draw: Draw, X: Tensor, layout: Layout, support: int) -> Tensor:
    """Features (B, n, d) of columns X (B, n, columns); what fills in for a missing number is the mean of the ``support`` rows."""
    sources, device = layout.sources, X.device
    cut = [j for j, source in enumerate(sources) if source.levels]
    if cut:
        levels = torch.tensor([sources[j].levels for j in cut], device=device)
        X = X.clone()
        X[..., cut] = to_levels(draw, X[..., cut], levels).float()
    holes = [j for j, source in enumerate(sources) if source.missing]
    mask = None
    if holes:
        mask = torch.zeros(X.shape, dtype=torch.bool, device=device)
        mask[..., holes] = missing_mask(draw, X[..., holes])
        seen = (~mask[:, :support]).float()
        mean = (X[:, :support] * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)
        X = torch.where(mask, mean, X)
    if not holes and all(source.width == 1 for source in sources):
        return X
    source_of: list[int] = []
    level_of: list[int] = []
    for j, source in enumerate(sources):
        values = range(source.levels) if source.kind == "one-hot" and source.levels > 2 else [VALUE]
        level_of += [*values, *([MISSING] if source.missing else [])]
        source_of += [j] * source.width
    of, level = torch.tensor(source_of, device=device), torch.tensor(level_of, device=device)
    table = X[..., of]
    hot = table == level
    if mask is not None:
        hidden = mask[..., of]
        hot = torch.where(level == MISSING, hidden, hot & ~hidden)  # a missing category is all zeros
    return torch.where(level == VALUE, table, hot.float())


VALUE, MISSING = -1, -2  # in place of a level: the column's own number; whether it is missing
