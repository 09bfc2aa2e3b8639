"""The small network inside every conditioner."""

from __future__ import annotations

from torch import Tensor, nn

from netloom.errors import ToolkitError

__all__ = ["check_numbers", "mlp"]


def check_numbers(name: str, given: object, dimensions: str, last: int, like: Tensor) -> None:
    """A floating-point tensor with so many dimensions (named, for the message), ``last`` numbers in the last one, of the module's type."""
    if not isinstance(given, Tensor) or given.ndim != dimensions.count(",") + 1 or given.shape[-1] != last:
        what = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ToolkitError(f"{name} must be a tensor ({dimensions}) with {last} numbers in the last dimension, not {what}")
    if given.dtype != like.dtype or given.device != like.device:
        raise ToolkitError(f"{name} is {given.dtype} on {given.device}, but the module {like.dtype} on {like.device}; use .to()")


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with GELU between them."""
    layers: list[nn.Module] = []
    for a, b in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(a, b), nn.GELU()]
    return nn.Sequential(*layers[:-1])
