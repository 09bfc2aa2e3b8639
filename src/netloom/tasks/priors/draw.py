"""Random numbers of one batch of tasks, a function of (seed, rank, step) alone.

Structure (which mechanism, how many trees) is drawn with Python's generator and is shared by the batch; numbers are drawn with torch's on
the device, so that a batch on the GPU costs no transfer. A CPU and a GPU draw the same structure and different numbers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["Draw"]

T = TypeVar("T")


class Draw:
    """Both generators of a batch; ``share`` and friends give one number for the batch, ``normal`` and friends a tensor."""

    def __init__(self, seed: int, rank: int, step: int, device: str | torch.device = "cpu") -> None:
        self.rng = random.Random(f"netloom {seed} {rank} {step}")
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(self.rng.getrandbits(62))

    def share(self) -> float:
        """Uniform in [0, 1)."""
        return self.rng.random()

    def noise(self) -> float:
        """In [0, 1), how much noise a batch has: uniform, its square or its cube, so that tasks are noisy, calm and nearly exact."""
        return self.rng.random() ** self.pick((1, 2, 3))

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def between(self, low: int, high: int) -> int:
        """Uniform over low, ..., high."""
        return self.rng.randint(low, max(low, high))

    def log_between(self, low: float, high: float) -> float:
        """Log-uniform in [low, high]."""
        return math.exp(self.rng.uniform(math.log(low), math.log(high)))

    def pick(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        return self.rng.choices(options, weights)[0]

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Uniform over 0, ..., high - 1."""
        return torch.randint(high, shape, generator=self.generator, device=self.device)

    def order(self, *shape: int) -> Tensor:
        """Random permutations along the last axis."""
        return torch.argsort(torch.rand(*shape, generator=self.generator, device=self.device), -1)

    def some(self, least: float, *shape: int, along: int | None = None) -> Tensor:
        """0 or 1 with one probability for the batch, at least ``least``; with ``along``, all are 1 where that axis would hold no 1."""
        chosen = self.uniform(*shape) < max(least, self.share())
        if along is not None:
            chosen = chosen | ~chosen.any(along, keepdim=True)
        return chosen.float()
