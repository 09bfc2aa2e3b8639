"""Lend tensors to a module for one call, and give its own back whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from netloom.toolkit.slots import Slot

__all__ = ["call_with", "patched"]


def call_with(
    module: nn.Module,
    parameters: Iterable[tuple[Slot, Tensor]],
    buffers: Iterable[tuple[Slot, Tensor]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """``module(*args, **kwargs)`` with these tensors in the slots; lent buffers keep what the module writes into them."""
    own: list[tuple[dict[str, Any], str, Any]] = []
    recurrent: list[nn.RNNBase] = []
    views = list(buffers)
    try:
        for slot, tensor in parameters:
            for owner, attribute in slot.places:
                held = owner._parameters
                own.append((held, attribute, held[attribute]))
                held[attribute] = tensor  # type: ignore[assignment]  # what functional_call does; __setattr__ would refuse a non-parameter
                if isinstance(owner, nn.RNNBase):
                    recurrent.append(owner)
        for slot, tensor in views:
            for owner, attribute in slot.places:
                own.append((owner._buffers, attribute, owner._buffers[attribute]))
                owner._buffers[attribute] = tensor
        out = module(*args, **kwargs)
        for slot, tensor in views:  # a module may bind a new tensor instead of writing into the old one
            now = slot.tensor
            if now is not tensor:
                tensor.copy_(now)
        return out
    finally:
        for held, attribute, tensor in reversed(own):
            held[attribute] = tensor
        for layer in recurrent:
            layer._init_flat_weights()  # recurrent layers keep a second list of their weights


@contextmanager
def patched(forwards: Iterable[tuple[nn.Module, Callable[..., Any]]]):  # type: ignore[no-untyped-def]
    """Other forwards for some modules, as long as the block runs."""
    done: list[tuple[nn.Module, Any]] = []
    try:
        for layer, forward in forwards:
            done.append((layer, layer.__dict__.get("forward")))
            layer.__dict__["forward"] = forward
        yield
    finally:
        for layer, before in reversed(done):
            if before is None:
                layer.__dict__.pop("forward", None)
            else:
                layer.__dict__["forward"] = before
