"""Fused layers, one family per file; read `lent` first. A new one is one function and one entry in `FUSED`.

Keys are exact types: a subclass may have another forward, so it takes the general path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from netloom.toolkit.fused.attention import attention
from netloom.toolkit.fused.convolution import convolution, few_channels
from netloom.toolkit.fused.embedding import embedding
from netloom.toolkit.fused.lent import Lent, NotFusable
from netloom.toolkit.fused.linear import linear, prelu
from netloom.toolkit.fused.normalisation import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from netloom.toolkit.fused.recurrent import recurrent

__all__ = ["FUSED", "Lent", "NotFusable", "few_channels", "keeps_statistics"]

FUSED: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Linear: linear,
    nn.PReLU: prelu,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Conv3d: convolution,
    nn.Embedding: embedding,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.BatchNorm3d: batch_norm,
    nn.InstanceNorm1d: instance_norm,
    nn.InstanceNorm2d: instance_norm,
    nn.InstanceNorm3d: instance_norm,
    nn.LayerNorm: layer_norm,
    nn.GroupNorm: group_norm,
    nn.RMSNorm: rms_norm,
    nn.MultiheadAttention: attention,
    nn.RNN: recurrent,
    nn.GRU: recurrent,
    nn.LSTM: recurrent,
}

_BATCHED = {nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d}


def keeps_statistics(layer: nn.Module) -> bool:
    """Whether the layer looks across rows or keeps running statistics: folded tasks would mix, so it is fused even with shared weights."""
    return type(layer) in _BATCHED
