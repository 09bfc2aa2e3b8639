"""Convolutions of B tasks as one grouped convolution: the tasks become groups of channels."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from netloom.toolkit.fused.lent import Lent, NotFusable

__all__ = ["convolution"]

_CONVOLVE: dict[type, Any] = {nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d, nn.Conv3d: F.conv3d}


def convolution(lent: Lent, input: Tensor) -> Tensor:
    layer, B = lent.layer, lent.tasks
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    spatial = len(layer.kernel_size)
    if input.ndim != spatial + 2 or lent.dim:
        raise NotFusable(f"{type(layer).__name__} on an input of {input.ndim} dimensions")
    weight, bias = lent.weight("weight"), lent.weight("bias")
    assert weight is not None
    padding: Any = layer.padding
    if layer.padding_mode != "zeros":
        input, padding = F.pad(input, layer._reversed_padding_repeated_twice, mode=layer.padding_mode), 0
    n = input.shape[0] // B
    x = input.view(B, n, *input.shape[1:]).transpose(0, 1).reshape(n, B * input.shape[1], *input.shape[2:])  # (n, B*C, ...)
    flat = None if bias is None else bias.reshape(-1)
    y = _CONVOLVE[type(layer)](x, weight.flatten(0, 1), flat, layer.stride, padding, layer.dilation, layer.groups * B)  # (n, B*out, ...)
    return y.view(n, B, layer.out_channels, *y.shape[2:]).transpose(0, 1).reshape(B * n, layer.out_channels, *y.shape[2:])
