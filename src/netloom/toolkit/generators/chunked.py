"""One small network asked once per chunk (von Oswald et al. 2020): condition + embedding of the chunk -> that piece of the parameters.

The generator can be smaller than what it generates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netloom.toolkit.check import check_count
from netloom.toolkit.generators.base import Generator

__all__ = ["Chunked"]


class Chunked(Generator):
    """``start + scale * net(condition, chunk embedding)``, all chunks in one batch.

    Parameters
    ----------
    shapes, condition_size, start, spread : see `Generator`
    chunk : numbers per chunk
    embedding : size of a chunk's embedding
    hidden : width of the network's two hidden layers
    """

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        condition_size: int,
        *,
        chunk: int = 256,
        embedding: int = 16,
        hidden: int = 64,
        **options: Any,
    ) -> None:
        check_count("chunk", chunk)
        check_count("embedding", embedding)
        check_count("hidden", hidden)
        super().__init__(shapes, condition_size, **options)
        chunk = min(chunk, self.count)
        self.chunks = nn.Parameter(torch.randn(math.ceil(self.count / chunk), embedding))
        self.from_condition = nn.Linear(condition_size, hidden)
        self.from_chunk = nn.Linear(embedding, hidden, bias=False)
        self.middle = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, chunk)
        with torch.no_grad():
            self.last.weight.normal_(0, self.spread / (hidden / 4) ** 0.5)  # about a quarter of GELU's square is left
            self.last.bias.zero_()

    def emit(self, condition: Tensor) -> dict[str, Tensor]:
        act = nn.functional.gelu
        h = act(self.from_condition(condition)[:, None] + self.from_chunk(self.chunks))  # (B, chunks, hidden)
        numbers = self.last(act(self.middle(h))).flatten(1)[:, : self.count]  # (B, P)
        return self.split(torch.addcmul(self.start, numbers, self.scale))
