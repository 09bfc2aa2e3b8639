"""A convex loss of linear margins, minimised for all penalties: Newton steps solved by preconditioned conjugate gradients.

``loss(A b) + penalty / 2 |b|^2``, the intercept free (truncated Newton, Dembo, Eisenstat & Steihaug 1982). The penalties are walked from
the largest down, each starting where the last two point. The preconditioner is a Cholesky factor of the features' Gram matrix, weighted by
the loss's curvature averaged over the columns: with one column it is the Hessian itself. The next penalty takes the Gram matrix of the
last, and it is made anew where that takes too many inner steps. Outer steps, line search and stop are in the targets' precision, so a
result does not depend on the inner one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from netloom.target.heads.design import Design
from netloom.target.heads.path import Path, in_order
from netloom.target.solve import cholesky

__all__ = ["FORCING", "Bend", "Loss", "minimise", "walk"]

NEWTON_STEPS = 50  # per penalty; 2 to 5 are usual
INNER_STEPS = 40  # conjugate gradients per Newton step
FORCING = 0.1  # inner steps stop when the residual has shrunk to this, if not told otherwise
STALE = 8  # inner steps after which the preconditioner is built anew


@dataclass(frozen=True, eq=False)
class Bend:
    """A loss's Hessian in the margins: ``curvature * v``, or with softmax ``curvature * (v - sum_k chances_k v_k)``."""

    curvature: Tensor  # (C, n)
    chances: Tensor | None  # (C, n)
    shared: Tensor  # (n,)  one curvature for all columns, for the preconditioner


class Loss(Protocol):
    """A convex loss of margins (C, n), summed over weighted rows."""

    @property
    def weight(self) -> Tensor: ...  # (n,)

    def begin(self) -> Tensor: ...  # (C,) intercepts to start from

    def value(self, margins: Tensor) -> float: ...

    def pull(self, margins: Tensor) -> Tensor: ...  # (C, n) the derivative

    def bend(self, margins: Tensor) -> Bend: ...


def minimise(design: Design, loss: Loss, penalties: Tensor, tolerance: float, start: Path | None = None) -> Path:
    """Readouts of the design's features for all penalties (L,).

    A walk stops when a Newton step promises less than the tolerance per unit of weight; the step is taken, and the loss is closer still
    to its optimum.
    """
    return in_order(walk(design, loss, penalties, tolerance, start), penalties)


def walk(
    design: Design, loss: Loss, penalties: Tensor, tolerance: float, start: Path | None = None, forcing: float = FORCING
) -> Iterator[Path]:
    """The same one penalty at a time, from the largest down, solved when asked for: who has seen enough stops asking.

    ``forcing`` is the share of the residual that inner steps leave: a larger one takes fewer of them per Newton step.
    """
    last: list[tuple[float, State]] = []
    gram: Tensor | None = None
    for index in torch.argsort(penalties, descending=True).tolist():
        penalty = float(penalties[index])
        state = _begin(design, loss, penalty, last, None if start is None else design.pack(start, index))
        state, gram = _newton(design, loss, penalty, state, tolerance, gram, forcing)
        last = [*last[-1:], (penalty, state)]
        coef, intercept = state.b.T[None, :-1], state.b.T[None, -1] * design.one
        yield Path(coef, intercept - design.mean @ coef)


@dataclass(frozen=True, eq=False)
class State:
    """A readout on the way: b (C, p + 1), its margins (C, n) and objective."""

    b: Tensor
    margins: Tensor
    objective: float


def _state(loss: Loss, penalty: float, b: Tensor, margins: Tensor) -> State:
    return State(b, margins, loss.value(margins) + 0.5 * penalty * float(b[:, :-1].square().sum()))


