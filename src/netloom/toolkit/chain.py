"""Linear layers and activations one after the other: B such networks are a few batched products, with nothing looked up in between.

All that such a module does is known, so it needs no trial, and no weights are lent to it: `nn.Module.__call__` and the lending would take
longer than the products of a small network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from netloom.toolkit.fused.linear import product
from netloom.toolkit.slots import Slot

__all__ = ["Chain", "find_chain"]

# number by number, whatever the shape, and the same in training
_ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign, nn.Hardtanh),
    *(nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Hardswish, nn.Hardsigmoid, nn.Identity),
)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
Step = tuple[nn.Module, str | None, str | None]  # a layer, and the names of the weight and the bias that are generated for it


class Chain:
    """``watched`` are the module and all within it, with what each holds: once one of them has hooks, another forward or other layers, the
    chain takes no more calls.
    """

    def __init__(self, steps: list[Step], watched: list[nn.Module]) -> None:
        self.steps, self.watched = steps, [(module, list(module._modules.values())) for module in watched]

    def takes(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether this is a call with one tensor (B, n, size) of a module that nobody listens to."""
        if kwargs or len(args) != 1 or not isinstance(args[0], Tensor) or args[0].ndim != 3:
            return False
        for module, layers in self.watched:
            own = module.__dict__
            if "forward" in own or own[_HOOKS[0]] or own[_HOOKS[1]] or own[_HOOKS[2]] or own[_HOOKS[3]]:
                return False
            if layers and list(own["_modules"].values()) != layers:  # the same objects: modules know no other equality
                return False
        return not _has_any_global_hook()

    def __call__(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Outputs (B, n, out) of inputs x (B, n, size)."""
        for layer, weight, bias in self.steps:
            if weight is None and bias is None:
                x = layer.forward(x)  # an activation, or a linear layer that all tasks share
                continue
            x = product(x, _of_all(layer, "weight", weight, parameters, x), _of_all(layer, "bias", bias, parameters, x))
        return x


def _of_all(layer: nn.Module, attribute: str, name: str | None, parameters: Mapping[str, Tensor], x: Tensor) -> Any:
    """The weight (B, *shape) of every task: generated, or the layer's own, or None where it has none."""
    if name is not None:
        return parameters[name]
    own = layer._parameters[attribute]
    return None if own is None else own.expand(x.shape[0], *own.shape)


def find_chain(module: nn.Module, slots: Mapping[str, Slot]) -> Chain | None:
    """The module as a chain, or None where it does anything else."""
    generated = {(id(owner), attribute): name for name, slot in slots.items() for owner, attribute in slot.places}
    steps: list[Step] = []
    waiting = [module]
    while waiting:
        layer = waiting.pop()
        if type(layer) is nn.Sequential:
            waiting += reversed(layer)
        elif type(layer) is nn.Linear:
            steps.append((layer, generated.get((id(layer), "weight")), generated.get((id(layer), "bias"))))
        elif type(layer) in _ACTIVATIONS:
            steps.append((layer, None, None))
        else:
            return None
    return Chain(steps, list(module.modules()))
