"""The three parts as one module: read the task, generate, run the target."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from netloom.toolkit.generators.base import Generator
from netloom.toolkit.target import Target

__all__ = ["HyperNetwork"]


class HyperNetwork(nn.Module):
    """``target(generate(read(*task)), *inputs)``.

    Parameters
    ----------
    target : Target, from `hypernetize`
    generate : Generator of its shapes
    read : module from what is known of the tasks to conditions (B, C); None where conditions are given
    """

    def __init__(self, target: Target, generate: Generator, read: nn.Module | None = None) -> None:
        super().__init__()
        self.target, self.generate, self.read = target, generate, read

    def condition(self, *task: Any) -> Tensor:
        """Conditions (B, C) of the tasks."""
        return task[0] if self.read is None else self.read(*task)

    def parameters_of(self, *task: Any) -> dict[str, Tensor]:
        """The generated parameters ``{name: (B, *shape)}`` of the tasks."""
        return self.generate(self.condition(*task))

    def forward(self, task: Any, *inputs: Any) -> Any:
        """Outputs (B, n, ...) of the tasks' networks for inputs (B, n, ...); ``task`` is what ``read`` takes, a tuple if several."""
        return self.target(self.parameters_of(*(task if isinstance(task, tuple) else (task,))), *inputs)
