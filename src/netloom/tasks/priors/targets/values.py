"""Values from latents: as they are, heavy-tailed, skewed, counted in few steps (ordinal), many at zero."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.tasks.priors.batch import standardise
from netloom.tasks.priors.draw import Draw

__all__ = ["to_values"]


def to_values(draw: Draw, latents: Tensor) -> Tensor:
    """Targets (B, n, targets) from latents of the same shape."""
    y = standardise(latents)
    shape = draw.pick(("plain", "skewed", "tails", "ordinal", "zeros"), (0.62, 0.14, 0.08, 0.10, 0.06))
    strength = 0.3 + draw.share()
    if shape == "skewed":
        y = torch.exp(strength * y.clamp(max=5))
    elif shape == "tails":
        y = y.sign() * (torch.expm1(strength * y.abs().clamp(max=5)))
    elif shape == "ordinal":
        y = torch.round(y * (0.7 + 2 * draw.share()))
    elif shape == "zeros":
        y = torch.relu(y - 0.7 * draw.share())
    return standardise(y)
