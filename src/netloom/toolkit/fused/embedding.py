"""Embeddings of B tasks as one table in which each task has its own rows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netloom.toolkit.fused.lent import Lent

__all__ = ["embedding"]


def embedding(lent: Lent, input: Tensor) -> Tensor:
    layer, weight = lent.layer, lent.weight("weight")
    assert isinstance(layer, nn.Embedding) and weight is not None
    B, V, D = weight.shape
    rows = lent.split(input)  # (B, n, ...)
    if layer.padding_idx is not None:  # its row gets no gradient
        padding = torch.arange(V, device=weight.device).eq(layer.padding_idx)[:, None]  # (V, 1)
        weight = torch.where(padding, weight.detach(), weight)
    first = torch.arange(B, device=input.device).view(B, *[1] * (rows.ndim - 1)) * V
    index = torch.where((rows < 0) | (rows >= V), B * V, rows + first)  # out of range stays so, or it would read another task's row
    return lent.join(F.embedding(index, weight.reshape(B * V, D), scale_grad_by_freq=layer.scale_grad_by_freq))
