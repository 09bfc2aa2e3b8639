"""Convolutions of B tasks as one grouped convolution: the tasks become groups of channels.

With strides the patches hold few more numbers than the input; then, without gradients, one product with the patches is faster.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netloom.toolkit.fused.lent import Lent, NotFusable
from netloom.toolkit.fused.linear import product

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
        input, padding = F.pad(input, layer._reversed_padding_repeated_twice, mode=layer.padding_mode), (0,) * spatial
    if not isinstance(padding, str) and _few_patches(layer, input, weight):
        return _by_patches(layer, input, weight, bias, padding)
    n = input.shape[0] // B
    x = input.view(B, n, *input.shape[1:]).transpose(0, 1).reshape(n, B * input.shape[1], *input.shape[2:])  # (n, B*C, ...)
    flat = None if bias is None else bias.reshape(-1)
    y = _CONVOLVE[type(layer)](x, weight.flatten(0, 1), flat, layer.stride, padding, layer.dilation, layer.groups * B)  # (n, B*out, ...)
    return y.view(n, B, layer.out_channels, *y.shape[2:]).transpose(0, 1).reshape(B * n, layer.out_channels, *y.shape[2:])


def _few_patches(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, x: Tensor, weight: Tensor) -> bool:
    """Measured on one CPU core; the patches' way back is slow."""
    learned = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    plain = layer.groups == 1 and max(layer.dilation) == 1 and x.device.type == "cpu"
    return plain and not learned and math.prod(layer.kernel_size) <= 2.5 * math.prod(layer.stride)


def _by_patches(layer: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, ...]) -> Tensor:
    """x (B * n, C, ...) with channels last, its patches (B, rows, C * k) times the weights (B, C * k, out)."""
    B, out, spatial = len(weight), layer.out_channels, len(layer.kernel_size)
    x = F.pad(x.movedim(1, -1), (0, 0, *(side for size in reversed(padding) for side in (size, size))))
    for i, (size, step) in enumerate(zip(layer.kernel_size, layer.stride, strict=True)):
        x = x.unfold(1 + i, size, step)  # at last (B * n, *places, C, *kernel)
    x = x.movedim(1 + spatial, -1)  # channels are next to each other in memory
    shape = x.shape[: 1 + spatial]
    y = product(x.reshape(B, -1, math.prod(x.shape[1 + spatial :])), weight.movedim(2, -1).reshape(B, out, -1), bias)  # (B, rows, out)
    return y.view(*shape, out).movedim(-1, 1).contiguous()  # modules may call view() on it
