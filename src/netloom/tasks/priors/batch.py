"""What a prior, or a real table, hands to the trainer: B tasks that share their sizes, already encoded as a schema would encode them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Tasks", "columns_at", "standardise"]


@dataclass(frozen=True, eq=False)
class Tasks:
    """X (B, rows, d) encoded and finite; y (B, rows) class numbers below ``outputs``, or (B, rows, targets) values where ``outputs`` is 0.

    The first ``support`` rows are what the loom reads, the rest is what its network must predict. ``source`` says where they come from.
    """

    X: Tensor
    y: Tensor
    outputs: int
    support: int
    source: str

    def __len__(self) -> int:
        return len(self.X)


def standardise(x: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over the rows (axis 1)."""
    return (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-6)


def columns_at(x: Tensor, index: Tensor) -> Tensor:
    """Columns ``index`` (B, k) of x (B, n, p): (B, n, k)."""
    return torch.gather(x, 2, index[:, None].expand(-1, x.shape[1], -1))
