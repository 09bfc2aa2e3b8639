"""Conditions of tasks that are known by name or by a vector that describes them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netloom.errors import ToolkitError
from netloom.toolkit.check import check_numbers
from netloom.toolkit.conditioning.mlp import mlp

__all__ = ["TaskId", "Vector"]


class TaskId(nn.Module):
    """A learned condition (C,) per task of a fixed list.

    Parameters
    ----------
    tasks : how many
    size : C
    spread : size of the conditions at first
    """

    def __init__(self, tasks: int, size: int, spread: float = 1.0) -> None:
        super().__init__()
        self.tasks, self.size = tasks, size
        self.table = nn.Parameter(torch.randn(tasks, size) * spread)

    def forward(self, task: Tensor) -> Tensor:
        """Conditions (B, C) of task numbers (B,)."""
        if not isinstance(task, Tensor) or task.is_floating_point() or task.is_complex() or task.dtype == torch.bool or task.ndim != 1:
            what = f"{task.dtype} {tuple(task.shape)}" if isinstance(task, Tensor) else type(task).__name__
            raise ToolkitError(f"task numbers must be integers (B,), not {what}")
        if task.numel() and (int(task.min()) < 0 or int(task.max()) >= self.tasks):
            raise ToolkitError(f"task {int(task.max())} is unknown: there are tasks 0 to {self.tasks - 1}")
        return self.table[task]


class Vector(nn.Module):
    """A condition (C,) from a given vector (V,), standardised by running statistics so that its unit does not matter.

    Generated weights grow with the condition; the output is therefore brought to unit size (Ortiz et al. 2023).

    Parameters
    ----------
    given : V
    size : C
    hidden : width of the layer between
    """

    def __init__(self, given: int, size: int, hidden: int = 64) -> None:
        super().__init__()
        self.given, self.size = given, size
        self.standardise = nn.BatchNorm1d(given, affine=False)
        self.net = nn.Sequential(mlp(given, hidden, size), nn.LayerNorm(size))

    def forward(self, vector: Tensor) -> Tensor:
        """Conditions (B, C) of vectors (B, V)."""
        check_numbers("vector", vector, "B, V", self.given, next(self.parameters()))
        if self.training and len(vector) == 1:  # one task has no spread to learn from
            self.standardise.eval()
            vector = self.standardise(vector)
            self.standardise.train()
        else:
            vector = self.standardise(vector)
        return self.net(vector)
