"""What every head returns, and what they share: a linear readout, Cholesky systems, checks at the door.

Batches of tasks are leading dimensions: features (..., n, p), targets (..., n, O). Only Cholesky factors are used.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from netloom.errors import ToolkitError

__all__ = ["Readout", "add_diagonal", "checked", "factor"]


class Readout(NamedTuple):
    """``features @ coef + intercept``."""

    coef: Tensor  # (..., p, O)
    intercept: Tensor  # (..., O)

    def __call__(self, features: Tensor) -> Tensor:
        """Outputs (..., n, O) of features (..., n, p)."""
        return features @ self.coef + self.intercept[..., None, :]


def checked(features: Tensor, targets: Tensor, penalty: float | Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Penalty (...) and weights (..., n) as tensors like the features; ToolkitError unless all fit."""
    if features.ndim < 2 or targets.ndim < 2 or features.shape[:-1] != targets.shape[:-1]:
        raise ToolkitError(f"features {tuple(features.shape)} and targets {tuple(targets.shape)} must be (..., n, p) and (..., n, O)")
    if features.shape[-2] == 0:
        raise ToolkitError("a readout needs at least one row")
    if not features.is_floating_point() or features.dtype != targets.dtype:
        raise ToolkitError(f"features are {features.dtype}, targets {targets.dtype}: use one floating-point type")
    penalty = torch.as_tensor(penalty, dtype=features.dtype, device=features.device)
    if not bool(((penalty > 0) & torch.isfinite(penalty)).all()):  # NaN too
        raise ToolkitError(f"penalty = {float(penalty.detach().min())}: must be above 0 and finite; generate it as softplus or exp")
    if weight is None:
        weight = features.new_ones(features.shape[:-1])
    elif weight.shape != features.shape[:-1]:
        raise ToolkitError(f"weight has shape {tuple(weight.shape)}, but must be {tuple(features.shape[:-1])}, one per row")
    elif not bool((weight >= 0).all()):
        raise ToolkitError("weight holds a number below 0, or NaN: a row counts 0 times or more")
    batch = features.shape[:-2]
    if penalty.ndim > len(batch) or any(own not in (1, all_) for own, all_ in zip(penalty.shape[::-1], batch[::-1], strict=False)):
        raise ToolkitError(f"penalty has shape {tuple(penalty.shape)}, but must be {tuple(batch)}, one per task, or a number")
    return penalty.expand(batch), weight


def factor(matrix: Tensor) -> Tensor:
    """Lower Cholesky factor of (..., p, p); differentiable; ToolkitError where there is none."""
    lower, info = torch.linalg.cholesky_ex(matrix)
    if bool(info.any()) or not bool(torch.isfinite(lower).all()):
        if not bool(torch.isfinite(matrix).all()):
            raise ToolkitError("a readout's system holds NaN or infinite numbers; check the features for overflow")
        raise ToolkitError(f"a readout's {matrix.shape[-1]} x {matrix.shape[-1]} system is singular; use a larger penalty or float64")
    return lower


def add_diagonal(matrix: Tensor, amount: Tensor) -> Tensor:
    """``matrix + amount * I``, for an amount of shape (...)."""
    return matrix + amount[..., None, None] * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
