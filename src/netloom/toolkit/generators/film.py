"""FiLM (Perez et al. 2018) as generated parameters: each unit of the shared start is scaled and shifted; two numbers per unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netloom.toolkit.generators.base import Generator, trunk, unit_groups

__all__ = ["FiLM"]


class FiLM(Generator):
    """``gain * (W x + b) + shift`` per unit, folded into the parameters: W' = gain W, b' = gain b + shift.

    Units without a bias are only scaled; a vector that is no bias (the scales of a normalisation layer) is scaled.

    Parameters
    ----------
    shapes, condition_size, start, spread : see `Generator`
    hidden : widths of layers between the condition and the linear map
    """

    additive = False

    def __init__(self, shapes: Mapping[str, Sequence[int]], condition_size: int, *, hidden: Sequence[int] = (), **options: Any) -> None:
        super().__init__(shapes, condition_size, **options)
        self.trunk, width = trunk(condition_size, hidden)
        groups = {name: members for name, members in unit_groups(self.shapes).items()}
        self.gain_of = {member: name for name, members in groups.items() for member in members}
        self.gains = {name: self.shapes[name][0] for name in groups}
        self.shifts = {name: shape[0] for name, shape in self.shapes.items() if len(shape) == 1 and "bias" in name.rpartition(".")[2]}
        self.last = nn.Linear(width, sum(self.gains.values()) + sum(self.shifts.values()))
        with torch.no_grad():
            self.last.weight.normal_(0, self.spread / width**0.5)
            self.last.bias.zero_()

    def emit(self, condition: Tensor) -> dict[str, Tensor]:
        given = self.last(self.trunk(condition)).split([*self.gains.values(), *self.shifts.values()], -1)
        gains = dict(zip(self.gains, given, strict=False))
        shifts = dict(zip(self.shifts, given[len(self.gains) :], strict=True))
        out = {}
        for name, start in self.split(self.start).items():
            if start.ndim == 0:
                out[name] = start.expand(len(condition))
                continue
            gain = 1 + gains[self.gain_of[name]]  # (B, units)
            value = start * gain.view(*gain.shape, *[1] * (start.ndim - 1))  # (B, *shape)
            out[name] = value + shifts[name] * 0.1 if name in shifts else value  # 0.1: the size of a vector, as in start.scales
        return out
