"""Attention between two sets, written out: the backward of torch's fused kernel is slow on CPU."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["attend"]


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, log_weight: Tensor | None = None) -> Tensor:
    """What each of a askers hears from b answerers: query (B, a, D), key and value (B, b, D) -> (B, a, D).

    ``log_weight`` (B, b) is added to the scores of all heads; -inf leaves an answerer out.
    """
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))  # (B, heads, a or b, D / heads)
    scores = q @ k.mT / math.sqrt(q.shape[-1])  # (B, heads, a, b)
    if log_weight is not None:
        scores = scores + log_weight[:, None, None]
    return (torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(2)
