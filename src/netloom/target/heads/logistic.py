"""Logistic regression on features: two classes with one column and a sigmoid, more with softmax.

``sum_i w_i loss_i + penalty / 2 |coef|^2``, minimised by `newton`. Held-out outputs are approximate: one Newton step away from the
solution per row (ALO, Rad & Maleki 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from netloom.target.heads.design import Design, design_of
from netloom.target.heads.newton import FORCING, Bend
from netloom.target.heads.newton import walk as walk_down
from netloom.target.heads.path import Features, Path, in_order, outputs_of, penalties_of
from netloom.target.solve import cholesky

__all__ = ["fit_path", "leave_one_out", "walk"]

TOGETHER = 1500  # leave-one-out takes the whole softmax Hessian up to this size


def fit_path(
    F: Features,
    Y: Tensor,
    penalties: Tensor | Sequence[float],
    weight: Tensor | None = None,
    start: Path | None = None,
    *,
    tolerance: float = 1e-5,
) -> Path:
    """Readouts for all penalties.

    Parameters
    ----------
    F : Tensor (n, p), or a sequence of blocks (n_i, p) that are never copied as a whole (beyond them O(p^2 + n O L) numbers)
    Y : Tensor (n, 1) of 0/1 for two classes, (n, O) one-hot (or shares) for more
    penalties : (L,) above 0
    weight : Tensor (n,) or None
    start : readouts for the same penalties of a similar task, or None
    tolerance : mean log loss; the result is usually a hundred times closer to the optimum than this

    Returns
    -------
    Path : coef (L, p, O), intercept (L, O); with softmax both sum to 0 over the classes
    """
    return in_order(walk(F, Y, penalties, weight, start, tolerance=tolerance), penalties)


def walk(
    F: Features,
    Y: Tensor,
    penalties: Tensor | Sequence[float],
    weight: Tensor | None = None,
    start: Path | None = None,
    *,
    tolerance: float = 1e-5,
    forcing: float = FORCING,
) -> Iterator[Path]:
    """`fit_path` penalty by penalty, from the largest down, each solved when it is asked for; ``forcing``: `newton.walk`."""
    penalties = penalties_of(penalties, Y)
    weight = torch.ones(len(Y), dtype=Y.dtype) if weight is None else weight.to(Y.dtype)
    design, packed = design_of(F, weight)
    loss = CrossEntropy(Y.T.contiguous(), weight)
    for path in walk_down(design, loss, penalties, tolerance, start if packed.original is None else None, forcing):
        coef, intercept = packed.expand(path.coef), path.intercept
        yield Path(coef, intercept if Y.shape[1] == 1 else intercept - intercept.mean(-1, keepdim=True))


def leave_one_out(
    F: Features, Y: Tensor, path: Path, penalties: Tensor | Sequence[float], weight: Tensor | None = None, *, together: int = TOGETHER
) -> Tensor:
    """Approximate held-out outputs (L, n, O): one Newton step away from the solution per row (ALO, Rad & Maleki 2020).

    Two classes, and more while (p + 1) O <= ``together`` with p the smaller of n and p: the exact Hessian and its O x O block per row;
    above that each class has its own p x p Hessian, which forgets that the classes' readouts answer each other: moves come out too small,
    by a tenth to a quarter in our tests.
    """
    penalties = penalties_of(penalties, Y)
    weight = torch.ones(len(Y), dtype=Y.dtype) if weight is None else weight.to(Y.dtype)
    design, _ = design_of(F, weight)
    margins = outputs_of(F, path)  # (L, n, O)
    chances_of = torch.sigmoid if Y.shape[1] == 1 else partial(torch.softmax, dim=1)
    whole = 1 < Y.shape[1] <= together // (len(design.mean) + 1)
    moves = []
    for margin, penalty in zip(margins, penalties.tolist(), strict=True):
        chances = chances_of(margin)  # (n, O)
        pull = weight[:, None] * (chances - Y)
        if whole:
            moves.append(_move_together(design, chances, pull, weight, penalty))
        else:
            moves.append(design.move(pull, weight[:, None] * chances * (1 - chances), penalty))
    return margins + torch.stack(moves)


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """Sigmoid (C = 1) or softmax cross-entropy of margins (C, n), summed with weights."""

    Y: Tensor  # (C, n)
    weight: Tensor  # (n,)

    def begin(self) -> Tensor:
        share = ((self.Y @ self.weight) / self.weight.sum()).clamp(1e-6, 1 - 1e-6)
        return torch.logit(share) if len(share) == 1 else share.log() - share.log().mean()

    def value(self, margins: Tensor) -> float:
        if len(self.Y) == 1:
            rows = torch.nn.functional.softplus(margins[0]) - self.Y[0] * margins[0]
        else:
            rows = torch.logsumexp(margins, 0) * self.Y.sum(0) - (self.Y * margins).sum(0)
        return float(self.weight @ rows)

    def pull(self, margins: Tensor) -> Tensor:
        return self.weight * (self._chances(margins) - self.Y)

    def bend(self, margins: Tensor) -> Bend:
        chances = self._chances(margins)
        if len(chances) == 1:
            curvature = self.weight * chances * (1 - chances)
            return Bend(curvature, None, curvature[0])
        shared = self.weight * (chances * (1 - chances)).sum(0) / (len(chances) - 1)  # exact where all classes are equally likely
        return Bend(self.weight * chances, chances, shared)

    def _chances(self, margins: Tensor) -> Tensor:
        return torch.sigmoid(margins) if len(self.Y) == 1 else torch.softmax(margins, 0)


def _move_together(design: Design, chances: Tensor, pull: Tensor, weight: Tensor, penalty: float) -> Tensor:
    """How far the outputs (n, C) of a row move when it is left out; h_i = (I x a_i)' H^-1 (I x a_i) is a C x C block per row."""
    C = chances.shape[1]
    h = _whole_leverage(torch.cat(design.blocks), chances, weight, penalty)  # (n, C, C)
    root = chances.sqrt()
    R = (torch.diag_embed(root) - chances[:, :, None] * root[:, None, :]) * weight.sqrt()[:, None, None]  # R R' = w (diag(p) - p p')
    kept = torch.eye(C, dtype=h.dtype) * (1 + 1e-6) - R.mT @ h @ R  # (n, C, C)  positive: a row is one part of the Hessian
    moved = h @ pull[:, :, None]
    moved = (moved + h @ R @ torch.cholesky_solve(R.mT @ moved, cholesky(kept)))[:, :, 0]
    return moved - moved.mean(1, keepdim=True)


def _whole_leverage(F: Tensor, chances: Tensor, weight: Tensor, penalty: float) -> Tensor:
    """h (n, C, C) from the whole (p + 1) C Hessian."""
    A = torch.cat([F.to(weight.dtype), weight.new_ones(len(weight), 1)], 1)  # (n, q)
    q, C = A.shape[1], chances.shape[1]
    hessian = A.new_zeros(C, q, C, q)
    for k in range(C):
        for j in range(k + 1):
            curvature = weight * chances[:, k] * (float(j == k) - chances[:, j])
            hessian[k, :, j, :] = hessian[j, :, k, :] = (A * curvature[:, None]).T @ A
    hessian[:, -1, :, -1] += weight.mean()  # holds the shift common to all classes, which nothing else sees
    hessian = hessian.reshape(C * q, C * q)
    ridge = torch.full((C, q), penalty, dtype=A.dtype)
    ridge[:, -1] = 1e-12 * penalty
    hessian.diagonal().add_(ridge.flatten())
    inverse = torch.cholesky_inverse(cholesky(hessian)).reshape(C, q, C, q)
    return torch.stack([torch.stack([(A @ inverse[k, :, j, :] * A).sum(1) for j in range(C)], 1) for k in range(C)], 1)
