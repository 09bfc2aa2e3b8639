"""What a fused layer is given: its layer, how many tasks, and the tensors (B, *shape) that come from outside.

In a fused call the tasks are folded into the batch: an input (B, n, ...) goes through the module as (B * n, ...), once. Only layers with
their own weights per task unfold it again, do one batched product, and fold the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

__all__ = ["Lent", "NotFusable"]


class NotFusable(Exception):
    """This layer, set up or called like this, has no fused path."""


@dataclass(eq=False, slots=True)  # not frozen: made for every layer of every call
class Lent:
    """One layer of a fused call. ``dim`` is where its inputs hold the folded tasks."""

    layer: nn.Module
    tasks: int  # B
    dim: int
    parameters: dict[str, Tensor] = field(default_factory=dict)  # (B, *shape) by name inside the layer
    buffers: dict[str, Tensor] = field(default_factory=dict)  # (B, *shape) that belong to the tasks
    last: bool = False  # whether images may be put out with their channels last in memory

    def weight(self, name: str) -> Tensor | None:
        """The weight (B, *shape) of every task: lent, or the layer's own for all; None where the layer has none."""
        given = self.parameters.get(name)
        if given is not None:
            return given
        owner: nn.Module = self.layer
        *path, attribute = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        own = getattr(owner, attribute, None)
        return None if own is None else own.expand(self.tasks, *own.shape)

    def split(self, x: Tensor) -> Tensor:
        """(..., B * n, ...) -> (B, n, ...)"""
        return (x.movedim(self.dim, 0) if self.dim else x).unflatten(0, (self.tasks, -1))

    def join(self, x: Tensor) -> Tensor:
        """(B, n, ...) -> (..., B * n, ...)"""
        x = x.flatten(0, 1)
        return x.movedim(0, self.dim) if self.dim else x
