"""Readouts of many small tasks at once: what `ridge` and `logistic` solve for one task, here for a batch, through kernels of its rows.

``K = F F'`` (n, n) is all a readout with a penalty on ``|coef|^2`` sees of its features: ``coef = F' dual``. Newton steps and leave-one-out
follow Rasmussen & Williams 2006, algorithms 3.1 and 3.3: one system per class, tied by one more. Rows of weight 0 are padding, they change
nothing. Cost n^3 per task and step: for up to a few hundred rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netloom.target.heads.path import penalties_of
from netloom.target.solve import cholesky

__all__ = ["SOLVERS", "Duals", "logistic", "ridge"]

INTERCEPT = 1e3  # the square of the intercept's feature, in mean |f|^2 and penalties: hardly penalised, and not so large that digits go
STEPS = 50  # Newton steps per penalty; 3 to 5 are usual
TINY = 1e-12  # of a row's weight: the least curvature that it is given


@dataclass(frozen=True, eq=False)
class Duals:
    """One readout per penalty and task: ``F @ (F' dual) + intercept``; ``left_out`` are the outputs of each row without itself."""

    dual: Tensor  # (L, B, n, O)
    intercept: Tensor  # (L, B, O)
    left_out: Tensor  # (L, B, n, O)


def ridge(K: Tensor, Y: Tensor, penalties: Tensor | Sequence[float], weight: Tensor) -> Duals:
    """Least squares on the targets: the same numbers as `heads.ridge`, leave-one-out is exact.

    Parameters
    ----------
    K : Tensor (B, n, n), inner products of the rows' features, float64
    Y : Tensor (B, n, O)
    penalties : (L,) above 0
    weight : Tensor (B, n) >= 0; rows of weight 0 are left out
    """
    strengths = penalties_of(penalties, K)
    K, one = _with_intercept(K, weight, strengths)
    root = weight.sqrt()[..., None]  # (B, n, 1)
    found = []
    for penalty in strengths:
        inverse = torch.cholesky_inverse(cholesky(_system(K, root, penalty)))  # (B, n, n)
        pulled = inverse @ (root * Y)
        residual = pulled / (inverse.diagonal(dim1=1, dim2=2)[..., None] * root.clamp(min=TINY))
        found.append((root * pulled, Y - residual))
    return _duals(found, one)


def logistic(K: Tensor, Y: Tensor, penalties: Tensor | Sequence[float], weight: Tensor, *, tolerance: float = 1e-4) -> Duals:
    """Logistic readouts, walked from one penalty to the next: the same numbers as `heads.logistic`, leave-one-out by one Newton step.

    Parameters
    ----------
    K : Tensor (B, n, n), inner products of the rows' features, float64
    Y : Tensor (B, n, 1) of 0/1 for two classes, (B, n, O) one-hot for more
    penalties : (L,) above 0, best from strong to weak
    weight : Tensor (B, n) >= 0; rows of weight 0 are left out
    tolerance : mean log loss that the last Newton step still promises; then it is taken
    """
    strengths = penalties_of(penalties, K)
    K, one = _with_intercept(K, weight, strengths)
    dual, margins, found = torch.zeros_like(Y), torch.zeros_like(Y), []
    for penalty in strengths:
        dual, margins = _newton(K, Y, weight, penalty, dual, margins, tolerance)
        found.append((dual, margins + _moves(K, Y, weight, penalty, margins)))
    return _duals(found, one)


SOLVERS: dict[str, Callable[..., Duals]] = {"logistic": logistic, "ridge": ridge, "gaussian": ridge}


def _with_intercept(K: Tensor, weight: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
    """The kernel with one more feature for the intercept, and that feature's square (B,)."""
    one = INTERCEPT * ((K.diagonal(dim1=1, dim2=2) * weight).sum(1) / weight.sum(1) + penalties.max())
    return K + one[:, None, None], one


def _duals(found: list[tuple[Tensor, Tensor]], one: Tensor) -> Duals:
    dual, left_out = map(torch.stack, zip(*found, strict=True))
    return Duals(dual, one[:, None] * dual.sum(2), left_out)


def _system(K: Tensor, root: Tensor, penalty: Tensor) -> Tensor:
    """``S K S + penalty I`` with S = diag(root): positive definite, whatever the curvature root^2 (B, n, 1)."""
    system = root * K
    system *= root.mT  # in place, as below: these are the largest matrices here, and a pass over them takes as long as what is done to them
    system.diagonal(dim1=-2, dim2=-1).add_(penalty)
    return system


def _newton(
    K: Tensor, Y: Tensor, weight: Tensor, penalty: Tensor, dual: Tensor, margins: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Newton steps for each task of the batch until one promises less than the tolerance: duals and their margins ``K @ dual``."""
    duals, all_margins = dual.clone(), margins.clone()
    left = torch.arange(len(K))  # tasks still on their way
    k = K
    for _ in range(STEPS):
        y, w, old, margins = Y[left], weight[left], duals[left], all_margins[left]
        chances = _chances(margins)
        pull = w[..., None] * (chances - y)  # (B, n, O)
        aim = (_aim if y.shape[2] == 1 else _aim_together)(k, w, chances, pull, margins, penalty)
        step = aim - old
        along = k @ step
        promise = -((pull + penalty * old) * along).sum((1, 2))  # (B,) what the objective falls by at first, per unit of the step
        before, size = _objective(y, w, margins, old, penalty), torch.ones_like(promise)
        while True:
            now = size[:, None, None]
            after = _objective(y, w, margins + now * along, old + now * step, penalty)
            short = (after > before - 1e-4 * size * promise + 1e-14 * before.abs()) & (size > 1e-8)
            if not short.any():
                break
            size = torch.where(short, size / 2, size)
        duals[left], all_margins[left] = old + now * step, margins + now * along
        further = (promise > 2 * tolerance * w.sum(1)) | ((size < 1) & (size > 1e-8))
        if not further.any():
            break
        left, k = (left, k) if further.all() else (left[further], k[further])
    return duals, all_margins


def _chances(margins: Tensor) -> Tensor:
    return torch.sigmoid(margins) if margins.shape[2] == 1 else torch.softmax(margins, 2)


def _objective(Y: Tensor, weight: Tensor, margins: Tensor, dual: Tensor, penalty: Tensor) -> Tensor:
    """Weighted log loss and penalty (B,)."""
    if Y.shape[2] == 1:
        rows = (torch.nn.functional.softplus(margins) - Y * margins)[..., 0]
    else:
        rows = torch.logsumexp(margins, 2) - (Y * margins).sum(2)  # padding has weight 0
    return (weight * rows).sum(1) + 0.5 * penalty * (dual * margins).sum((1, 2))


def _aim(K: Tensor, weight: Tensor, chances: Tensor, pull: Tensor, margins: Tensor, penalty: Tensor) -> Tensor:
    """Where a Newton step leads (B, n, 1), two classes."""
    curvature = weight[..., None] * (chances * (1 - chances)).clamp(min=TINY)
    root = curvature.sqrt()
    wanted = curvature * margins - pull
    answer = torch.cholesky_solve(root * (K @ wanted), cholesky(_system(K, root, penalty)))
    return (wanted - root * answer) / penalty


def _aim_together(K: Tensor, weight: Tensor, chances: Tensor, pull: Tensor, margins: Tensor, penalty: Tensor) -> Tensor:
    """Where a Newton step leads (B, n, O), with softmax (algorithm 3.3)."""
    E, tie = _tied(K, weight, chances, penalty)
    wanted = weight[..., None] * chances * (margins - (chances * margins).sum(2, keepdim=True)) - pull
    answer = (E @ (K @ wanted).mT[..., None])[..., 0].mT / penalty  # (B, n, O)
    shared = torch.cholesky_solve(answer.sum(2, keepdim=True), tie)  # (B, n, 1)
    return (wanted - answer + (E @ shared[:, None])[..., 0].mT) / penalty


def _tied(K: Tensor, weight: Tensor, chances: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """``E_c = (K / penalty + D_c^-1)^-1`` (B, O, n, n) of each class and the factor (B, n, n) of their sum."""
    root = (weight[..., None] * chances.clamp(min=TINY)).sqrt().mT[..., None]  # (B, O, n, 1)
    E = penalty * root * torch.cholesky_inverse(cholesky(_system(K[:, None], root, penalty))) * root.mT
    return E, cholesky(E.sum(1) + torch.diag_embed((weight == 0).to(K.dtype)))


def _moves(K: Tensor, Y: Tensor, weight: Tensor, penalty: Tensor, margins: Tensor) -> Tensor:
    """How far the outputs (B, n, O) of a row move when it is left out: a Newton step, each class with its own Hessian."""
    chances = _chances(margins)
    spread = (chances * (1 - chances)).clamp(min=TINY)
    root = (weight[..., None] * spread).sqrt().mT[..., None]  # (B, O, n, 1)
    factor = cholesky(_system(K[:, None], root, penalty))  # (B, O, n, n)
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype).expand_as(factor)
    half = torch.linalg.solve_triangular(factor, eye, upper=False)
    # 1 - leverage (B, n, O): the inverse's diagonal, in two thirds of the time that all of it takes
    kept = penalty * half.square_().sum(2).mT
    return (1 - kept) / kept.clamp(min=1e-6) * (chances - Y) / spread
