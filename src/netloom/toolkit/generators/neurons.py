"""Every neuron is a token and every weight the inner product of two (netloom's own way): W[h, i] = <A u_h, B v_i>.

Tokens are an identity plus what the condition says, through one shared MLP. `inner_products` and `normalise_rows` are the two formulas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netloom.toolkit.check import check_count
from netloom.toolkit.generators.base import Generator

__all__ = ["Neurons", "inner_products", "normalise_rows"]


def inner_products(keys: Tensor, values: Tensor) -> Tensor:
    """Weights (..., H, p) of neurons (..., H, D) onto inputs (..., p, D)."""
    return keys @ values.mT


def normalise_rows(weight: Tensor, gain: Tensor | None = None) -> Tensor:
    """Rows (..., H, p) of length 1, times ``exp(gain)`` (..., H): the direction and the size of a neuron are generated apart."""
    rows = weight / (weight.norm(dim=-1, keepdim=True) + 1e-3)
    return rows if gain is None else rows * torch.exp(gain.clamp(-3, 3))[..., None]


class Neurons(Generator):
    """``start + scale * <A u_h, B v_i> / sqrt(D)``; vectors as ``start + scale * <a, u_h> / sqrt(D)``.

    Parameters
    ----------
    shapes, condition_size, start, spread : see `Generator`
    width : D of a token
    """

    independent = False  # weights of one layer share tokens

    def __init__(self, shapes: Mapping[str, Sequence[int]], condition_size: int, *, width: int = 32, **options: Any) -> None:
        check_count("width", width)
        super().__init__(shapes, condition_size, **options)
        self.counts: list[int] = []  # tokens per parameter: units, then their inputs
        for shape in self.shapes.values():
            units = shape[0] if shape else 1
            self.counts += [units, shape.numel() // units if len(shape) >= 2 else 0]
        self.identity = nn.Parameter(torch.randn(sum(self.counts), width) * 0.5)
        self.read = nn.Linear(condition_size, 2 * width)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.of_units = nn.ModuleList(nn.Linear(width, width if len(shape) >= 2 else 1, bias=False) for shape in self.shapes.values())
        self.of_inputs = nn.ModuleList(
            nn.Linear(width, width, bias=False) if len(shape) >= 2 else nn.Identity() for shape in self.shapes.values()
        )
        with torch.no_grad():
            for unit, inward in zip(self.of_units, self.of_inputs, strict=True):
                unit.weight.normal_(0, self.spread / width**0.5)  # type: ignore[operator, union-attr]
                if isinstance(inward, nn.Linear):
                    inward.weight.normal_(0, 1 / width**0.5)

    def emit(self, condition: Tensor) -> dict[str, Tensor]:
        shift, gain = self.read(condition)[:, None].chunk(2, -1)  # (B, 1, D): adds to a token, and asks what it is
        tokens = self.identity * (1 + gain) + shift  # (B, tokens, D)
        tokens = self.norm(tokens + self.mlp(self.norm(tokens)))
        parts = iter(tokens.split(self.counts, 1))
        starts, scale = self.split(self.start), self.split(self.scale)
        out = {}
        for (name, shape), of_units, of_inputs in zip(self.shapes.items(), self.of_units, self.of_inputs, strict=True):
            units, inputs = next(parts), next(parts)
            keys = of_units(units)  # (B, o, D) or (B, o, 1)
            numbers = inner_products(keys, of_inputs(inputs)) / math.sqrt(keys.shape[-1]) if len(shape) >= 2 else keys
            out[name] = starts[name] + scale[name] * numbers.reshape(-1, *shape)
        return out
