"""Where a target's parameters start: what torch's own layers of these shapes would draw, told by names and shapes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["fan_in", "scales", "standard_start"]


def fan_in(shape: Sequence[int]) -> int:
    """How many inputs a unit has: the size of one row."""
    return max(math.prod(shape[1:]), 1)


def is_bias(name: str) -> bool:
    return "bias" in name.rpartition(".")[2]


def standard_start(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Matrices uniform within 1 / sqrt(fan in), as torch's linear and convolution layers; vectors of scales 1; biases 0."""
    start = {}
    for name, shape in shapes.items():
        if len(shape) >= 2:
            start[name] = torch.empty(tuple(shape)).uniform_(-1, 1) / math.sqrt(fan_in(shape))
        else:
            start[name] = torch.zeros(tuple(shape)) if is_bias(name) else torch.ones(tuple(shape))
    return start


def scales(shapes: Mapping[str, Sequence[int]]) -> Tensor:
    """The size (P,) of an ordinary weight at each place: standard deviation of a matrix's start; a tenth of 1 for vectors."""
    parts = []
    for shape in shapes.values():
        size = 1 / math.sqrt(3 * fan_in(shape)) if len(shape) >= 2 else 0.1
        parts.append(torch.full((math.prod(shape),), size))
    return torch.cat(parts)
