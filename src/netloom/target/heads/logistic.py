"""Logistic regression on features, all penalties in one go: Newton steps solved by preconditioned conjugate gradients.

``sum_i w_i loss_i + penalty / 2 |coef|^2``, two classes with one column and a sigmoid, more with softmax. The penalties are walked from
the largest down, each starting where the last two point. The preconditioner is one Cholesky factor per penalty of the features' Gram
matrix, weighted by how unsure each row still is (float32 when the features are one tensor): for two classes it is the Hessian itself.
Outer steps, line search and stop are in the targets' precision, so the result does not depend on the inner one (truncated Newton,
Dembo, Eisenstat & Steihaug 1982).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netloom.target.heads.path import Features, Path, blocks_of, outputs_of, penalties_of
from netloom.target.solve import Compressed, cholesky, compress

__all__ = ["fit_path", "leave_one_out"]

NEWTON_STEPS = 40  # per penalty; 3 to 6 are usual
INNER_STEPS = 40  # conjugate gradients per Newton step
FORCING = 0.1  # inner steps stop when the residual has shrunk to this
STALE = 8  # inner steps after which the preconditioner is built anew
TOGETHER = 1500  # leave-one-out takes the whole softmax Hessian up to this size


def fit_path(
    F: Features,
    Y: Tensor,
    penalties: Tensor | Sequence[float],
    weight: Tensor | None = None,
    start: Path | None = None,
    *,
    tolerance: float = 1e-6,
) -> Path:
    """Readouts for all penalties.

    Parameters
    ----------
    F : Tensor (n, p), or a sequence of blocks (n_i, p) that are never copied as a whole (beyond them O(p^2 + n O L) numbers)
    Y : Tensor (n, 1) of 0/1 for two classes, (n, O) one-hot (or shares) for more
    penalties : (L,) above 0
    weight : Tensor (n,) or None
    start : readouts for the same penalties of a similar task, or None
    tolerance : stop when a Newton step promises less than this, per unit of weight; the loss then is closer still to its optimum

    Returns
    -------
    Path : coef (L, p, O), intercept (L, O); with softmax both sum to 0 over the classes
    """
    penalties = penalties_of(penalties, Y)
    weight = torch.ones(len(Y), dtype=Y.dtype) if weight is None else weight.to(Y.dtype)
    design, packed = _design(F, weight)
    if packed.original is not None:
        start = None
    loss = Loss(Y, weight)
    found: dict[int, State] = {}
    order = torch.argsort(penalties, descending=True).tolist()
    last: list[tuple[float, State]] = []
    for index in order:
        penalty = float(penalties[index])
        state = _begin(design, loss, penalty, last, None if start is None else design.pack(start, index))
        state = _newton(design, loss, penalty, state, tolerance)
        last = [*last[-1:], (penalty, state)]
        found[index] = state
    solutions = torch.stack([found[index].b for index in range(len(order))])  # (L, p + 1, C)
    coef, intercept = solutions[:, :-1], solutions[:, -1]
    intercept = intercept - (design.mean @ coef)
    coef = packed.expand(coef)
    if Y.shape[1] > 1:
        intercept = intercept - intercept.mean(-1, keepdim=True)
    return Path(coef, intercept)


def leave_one_out(F: Features, Y: Tensor, path: Path, penalties: Tensor | Sequence[float], weight: Tensor | None = None) -> Tensor:
    """Approximate held-out outputs (L, n, O): one Newton step away from the solution per row (ALO, Rad & Maleki 2020).

    Two classes, and more while (p + 1) O <= 1500 with p the smaller of n and p: the exact Hessian and its O x O block per row. Above that
    each class has its own p x p Hessian, which forgets that the classes' readouts answer each other: moves come out too small,
    by a tenth to a quarter in our tests.
    """
    penalties = penalties_of(penalties, Y)
    weight = torch.ones(len(Y), dtype=Y.dtype) if weight is None else weight.to(Y.dtype)
    design, _ = _design(F, weight)
    loss = Loss(Y, weight)
    margins = outputs_of(F, path)  # (L, n, C)
    together = 1 < Y.shape[1] <= TOGETHER // (len(design.mean) + 1)
    move = _move_together if together else _move_apart
    moves = [move(design, loss.chances(margin), Y, weight, penalty) for margin, penalty in zip(margins, penalties.tolist(), strict=True)]
    return margins + torch.stack(moves)


def _design(F: Features, weight: Tensor) -> tuple[Design, Compressed]:
    """The features as products, through the smaller of n and p where they are one tensor, and the way back."""
    blocks = blocks_of(F)
    if len(blocks) > 1:
        return Design.chunked(blocks, weight), Compressed(blocks[0], None)
    packed = compress(blocks[0].to(weight.dtype))
    return Design.dense(packed.features, weight), packed


def _move_apart(design: Design, chances: Tensor, Y: Tensor, weight: Tensor, penalty: float) -> Tensor:
    """How far the outputs (n, C) of a row move when it is left out, each class with its own Hessian (two classes: the Hessian)."""
    pull = weight[:, None] * (chances - Y)  # (n, C)
    curvature = weight[:, None] * chances * (1 - chances)
    leverage = torch.stack([design.leverage(column, penalty) for column in curvature.T], 1)  # (n, C)
    return leverage * pull / (1 - curvature * leverage).clamp(min=1e-6)


def _move_together(design: Design, chances: Tensor, Y: Tensor, weight: Tensor, penalty: float) -> Tensor:
    """The same for more classes with the whole Hessian H: h_i = (I x a_i)' H^-1 (I x a_i), a C x C block per row."""
    C = chances.shape[1]
    h = _whole_leverage(torch.cat(design.blocks), chances, weight, penalty)  # (n, C, C)
    pull = (weight[:, None] * (chances - Y))[:, :, None]  # (n, C, 1)
    root = chances.sqrt()
    R = (torch.diag_embed(root) - chances[:, :, None] * root[:, None, :]) * weight.sqrt()[:, None, None]  # R R' = w (diag(p) - p p')
    kept = torch.eye(C, dtype=h.dtype) * (1 + 1e-6) - R.mT @ h @ R  # (n, C, C)  positive: a row is one part of the Hessian
    moved = h @ pull
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


