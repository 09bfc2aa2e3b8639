"""Layers whose work is all known, one after the other: B such networks are a few batched products, with nothing looked up in between.

Linear layers and activations take rows (B, n, size). Convolutions and pooling of images take (n, B * C, height, width): the tasks are
groups of channels, which pooling and activations need not know, until `nn.Flatten` makes rows of them. Such a module needs no trial, and
no weights are lent to it: `nn.Module.__call__` and the lending would take longer than a small network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from netloom.toolkit.fused.convolution import channels_last, convolve, few_channels, from_groups, in_eights, to_groups
from netloom.toolkit.fused.linear import product
from netloom.toolkit.slots import Slot

__all__ = ["Chain", "find_chain"]

# number by number, whatever the shape, and the same in training
_ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign, nn.Hardtanh),
    *(nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Hardswish, nn.Hardsigmoid, nn.Identity),
)
_IN_PLACE = {nn.ReLU: Tensor.relu_, nn.Tanh: Tensor.tanh_, nn.Sigmoid: Tensor.sigmoid_}  # gradients need their results alone
_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)  # each channel by itself
_ROWS, _IMAGES = 3, 5  # dimensions of an input with its tasks
Step = tuple[Callable[..., Tensor], nn.Module | None, str | None, str | None]  # what runs, a layer, names of its generated weight and bias


class Chain:
    """``watched`` are the module and all within it, with what each holds: once one of them has hooks, another forward or other layers, the
    chain takes no more calls. ``channels`` of its images, None for rows; ``last`` in memory on CPUs.
    """

    def __init__(self, steps: list[Step], watched: list[nn.Module], channels: int | None, last: bool) -> None:
        self.steps, self.watched = steps, watched
        self.held = [module.__dict__ for module in watched]
        self.within = [(held["_modules"], list(held["_modules"].values())) for held in self.held if held["_modules"]]
        self.channels, self.last = channels, last

    def takes(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether this is a call with one tensor, (B, n, size) or (B, n, C, height, width), of a module that nobody listens to."""
        if kwargs or len(args) != 1 or not isinstance(x := args[0], Tensor):
            return False
        if not (x.ndim == _ROWS if self.channels is None else x.ndim == _IMAGES and x.shape[2] == self.channels):
            return False
        for held in self.held:
            if (
                held["_forward_hooks"]
                or held["_forward_pre_hooks"]
                or held["_backward_hooks"]
                or held["_backward_pre_hooks"]
                or "forward" in held
            ):
                return False
        for now, layers in self.within:
            if list(now.values()) != layers:  # the same objects: modules know no other equality
                return False
        return not _has_any_global_hook()

    def __reduce__(self) -> Any:  # copies watch what their own modules hold
        return Chain, (self.steps, self.watched, self.channels, self.last)

    def __call__(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Outputs of inputs x, both with the tasks first."""
        B = x.shape[0]
        if self.channels is not None:
            x = to_groups(x, B > 1 and self.last and x.device.type == "cpu")
        for run, layer, weight, bias in self.steps:
            if layer is None:
                x = run(x)
            elif weight is None and bias is None:
                x = run(layer, x, B)
            else:
                own = layer._parameters
                x = run(
                    layer,
                    x,
                    _of_all(own["weight"], B) if weight is None else parameters[weight],
                    _of_all(own["bias"], B) if bias is None else parameters[bias],
                )
        return x


def _linear(layer: nn.Module, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return product(x, weight, bias)


def _pool(layer: nn.Module, x: Tensor, B: int) -> Tensor:
    """On CPUs up to 30 times as fast with channels last in memory; the order that x has is kept."""
    if B == 1 or x.device.type != "cpu" or not x.is_contiguous():
        return layer.forward(x)
    return layer.forward(channels_last(x)).contiguous()


def _images(layer: nn.Module, x: Tensor, B: int) -> Tensor:
    """(n, B * C, height, width) -> (B, n, C, height, width)"""
    return from_groups(x, B).contiguous()


def _rows(layer: nn.Module, x: Tensor, B: int) -> Tensor:
    """(n, B * C, height, width) -> (B, n, C * height * width)"""
    return x.flatten(1).unsqueeze(0) if B == 1 else _images(layer, x, B).flatten(2)


def _of_all(own: Tensor | None, B: int) -> Tensor | None:
    """A layer's own weight for every task: (B, *shape); None where it has none."""
    return None if own is None else own.expand(B, *own.shape)


def find_chain(module: nn.Module, slots: Mapping[str, Slot]) -> Chain | None:
    """The module as a chain, or None where it does anything else, or has a convolution that all tasks share: B copies would be slow."""
    layers: list[nn.Module] = []
    waiting = [module]
    while waiting:
        layer = waiting.pop()
        if type(layer) is nn.Sequential:
            waiting += reversed(layer)
        else:
            layers.append(layer)
    generated = {(id(owner), attribute): name for name, slot in slots.items() for owner, attribute in slot.places}
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    taken = convolutions[0].in_channels if convolutions else None
    images, channels = taken is not None, taken
    steps: list[Step] = []
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        kind, weight, bias = type(layer), generated.get((id(layer), "weight")), generated.get((id(layer), "bias"))
        shared = weight is None and bias is None
        if kind in _IN_PLACE and steps and steps[-1][0] in (_linear, convolve, _pool):  # nobody else has what those give
            steps.append((_IN_PLACE[kind], None, None, None))
        elif kind in _ACTIVATIONS or (kind is nn.Linear and shared and not images):
            steps.append((layer.forward, None, None, None))
        elif kind is nn.Linear and not images:
            steps.append((_linear, layer, weight, bias))
        elif isinstance(layer, nn.Conv2d) and kind is nn.Conv2d and images and layer.in_channels == channels and not shared:
            steps.append((convolve, layer, weight, bias))
            channels = layer.out_channels
        elif kind in _POOLS and images and not getattr(layer, "return_indices", False):
            # before a ReLU it says the same, with fewer numbers to compare; not if the next layer would change what ReLU remembers
            early = kind is nn.MaxPool2d and steps and steps[-1][0] is Tensor.relu_ and not getattr(following, "inplace", False)
            steps.insert(len(steps) - 1 if early else len(steps), (_pool, layer, None, None))
        elif kind is nn.Flatten and images and layer.start_dim == 1 and layer.end_dim in (-1, 3):
            at = max((i for i, step in enumerate(steps) if step[1] is not None), default=-1)  # behind it are only activations
            if at >= 0 and steps[at][0] is convolve and in_eights(steps[at][1]):
                steps.insert(at, (Tensor.contiguous, None, None, None))
            steps.append((_rows, layer, None, None))
            images = False
        else:
            return None
    if images:
        steps.append((_images, module, None, None))
    return Chain(steps, list(module.modules()), taken, all(map(few_channels, convolutions)))
