"""Weight tokens through a transformer (Trans-INR, Chen & Wang 2022): tokens of the task and tokens of the weights attend to each other.

Each weight token that comes out modulates a group of rows of one matrix. Conditions may be sets: one token per example or image patch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netloom.errors import ToolkitError
from netloom.toolkit.attend import attend
from netloom.toolkit.check import check_count
from netloom.toolkit.generators.base import Generator

__all__ = ["Tokens", "TokenBlock"]


class TokenBlock(nn.Module):
    """Self-attention and an MLP with pre-norms."""

    def __init__(self, D: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_mlp = nn.LayerNorm(D), nn.LayerNorm(D)
        self.query_key_value, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.mlp = nn.Sequential(nn.Linear(D, 2 * D), nn.GELU(), nn.Linear(2 * D, D))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query_key_value(self.norm(x)).chunk(3, -1)
        x = x + self.out(attend(query, key, value, self.heads))
        return x + self.mlp(self.norm_mlp(x))


class Tokens(Generator):
    """Matrices as ``start * (1 + token)``, one token per group of rows; vectors as ``start + scale * token``.

    Parameters
    ----------
    shapes, condition_size, start, spread : see `Generator`; conditions (B, C) or sets (B, S, C)
    width : D of a token
    depth, heads : of the transformer
    groups : tokens per matrix; the more, the finer
    """

    takes_sets, additive = True, False

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        condition_size: int,
        *,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        groups: int = 16,
        **options: Any,
    ) -> None:
        check_count("width", width)
        check_count("depth", depth, 0)
        check_count("heads", heads)
        check_count("groups", groups)
        if width % heads:
            raise ToolkitError(f"width = {width}, heads = {heads}: the width must be a multiple of the heads")
        super().__init__(shapes, condition_size, **options)
        self.groups = {name: min(groups, shape[0]) if len(shape) >= 2 else 1 for name, shape in self.shapes.items()}
        self.rows = {name: shape.numel() // shape[0] if len(shape) >= 2 else shape.numel() for name, shape in self.shapes.items()}
        self.tokens = nn.Parameter(torch.randn(sum(self.groups.values()), width) * 0.5)
        self.read = nn.Linear(condition_size, width)
        self.blocks = nn.Sequential(*(TokenBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.write = nn.ModuleList(nn.Linear(width, size) for size in self.rows.values())
        with torch.no_grad():
            for layer in self.write:
                layer.weight.normal_(0, self.spread / width**0.5)  # type: ignore[operator, union-attr]
                layer.bias.zero_()  # type: ignore[operator, union-attr]

    def emit(self, condition: Tensor) -> dict[str, Tensor]:
        task = self.read(condition if condition.ndim == 3 else condition[:, None])  # (B, S, D)
        B, S, _ = task.shape
        x = self.blocks(torch.cat([task, self.tokens + task.mean(1, keepdim=True)], 1))  # the task is in every token from the start
        tokens = self.norm(x[:, S:]).split(list(self.groups.values()), 1)
        starts, scale = self.split(self.start), self.split(self.scale)
        out = {}
        for (name, shape), token, write in zip(self.shapes.items(), tokens, self.write, strict=True):
            given = write(token)  # (B, groups, row)
            if len(shape) >= 2:
                index = torch.arange(shape[0], device=given.device) % self.groups[name]  # (o,)  which token modulates which row
                out[name] = starts[name] * (1 + given[:, index]).view(B, *shape)
            else:
                out[name] = starts[name] + scale[name] * given.reshape(B, *shape)
        return out
