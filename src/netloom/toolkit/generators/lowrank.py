"""Low-rank differences, as in LoRA (Hu et al. 2021): every matrix is the shared start plus a product of two generated thin ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netloom.toolkit.check import check_count
from netloom.toolkit.generators.base import Generator, trunk

__all__ = ["LowRank"]


class LowRank(Generator):
    """Matrices (o, i) as ``start + scale * U V / sqrt(rank)``, U (o, rank) and V (rank, i) generated; vectors and thin matrices in full.

    Parameters
    ----------
    shapes, condition_size, start, spread : see `Generator`
    rank : inner size of the products
    hidden : widths of layers between the condition and the linear map
    """

    def __init__(
        self, shapes: Mapping[str, Sequence[int]], condition_size: int, *, rank: int = 4, hidden: Sequence[int] = (), **options: Any
    ) -> None:
        check_count("rank", rank)
        super().__init__(shapes, condition_size, **options)
        self.rank = rank
        self.trunk, width = trunk(condition_size, hidden)
        self.thin: dict[str, tuple[int, int]] = {}  # name -> (o, i) of matrices worth factoring
        for name, shape in self.shapes.items():
            rows = shape[0] if len(shape) >= 2 else 0
            if rows and (rows + shape.numel() // rows) * rank < shape.numel():
                self.thin[name] = (rows, shape.numel() // rows)
        self.widths = [sum(self.thin[name]) * rank if name in self.thin else shape.numel() for name, shape in self.shapes.items()]
        self.last = nn.Linear(width, sum(self.widths))
        with torch.no_grad():
            self.last.weight.normal_(0, self.spread / width**0.5)
            self.last.bias.zero_()
            for name, bias in zip(self.shapes, self.last.bias.split(self.widths), strict=True):
                if name in self.thin:
                    bias[self.thin[name][0] * rank :].normal_()  # V of size 1, U of size spread: differences of size spread

    def emit(self, condition: Tensor) -> dict[str, Tensor]:
        given = self.last(self.trunk(condition)).split(self.widths, -1)
        start, scale = self.parts(self.start), self.parts(self.scale)
        out = {}
        for (name, shape), numbers in zip(self.shapes.items(), given, strict=True):
            if name in self.thin:
                o, i = self.thin[name]
                U = numbers[:, : o * self.rank].view(-1, o, self.rank)
                V = numbers[:, o * self.rank :].view(-1, self.rank, i)
                numbers = (U @ V).flatten(1) / self.rank**0.5  # (B, o * i)
            out[name] = torch.addcmul(start[name], numbers, scale[name]).view(-1, *shape)
        return out
