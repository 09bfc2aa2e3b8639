"""One linear map from the condition to all parameters: the most general generator, (C + 1) numbers per generated one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netloom.toolkit.generators.base import Generator, trunk

__all__ = ["Full"]


class Full(Generator):
    """``start + scale * M h(condition)``.

    Parameters
    ----------
    shapes, condition_size, start, spread : see `Generator`
    hidden : widths of layers between the condition and the linear map
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]], condition_size: int, *, hidden: Sequence[int] = (), **options: Any) -> None:
        super().__init__(shapes, condition_size, **options)
        self.trunk, width = trunk(condition_size, hidden)
        self.last = nn.Linear(width, self.count, bias=False)
        with torch.no_grad():
            self.last.weight.normal_(0, self.spread / width**0.5)

    def emit(self, condition: Tensor) -> dict[str, Tensor]:
        return self.split(torch.addcmul(self.start, self.last(self.trunk(condition)), self.scale))  # (B, P)
