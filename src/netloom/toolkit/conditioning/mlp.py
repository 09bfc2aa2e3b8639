"""The small network inside every conditioner."""

from __future__ import annotations

from torch import nn

__all__ = ["mlp"]


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with GELU between them."""
    layers: list[nn.Module] = []
    for a, b in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(a, b), nn.GELU()]
    return nn.Sequential(*layers[:-1])