def _begin(design: Design, loss: Loss, penalty: float, last: list[tuple[float, State]], guess: Tensor | None) -> State:
    """The best of: intercepts only (first), the last penalty's readout, where the last two point, and the caller's guess."""
    states = []
    if not last:
        intercept = loss.begin()[:, None]  # (C, 1)
        b = torch.cat([intercept.new_zeros(len(intercept), len(design.mean)), intercept / design.one], 1)
        states.append(_state(loss, penalty, b, intercept.expand(-1, len(loss.weight))))
    else:
        new = last[-1][1]
        states.append(_state(loss, penalty, new.b, new.margins))
        if len(last) == 2:
            old = last[0][1]
            ratio = math.log(last[1][0] / penalty) / max(math.log(last[0][0] / last[1][0]), 1e-3)
            for stretch in (0.5 * ratio, ratio, 1.5 * ratio):
                states.append(_state(loss, penalty, new.b + stretch * (new.b - old.b), new.margins + stretch * (new.margins - old.margins)))
    if guess is not None:
        states.append(_state(loss, penalty, guess, design.forward(guess)))
    return min(states, key=lambda s: s.objective)


def _newton(
    design: Design, loss: Loss, penalty: float, state: State, tolerance: float, gram: Tensor | None, forcing: float
) -> tuple[State, Tensor | None]:
    """Newton steps until one promises less than the tolerance; the Gram matrix of a penalty before, None for a new one, and the one to
    go on with.
    """
    total = float(loss.weight.sum())
    slack = 10 * torch.finfo(loss.weight.dtype).eps
    factor, own = None, False  # whether the Gram matrix is this penalty's
    for _ in range(NEWTON_STEPS):
        gradient = design.adjoint(loss.pull(state.margins))
        gradient[:, :-1] += penalty * state.b[:, :-1]
        bend = loss.bend(state.margins)
        if gram is None:
            gram, factor, own = design.gram(bend.shared, inner=True), None, True
        if factor is None:
            factor = cholesky(design.held(gram, penalty))
        step, used = _conjugate(design, bend, penalty, gradient, factor, forcing)
        if used > STALE and not own:  # what such a step promises says nothing
            gram = None
            continue
        promise = -float((gradient * step).sum())
        if not promise > 0:
            break
        along = design.forward(step)
        size = 1.0
        while True:
            tried = _state(loss, penalty, state.b + size * step, state.margins + size * along)
            if tried.objective <= state.objective - 1e-4 * size * promise + slack * abs(state.objective):
                break
            size /= 2
            if size < 1e-8:
                return state, gram
        state = tried
        if promise <= 2 * tolerance * total and size == 1.0:
            break
        if used > STALE:
            gram = None
    return state, gram


def _conjugate(design: Design, bend: Bend, penalty: float, gradient: Tensor, factor: Tensor, forcing: float) -> tuple[Tensor, int]:
    """An inexact solution of ``Hessian step = -gradient`` in the inner precision, and how many products it took."""
    kind = factor.dtype
    size = gradient.abs().max().clamp(min=torch.finfo(gradient.dtype).tiny)
    r = (-gradient / size).to(kind)  # (C, p + 1)
    curvature = bend.curvature.to(kind)  # (C, n)
    chances = None if bend.chances is None else bend.chances.to(kind)
    x = torch.zeros_like(r)
    z = torch.cholesky_solve(r.T, factor).T
    d, rho = z, float((r * z).sum())
    first, used = rho, 0
    while used < INNER_STEPS and rho > 0:
        u = design.forward(d, inner=True)  # (C, n)
        u = curvature * (u if chances is None else u - (chances * u).sum(0))
        Hd = design.adjoint(u, inner=True)
        Hd[:, :-1] += penalty * d[:, :-1]
        steep = float((d * Hd).sum())
        used += 1
        if not steep > 0:
            break
        x = x + (rho / steep) * d
        r = r - (rho / steep) * Hd
        z = torch.cholesky_solve(r.T, factor).T
        rho, before = float((r * z).sum()), rho
        if not rho > forcing**2 * first:
            break
        d = z + (rho / before) * d
    return x.to(gradient.dtype) * size, used
