"""Convolutions of B tasks as one grouped convolution: the tasks become groups of channels.

With few channels to a task that is up to eight times as fast where the channels lie side by side in memory (torch's "channels last").
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netloom.toolkit.fused.lent import Lent, NotFusable

__all__ = ["channels_last", "convolution", "convolve", "few_channels", "from_groups", "in_eights", "to_groups"]

_CONVOLVE: dict[type, Any] = {nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d, nn.Conv3d: F.conv3d}
_FEW = 16


def few_channels(layer: nn.Module) -> bool:
    """Whether this is a convolution of images that is faster with channels last; measured on a CPU, see docs/decisions/0010."""
    return isinstance(layer, nn.Conv2d) and layer.in_channels <= _FEW * layer.groups


def in_eights(layer: nn.Module | None) -> bool:
    """Whether torch's blocks of eight channels fit, so that the usual order is about as fast: nothing is to be put in order behind it."""
    return isinstance(layer, nn.Conv2d) and not layer.in_channels % (8 * layer.groups) and not layer.out_channels % (8 * layer.groups)


def to_groups(x: Tensor, last: bool) -> Tensor:
    """(B, n, C, ...) -> (n, B * C, ...); ``last``: an image's channels side by side in memory"""
    B, n, C, *size = x.shape
    if B == 1:
        return x.squeeze(0)
    if not last:
        return x.transpose(0, 1).reshape(n, B * C, *size)
    return channels_last(x.permute(1, 3, 4, 0, 2).reshape(n, *size, B * C).permute(0, 3, 1, 2))


def channels_last(x: Tensor) -> Tensor:
    """Images in that order; as they are where torch cannot say (inside vmap)."""
    try:
        return x.contiguous(memory_format=torch.channels_last)
    except RuntimeError:
        return x


def from_groups(x: Tensor, B: int) -> Tensor:
    """(n, B * C, ...) -> (B, n, C, ...); gradients come back in the order in memory that x has: two orders in one operator are slow"""
    n, channels, *size = x.shape
    if B == 1:
        return x.unsqueeze(0)
    if x.ndim == 4 and not x.is_contiguous():
        return x.permute(0, 2, 3, 1).reshape(n, *size, B, channels // B).permute(3, 0, 4, 1, 2)
    return x.view(n, B, channels // B, *size).transpose(0, 1)


def convolve(layer: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (n, B * C, ...), weight (B, out, C / groups, ...), bias (B, out) or None -> (n, B * out, ...)"""
    padding = layer.padding
    if layer.padding_mode != "zeros":
        x, padding = F.pad(x, layer._reversed_padding_repeated_twice, mode=layer.padding_mode), (0,) * len(layer.kernel_size)
    flat, groups = None if bias is None else bias.reshape(-1), layer.groups * len(weight)
    return _CONVOLVE[type(layer)](x, weight.flatten(0, 1), flat, layer.stride, padding, layer.dilation, groups)


def convolution(lent: Lent, input: Tensor) -> Tensor:
    layer, B = lent.layer, lent.tasks
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    if input.ndim != len(layer.kernel_size) + 2 or lent.dim:
        raise NotFusable(f"{type(layer).__name__} on an input of {input.ndim} dimensions")
    weight = lent.weight("weight")
    assert weight is not None
    last = lent.last and few_channels(layer) and input.device.type == "cpu"
    y = from_groups(convolve(layer, to_groups(lent.split(input), last), weight, lent.weight("bias")), B)  # (B, n, out, ...)
    if last:
        return y.permute(0, 1, 3, 4, 2).reshape(-1, *y.shape[3:], y.shape[2]).permute(0, 3, 1, 2)
    return y.flatten(0, 1)
