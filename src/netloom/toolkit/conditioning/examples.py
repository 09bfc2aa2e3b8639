"""Conditions read from a task's labelled examples: the order of the examples never matters, their number may vary.

`DeepSet` averages what each example says (Zaheer et al. 2017); `AttentionSet` lets learned queries look for what they need, examples
looking at each other first (Lee et al. 2019, induced points left out).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from netloom.errors import ToolkitError
from netloom.toolkit.attend import attend
from netloom.toolkit.check import check_numbers
from netloom.toolkit.conditioning.mlp import mlp

__all__ = ["AttentionSet", "DeepSet"]


class DeepSet(nn.Module):
    """``after(mean_i before(x_i, y_i))``.

    Parameters
    ----------
    inputs, targets : sizes of x and y of one example
    size : C
    hidden : width of the layers between
    """

    def __init__(self, inputs: int, targets: int, size: int, hidden: int = 64) -> None:
        super().__init__()
        self.inputs, self.targets, self.size = inputs, targets, size
        self.before = mlp(inputs + targets, hidden, hidden)
        self.after = nn.Sequential(nn.LayerNorm(hidden), mlp(hidden, hidden, size), nn.LayerNorm(size))

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Conditions (B, C) of examples x (B, n, inputs), y (B, n, targets); mask (B, n) is True where there is an example."""
        each = self.before(_joined(self, x, y, mask))  # (B, n, hidden)
        if mask is None:
            return self.after(each.mean(1))
        kept = mask[..., None].to(each.dtype)
        return self.after((each * kept).sum(1) / kept.sum(1))


class AttentionSet(nn.Module):
    """Examples attend to each other, then learned queries to the examples.

    Parameters
    ----------
    inputs, targets : sizes of x and y of one example
    size : C
    hidden : width of a token
    depth : rounds of examples attending to each other
    queries : how many are read out; with ``tokens`` the condition is the set of them
    heads : of the attention
    tokens : return (B, queries, C) for generators that take sets, instead of (B, C)
    """

    def __init__(
        self,
        inputs: int,
        targets: int,
        size: int,
        hidden: int = 64,
        depth: int = 2,
        queries: int = 4,
        heads: int = 4,
        tokens: bool = False,
    ) -> None:
        super().__init__()
        self.inputs, self.targets, self.size, self.tokens = inputs, targets, size, tokens
        self.embed = mlp(inputs + targets, hidden, hidden)
        self.rounds = nn.ModuleList(Attend(hidden, heads) for _ in range(depth))
        self.queries = nn.Parameter(torch.randn(queries, hidden) * 0.5)
        self.read = Attend(hidden, heads)
        wide = hidden if tokens else queries * hidden
        self.after = nn.Sequential(nn.LayerNorm(wide), mlp(wide, hidden, size), nn.LayerNorm(size))

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Conditions (B, C), or (B, queries, C), of examples x (B, n, inputs), y (B, n, targets); mask (B, n) True where there is one."""
        each = self.embed(_joined(self, x, y, mask))  # (B, n, hidden)
        for layer in self.rounds:
            each = layer(each, each, mask)
        read = self.read(self.queries.expand(len(each), *self.queries.shape), each, mask)  # (B, queries, hidden)
        return self.after(read if self.tokens else read.flatten(1))


class Attend(nn.Module):
    """``a`` asks, ``b`` answers; pre-norms, then an MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.norm_a, self.norm_b, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = mlp(width, 2 * width, width)

    def forward(self, a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
        known = None if mask is None else torch.zeros_like(mask, dtype=a.dtype).masked_fill(~mask, -math.inf)  # (B, b)
        key, value = self.key_value(self.norm_b(b)).chunk(2, -1)
        a = a + self.out(attend(self.query(self.norm_a(a)), key, value, self.heads, known))
        return a + self.mlp(self.norm_mlp(a))


def _joined(read: DeepSet | AttentionSet, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    like = next(read.parameters())
    check_numbers("x", x, "B, n, inputs", read.inputs, like)
    y = y.to(x.dtype) if isinstance(y, Tensor) else y  # classes are whole numbers
    check_numbers("y", y, "B, n, targets", read.targets, like)
    if x.shape[:2] != y.shape[:2]:
        raise ToolkitError(f"examples must be x (B, n, inputs) and y (B, n, targets), not {tuple(x.shape)} and {tuple(y.shape)}")
    if mask is not None and (not isinstance(mask, Tensor) or mask.dtype != torch.bool):
        raise ToolkitError(
            f"mask must be a tensor of True and False, not {mask.dtype if isinstance(mask, Tensor) else type(mask).__name__}"
        )
    if mask is not None and mask.shape != x.shape[:2]:
        raise ToolkitError(f"mask has shape {tuple(mask.shape)}, but must be {tuple(x.shape[:2])}")
    if x.shape[1] == 0 or (mask is not None and not bool(mask.any(1).all())):
        raise ToolkitError("a task without examples has no condition; give each at least one")
    return torch.cat([x, y], -1)