@dataclass(frozen=True, eq=False)
class State:
    """A readout on the way: b (p + 1, C), its margins (n, C) and objective."""

    b: Tensor
    margins: Tensor
    objective: float


@dataclass(frozen=True, eq=False)
class Loss:
    """Sigmoid (C = 1) or softmax cross-entropy of margins (n, C), summed with weights."""

    Y: Tensor
    weight: Tensor

    def value(self, margins: Tensor, penalty: float, b: Tensor) -> float:
        if self.Y.shape[1] == 1:
            rows = torch.nn.functional.softplus(margins) - self.Y * margins
        else:
            rows = torch.logsumexp(margins, 1, keepdim=True) * self.Y.sum(1, keepdim=True) - (self.Y * margins).sum(1, keepdim=True)
        return float(self.weight @ rows[:, 0] + 0.5 * penalty * b[:-1].square().sum())

    def chances(self, margins: Tensor) -> Tensor:
        return torch.sigmoid(margins) if self.Y.shape[1] == 1 else torch.softmax(margins, 1)


@dataclass(frozen=True, eq=False)
class Design:
    """Centred features with a column of ones, as products; ``inner`` is the copy that the inner steps use."""

    blocks: list[Tensor]
    inner: list[Tensor]
    mean: Tensor  # (p,)

    @classmethod
    def dense(cls, F: Tensor, weight: Tensor) -> Design:
        mean = (weight @ F) / weight.sum()
        rows = F - mean
        return cls([rows], [rows.float()], mean)

    @classmethod
    def chunked(cls, blocks: list[Tensor], weight: Tensor) -> Design:
        return cls(blocks, blocks, torch.zeros(blocks[0].shape[1], dtype=weight.dtype))

    def pack(self, path: Path, index: int) -> Tensor:
        coef = path.coef[index]
        return torch.cat([coef, (path.intercept[index] + self.mean @ coef)[None]])

    def forward(self, b: Tensor, inner: bool = False) -> Tensor:
        """(p + 1, C) -> (n, C)."""
        blocks = self.inner if inner else self.blocks
        rows = [block @ b[:-1].to(block.dtype) for block in blocks]
        return (rows[0] if len(rows) == 1 else torch.cat(rows)).to(b.dtype) + b[-1]

    def adjoint(self, r: Tensor, inner: bool = False) -> Tensor:
        """(n, C) -> (p + 1, C)."""
        blocks = self.inner if inner else self.blocks
        if len(blocks) == 1:
            top = blocks[0].T @ r.to(blocks[0].dtype)
        else:
            top = sum(block.T @ part.to(block.dtype) for block, part in zip(blocks, r.split([len(b) for b in blocks]), strict=True))
        return torch.cat([top.to(r.dtype), r.sum(0, keepdim=True)])

    def hessian(self, curvature: Tensor, penalty: float, inner: bool = False) -> Tensor:
        """``A' diag(curvature) A + penalty`` (p + 1, p + 1); in float64, or the inner precision."""
        p, blocks = len(self.mean), self.inner if inner else self.blocks
        kind = blocks[0].dtype if inner else curvature.dtype
        gram = torch.zeros(p + 1, p + 1, dtype=kind)
        for block, part in zip(blocks, curvature.split([len(b) for b in blocks]), strict=True):
            block = block.to(kind)
            scaled = block * part[:, None].to(kind)
            gram[:p, :p] += scaled.T @ block
            gram[p, :p] += scaled.sum(0)
        gram[:p, p] = gram[p, :p]
        gram[p, p] = curvature.sum()
        gram.diagonal()[:p] += penalty
        gram[p, p] += 1e-12 * penalty  # where all rows are sure nothing else holds the intercept
        return gram

    def leverage(self, curvature: Tensor, penalty: float) -> Tensor:
        """``a_i' H^-1 a_i`` (n,) for the Hessian H of these curvatures (n,)."""
        factor = cholesky(self.hessian(curvature, penalty))
        parts = []
        for block in self.blocks:
            rows = torch.cat([block.to(factor.dtype), factor.new_ones(len(block), 1)], 1)
            parts.append(torch.linalg.solve_triangular(factor, rows.T, upper=False).square().sum(0))
        return torch.cat(parts)


