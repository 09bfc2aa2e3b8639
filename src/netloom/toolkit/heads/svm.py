"""Support vector machine with squared hinge, one against rest, as a differentiable head (MetaOptNet, Lee et al. 2019).

In the primal (Chapelle 2007); the stationarity that gradients go through is the KKT condition alpha_i = 2 w_i max(0, 1 - s_i m_i): only
the rows inside their margin, the support vectors, take part.
"""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.errors import ToolkitError
from netloom.toolkit.heads.implicit import minimise
from netloom.toolkit.heads.readout import Readout, checked

__all__ = ["svm"]


def svm(features: Tensor, targets: Tensor, penalty: float | Tensor = 1.0, weight: Tensor | None = None) -> Readout:
    """Minimise ``sum_i w_i max(0, 1 - s_i (f_i coef + b))^2 + penalty / 2 |coef|^2`` for each output, s = +-1.

    Parameters
    ----------
    features : Tensor (..., n, p)
    targets : Tensor (..., n, O) of 0 and 1: one column for two classes, one-hot for more (each column is its own machine)
    penalty : float or Tensor (...) > 0
    weight : Tensor (..., n) >= 0 of rows, or None

    Returns
    -------
    Readout : coef (..., p, O), intercept (..., O); outputs are margins: above 0 is the class, +-1 its edge
    """
    penalty, weight = checked(features, targets, penalty, weight)
    if not bool(((targets == 0) | (targets == 1)).all()):
        raise ToolkitError("targets of a support vector machine must be 0 and 1; of -1 and 1 use (y + 1) / 2")
    *batch, n, p = features.shape
    rows = torch.cat([features, features.new_ones(*batch, n, 1)], -1)[..., None, :, :]  # (..., 1, n, p + 1)
    sign = (2 * targets - 1).mT  # (..., O, n)
    importance = weight[..., None, :]  # (..., 1, n)
    free = 1e-6 if features.dtype == torch.float32 else 1e-10  # keeps the intercept finite where no row is inside its margin
    shrink = torch.cat([penalty[..., None].expand(*batch, p), penalty[..., None] * free], -1)[..., None, :]  # (..., 1, p + 1)

    def short(w: Tensor) -> Tensor:  # how far each row is inside its margin (..., O, n)
        return (1 - sign * (rows @ w[..., None])[..., 0]).clamp(min=0)

    def value(w: Tensor) -> Tensor:
        return (importance * short(w).square()).sum(-1) + 0.5 * (shrink * w.square()).sum(-1)

    def gradient(w: Tensor) -> Tensor:
        return (rows.mT @ (-2 * importance * sign * short(w))[..., None])[..., 0] + shrink * w

    def hessian(w: Tensor) -> Tensor:
        inside = 2 * importance * (short(w) > 0)  # (..., O, n)
        return rows.mT @ (inside[..., None] * rows) + torch.diag_embed(shrink)

    w = minimise(features.new_zeros(*batch, targets.shape[-1], p + 1), value, gradient, hessian).mT  # (..., p + 1, O)
    return Readout(w[..., :-1, :], w[..., -1, :])
