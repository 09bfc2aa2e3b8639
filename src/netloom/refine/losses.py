"""What gradient steps minimise: each head's own loss. Each takes outputs (B, m, O), targets and row weights (B, m), and gives (B,) losses.

Targets are class codes (B, m), or values (B, m, O) in the network's own scaling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["LOSSES", "cross_entropy", "loss_of", "squared", "squared_hinge"]


def cross_entropy(outputs: Tensor, targets: Tensor, weight: Tensor, smoothing: float = 0.0) -> Tensor:
    """Log loss; with label smoothing (Szegedy et al. 2016) each target keeps ``1 - smoothing`` and shares the rest."""
    logits = torch.cat([torch.zeros_like(outputs), outputs], -1) if outputs.shape[-1] == 1 else outputs
    logs = torch.log_softmax(logits, -1)  # (B, m, C)
    rows = -logs.gather(-1, targets[..., None])[..., 0]
    if smoothing:
        rows = (1 - smoothing) * rows - smoothing * logs.mean(-1)
    return (rows * weight).sum(1) / weight.sum(1)


def squared(outputs: Tensor, targets: Tensor, weight: Tensor, smoothing: float = 0.0) -> Tensor:
    """Half the mean squared error; classes are -1 and 1, as the ridge readout has them."""
    rows = 0.5 * (outputs - _signs(outputs, targets)).square().mean(-1)
    return (rows * weight).sum(1) / weight.sum(1)


def squared_hinge(outputs: Tensor, targets: Tensor, weight: Tensor, smoothing: float = 0.0) -> Tensor:
    """The support vector machine's loss, one class against the rest."""
    rows = 0.5 * (1 - outputs * _signs(outputs, targets)).clamp(min=0).square().mean(-1)
    return (rows * weight).sum(1) / weight.sum(1)


LOSSES: Final[dict[str, Callable[..., Tensor]]] = {
    "logistic": cross_entropy,
    "svm": squared_hinge,
    "ridge": squared,
    "gaussian": squared,
}


def loss_of(head: str) -> Callable[..., Tensor]:
    """The loss of a head; a head that is not known here is refined by what its predictions are judged by, log loss."""
    return LOSSES.get(head, cross_entropy)


def _signs(outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.is_floating_point():
        return targets
    classes = outputs.shape[-1]
    if classes == 1:
        return 2.0 * targets[..., None] - 1
    return 2 * F.one_hot(targets, classes).to(outputs.dtype) - 1