def _begin(design: Design, loss: Loss, penalty: float, last: list[tuple[float, State]], guess: Tensor | None) -> State:
    """The best of: nothing but class shares, the last penalty's readout, where the last two point, and the caller's guess."""
    p, C = len(design.mean), loss.Y.shape[1]
    if not last:
        share = ((loss.weight @ loss.Y) / loss.weight.sum()).clamp(1e-6, 1 - 1e-6)
        b = torch.zeros(p + 1, C, dtype=loss.Y.dtype)
        b[-1] = torch.logit(share) if C == 1 else share.log() - share.log().mean()
        states = [State(b, b[-1].expand(len(loss.Y), C), 0.0)]
    else:
        new = last[-1][1]
        states = [new]
        if len(last) == 2:
            old = last[0][1]
            ratio = _log_ratio(last[1][0], penalty) / max(_log_ratio(last[0][0], last[1][0]), 1e-3)
            for stretch in (0.5, 1.0, 1.5):
                t = stretch * ratio
                states.append(State(new.b + t * (new.b - old.b), new.margins + t * (new.margins - old.margins), 0.0))
    if guess is not None:
        states.append(State(guess, design.forward(guess), 0.0))
    states = [State(s.b, s.margins, loss.value(s.margins, penalty, s.b)) for s in states]
    return min(states, key=lambda s: s.objective)


def _log_ratio(larger: float, smaller: float) -> float:
    return torch.log(torch.tensor(larger / smaller)).item()


def _newton(design: Design, loss: Loss, penalty: float, state: State, tolerance: float) -> State:
    """Newton steps until one promises less than the tolerance."""
    total = float(loss.weight.sum())
    slack = 10 * torch.finfo(loss.Y.dtype).eps
    factor = None
    for _ in range(NEWTON_STEPS):
        chances = loss.chances(state.margins)
        gradient = design.adjoint(loss.weight[:, None] * (chances - loss.Y))
        gradient[:-1] += penalty * state.b[:-1]
        if factor is None:
            curvature = loss.weight * (chances * (1 - chances)).mean(1)
            factor = cholesky(design.hessian(curvature, penalty, inner=True))
        step, used = _conjugate(design, loss, chances, penalty, gradient, factor)
        promise = -float((gradient * step).sum())
        if not promise > 0:
            break
        along = design.forward(step)
        size = 1.0
        while True:
            b, margins = state.b + size * step, state.margins + size * along
            objective = loss.value(margins, penalty, b)
            if objective <= state.objective - 1e-4 * size * promise + slack * abs(state.objective):
                break
            size /= 2
            if size < 1e-8:
                return state
        state = State(b, margins, objective)
        if promise * size <= 2 * tolerance * total and size == 1.0:
            break
        if used > STALE:
            factor = None
    return state


def _conjugate(design: Design, loss: Loss, chances: Tensor, penalty: float, gradient: Tensor, factor: Tensor) -> tuple[Tensor, int]:
    """An inexact solution of ``Hessian step = -gradient`` in the inner precision, and how many products it took."""
    kind = factor.dtype
    size = gradient.abs().max().clamp(min=torch.finfo(gradient.dtype).tiny)
    r = (-gradient / size).to(kind)
    chances, weight = chances.to(kind), loss.weight.to(kind)[:, None]
    softmax = chances.shape[1] > 1
    x = torch.zeros_like(r)
    z = torch.cholesky_solve(r, factor)
    d, rho = z, float((r * z).sum())
    first, used = rho, 0
    while used < INNER_STEPS:
        Ad = design.forward(d, inner=True)
        u = weight * chances * (Ad - (chances * Ad).sum(1, keepdim=True)) if softmax else weight * chances * (1 - chances) * Ad
        Hd = design.adjoint(u, inner=True)
        Hd[:-1] += penalty * d[:-1]
        bend = float((d * Hd).sum())
        used += 1
        if not bend > 0:
            break
        x = x + (rho / bend) * d
        r = r - (rho / bend) * Hd
        z = torch.cholesky_solve(r, factor)
        rho, before = float((r * z).sum()), rho
        if not rho > FORCING**2 * first:
            break
        d = z + (rho / before) * d
    return x.to(gradient.dtype) * size, used
