"""AdamW (Loshchilov & Hutter 2019), written out: torch's own imports its compiler, seconds that every start of a run and every refining
would pay.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["AdamW"]

EPSILON = 1e-8


class AdamW:
    """First and second moments of the gradients of ``weights``; `step` moves the weights."""

    def __init__(self, weights: list[Tensor], betas: tuple[float, float], weight_decay: float) -> None:
        self.weights, self.betas, self.weight_decay = weights, betas, weight_decay
        self.first = [torch.zeros_like(w) for w in weights]
        self.second = [torch.zeros_like(w) for w in weights]
        self.steps = 0

    @torch.no_grad()
    def step(self, gradients: list[Tensor] | tuple[Tensor, ...], rate: float | Sequence[float]) -> None:
        """One step against the gradients at the learning rate ``rate``, or at one for each of the weights."""
        rates = [rate] * len(self.weights) if isinstance(rate, int | float) else list(rate)
        b1, b2 = self.betas
        self.steps += 1
        torch._foreach_mul_(self.weights, [1 - one * self.weight_decay for one in rates])
        torch._foreach_lerp_(self.first, gradients, 1 - b1)
        torch._foreach_mul_(self.second, b2)
        torch._foreach_addcmul_(self.second, gradients, gradients, 1 - b2)
        size = torch._foreach_sqrt(self.second)
        torch._foreach_div_(size, (1 - b2**self.steps) ** 0.5)
        torch._foreach_add_(size, EPSILON)
        torch._foreach_addcdiv_(self.weights, self.first, size, [-one / (1 - b1**self.steps) for one in rates])
