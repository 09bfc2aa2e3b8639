"""Normalisation layers of B tasks: each task is normalised by its own statistics, with its own scale and shift.

Running statistics that the tasks share are updated as if the tasks had come one after the other, as a loop over them does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netloom.toolkit.fused.lent import Lent, NotFusable

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]

_DIMENSIONS: dict[type, tuple[int, ...]] = {
    nn.BatchNorm1d: (2, 3),
    nn.BatchNorm2d: (4,),
    nn.BatchNorm3d: (5,),
    nn.InstanceNorm1d: (3,),
    nn.InstanceNorm2d: (4,),
    nn.InstanceNorm3d: (5,),
}


def batch_norm(lent: Lent, input: Tensor) -> Tensor:
    layer = lent.layer
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
    use_batch = layer.training or layer.running_mean is None
    track = layer.training and layer.track_running_stats and layer.running_mean is not None

    def normalise(x: Tensor, mean: Tensor | None, variance: Tensor | None, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        return F.batch_norm(x, mean, variance, scale, shift, use_batch, 1.0, layer.eps)

    return _statistical(lent, input, normalise, track)


def instance_norm(lent: Lent, input: Tensor) -> Tensor:
    layer = lent.layer
    assert isinstance(layer, nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d)
    use_input = layer.training or not layer.track_running_stats

    def normalise(x: Tensor, mean: Tensor | None, variance: Tensor | None, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        return F.instance_norm(x, mean, variance, scale, shift, use_input, 1.0, layer.eps)

    return _statistical(lent, input, normalise, layer.training and layer.track_running_stats)


def layer_norm(lent: Lent, input: Tensor) -> Tensor:
    layer = lent.layer
    assert isinstance(layer, nn.LayerNorm)
    return _affine(lent, F.layer_norm(input, layer.normalized_shape, None, None, layer.eps))


def rms_norm(lent: Lent, input: Tensor) -> Tensor:
    layer = lent.layer
    assert isinstance(layer, nn.RMSNorm)
    return _affine(lent, F.rms_norm(input, layer.normalized_shape, None, layer.eps))


def group_norm(lent: Lent, input: Tensor) -> Tensor:
    layer, weight, bias = lent.layer, lent.weight("weight"), lent.weight("bias")
    assert isinstance(layer, nn.GroupNorm)
    rows = lent.split(F.group_norm(input, layer.num_groups, None, None, layer.eps))  # (B, n, C, ...)
    shape = (lent.tasks, 1, -1, *[1] * (rows.ndim - 3))
    rows = rows if weight is None else rows * weight.view(shape)
    return lent.join(rows if bias is None else rows + bias.view(shape))


def _affine(lent: Lent, normalised: Tensor) -> Tensor:
    """Scale and shift per task over the last dimensions."""
    weight, bias = lent.weight("weight"), lent.weight("bias")
    rows = lent.split(normalised)  # (B, n, ..., *shape)

    def fit(t: Tensor) -> Tensor:
        return t.view(lent.tasks, *[1] * (rows.ndim - t.ndim), *t.shape[1:])

    rows = rows if weight is None else rows * fit(weight)
    return lent.join(rows if bias is None else rows + fit(bias))


def _statistical(lent: Lent, input: Tensor, normalise: Callable[..., Tensor], track: bool) -> Tensor:
    """Normalise with the tasks as channels: (B*n, C, ...) -> (n, B*C, ...); then blend what was seen into the running statistics."""
    layer, B = lent.layer, lent.tasks
    if lent.dim or input.ndim not in _DIMENSIONS[type(layer)]:
        raise NotFusable(f"{type(layer).__name__} on an input of {input.ndim} dimensions")
    x = lent.split(input).transpose(0, 1).flatten(1, 2)  # (n, B*C, ...)
    weight, bias = lent.weight("weight"), lent.weight("bias")
    scale, shift = None if weight is None else weight.reshape(-1), None if bias is None else bias.reshape(-1)
    running = [lent.weight(name) for name in ("running_mean", "running_var")]  # (B, C) or None: the layer's own, for all
    running = [lent.buffers.get(name, own) for name, own in zip(("running_mean", "running_var"), running, strict=True)]
    mean, variance = running
    if mean is None or variance is None:
        y = normalise(x, None, None, scale, shift)
    elif not track:
        y = normalise(x, mean.reshape(-1), variance.reshape(-1), scale, shift)
    else:
        seen = [torch.zeros_like(mean).view(-1), torch.zeros_like(variance).view(-1)]
        y = normalise(x, *seen, scale, shift)  # with momentum 1: exactly what this call saw
        _blend(lent, [statistic.view(B, -1) for statistic in seen])
    return y.unflatten(1, (B, -1)).transpose(0, 1).flatten(0, 1)


def _blend(lent: Lent, seen: list[Tensor]) -> None:
    """Running mean and variance move towards what each task saw (B, C): its own ones, or the shared ones task after task."""
    layer, B = lent.layer, lent.tasks
    own = "running_mean" in lent.buffers
    counts = lent.buffers.get("num_batches_tracked", layer.num_batches_tracked)
    assert isinstance(counts, Tensor)
    rates = seen[0].new_full((B,), float(layer.momentum or 0.0))  # type: ignore[arg-type]
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):  # instance norms do not count, in torch
        per_task = "num_batches_tracked" in lent.buffers
        if layer.momentum is None:  # a plain average over batches
            steps = counts + 1 if per_task else counts + 1 + torch.arange(B, device=counts.device)
            rates = 1 / steps.to(rates.dtype)
        counts += 1 if per_task else B
    if own:
        for name, statistic in zip(("running_mean", "running_var"), seen, strict=True):
            lent.buffers[name].lerp_(statistic, rates[:, None].expand_as(statistic))
        return
    after = (1 - rates).flip(0).cumprod(0).flip(0)  # (B,)  what is left of what came before task b, b included
    shares = rates * torch.cat([after[1:], after.new_ones(1)])
    for running, statistic in zip((layer.running_mean, layer.running_var), seen, strict=True):
        assert isinstance(running, Tensor)
        running.mul_(after[0]).add_(shares @ statistic)
