"""Lend tensors to a module for one call, and give its own back whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from netloom.toolkit.slots import Slot

__all__ = ["call_patched", "call_with"]


def call_with(
    module: nn.Module,
    parameters: Sequence[tuple[Slot, Tensor]],
    buffers: Sequence[tuple[Slot, Tensor]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """``module(*args, **kwargs)`` with these tensors in the slots; lent buffers keep what the module writes into them."""
    own: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for slot, tensor in parameters:
            for held, attribute in slot.held:
                own.append((held, attribute, held[attribute]))
                held[attribute] = tensor  # what functional_call does; __setattr__ would refuse a non-parameter
        for slot, tensor in buffers:
            for held, attribute in slot.held:
                own.append((held, attribute, held[attribute]))
                held[attribute] = tensor
        out = module(*args, **kwargs)
        for slot, tensor in buffers:  # a module may bind a new tensor instead of writing into the old one
            now = slot.tensor
            if now is not tensor:
                tensor.copy_(now)
        return out
    finally:
        for held, attribute, tensor in own:
            held[attribute] = tensor
        for slot, _ in parameters:
            for layer in slot.recurrent:
                layer._init_flat_weights()


def call_patched(
    forwards: Iterable[tuple[nn.Module, Callable[..., Any]]], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """``module(*args, **kwargs)`` with other forwards for some of its layers."""
    done: list[tuple[dict[str, Any], Any]] = []
    try:
        for layer, forward in forwards:
            held = layer.__dict__
            done.append((held, held.get("forward")))
            held["forward"] = forward
        return module(*args, **kwargs)
    finally:
        for held, before in reversed(done):
            if before is None:
                held.pop("forward", None)
            else:
                held["forward"] = before
