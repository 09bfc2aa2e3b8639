"""Logistic readout: softmax regression solved by Newton steps, gradients by the implicit function theorem."""

from __future__ import annotations

import torch
from torch import Tensor

from netloom.toolkit.heads.implicit import minimise
from netloom.toolkit.heads.readout import Readout, checked

__all__ = ["logistic"]


def logistic(features: Tensor, targets: Tensor, penalty: float | Tensor = 1.0, weight: Tensor | None = None) -> Readout:
    """Minimise ``sum_i w_i CE(y_i, softmax(f_i coef + b)) + penalty / 2 |coef|^2``; the intercepts are free and sum to 0.

    Parameters
    ----------
    features : Tensor (..., n, p); p * O up to some hundreds, the Hessian is solved as a whole
    targets : Tensor (..., n, O), one-hot or shares that sum to 1; with O = 1, the chance of the class, and the output is its logit
    penalty : float or Tensor (...) > 0
    weight : Tensor (..., n) >= 0 of rows, or None

    Returns
    -------
    Readout : coef (..., p, O), intercept (..., O); outputs are logits
    """
    penalty, weight = checked(features, targets, penalty, weight)
    *batch, n, p = features.shape
    outputs = targets.shape[-1]
    rows = torch.cat([features, features.new_ones(*batch, n, 1)], -1)  # (..., n, p + 1)
    lasso = torch.cat([penalty[..., None].expand(*batch, p), penalty.new_zeros(*batch, 1)], -1)  # (..., p + 1)  the intercept is free
    gauge = features.new_zeros(p + 1)
    gauge[-1] = float(n)  # adding a number to all intercepts changes nothing: hold their sum at 0

    def unpack(w: Tensor) -> Tensor:
        return w.unflatten(-1, (p + 1, outputs))

    def chances(w: Tensor) -> Tensor:
        logits = rows @ unpack(w)
        return torch.sigmoid(logits) if outputs == 1 else torch.softmax(logits, -1)

    def value(w: Tensor) -> Tensor:
        logits = rows @ unpack(w)
        if outputs == 1:
            loss = (torch.nn.functional.softplus(logits) - targets * logits)[..., 0]
        else:
            loss = torch.logsumexp(logits, -1) * targets.sum(-1) - (targets * logits).sum(-1)
        extra = (gauge * unpack(w).sum(-1).square()).sum(-1) / 2 if outputs > 1 else 0.0
        return (weight * loss).sum(-1) + 0.5 * (lasso[..., None] * unpack(w).square()).sum((-1, -2)) + extra

    def gradient(w: Tensor) -> Tensor:
        expected = chances(w) * (targets.sum(-1, keepdim=True) if outputs > 1 else 1.0)
        pull = rows.mT @ (weight[..., None] * (expected - targets)) + lasso[..., None] * unpack(w)
        if outputs > 1:
            pull = pull + gauge[:, None] * unpack(w).sum(-1, keepdim=True)
        return pull.flatten(-2)

    def hessian(w: Tensor) -> Tensor:
        given = chances(w)  # (..., n, O)
        if outputs == 1:
            bend = (given * (1 - given))[..., None]  # (..., n, 1, 1)
        else:
            total = targets.sum(-1)[..., None, None]
            bend = total * (torch.diag_embed(given) - given[..., :, None] * given[..., None, :])  # (..., n, O, O)
        full = torch.einsum("...ni,...nkl,...nj->...ikjl", rows, weight[..., None, None] * bend, rows)
        full = full + torch.diag_embed(lasso)[..., :, None, :, None] * torch.eye(outputs, dtype=w.dtype, device=w.device)[:, None]
        if outputs > 1:
            full = full + torch.diag(gauge)[:, None, :, None] * w.new_ones(outputs, 1, outputs)
        matrix = full.flatten(-4, -3).flatten(-2)
        floor = 1e-6 if w.dtype == torch.float32 else 1e-12
        return matrix + floor * n * torch.eye(matrix.shape[-1], dtype=w.dtype, device=w.device)  # separable rows: curvature can vanish

    return _readout(unpack(minimise(features.new_zeros(*batch, (p + 1) * outputs), value, gradient, hessian)))


def _readout(w: Tensor) -> Readout:
    return Readout(w[..., :-1, :], w[..., -1, :])
