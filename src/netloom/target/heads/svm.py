"""Support vector machine with squared hinge, one against rest: ``sum_i w_i max(0, 1 - s_i m_i)^2 + penalty / 2 |coef|^2``, s = +-1.

In the primal (Chapelle 2007): smooth enough for Newton, whose steps only see the rows inside their margin; minimised by `newton`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netloom.target.heads.design import Design, design_of
from netloom.target.heads.newton import Bend, minimise
from netloom.target.heads.path import Features, Path, outputs_of, penalties_of

__all__ = ["fit_path", "leave_one_out", "walk"]


def fit_path(
    F: Features,
    Y: Tensor,
    penalties: Tensor | Sequence[float],
    weight: Tensor | None = None,
    start: Path | None = None,
    *,
    tolerance: float = 1e-5,
) -> Path:
    """Readouts for all penalties; outputs are margins: above 0 means the class, +-1 is its edge.

    Parameters
    ----------
    F : Tensor (n, p), or a sequence of blocks (n_i, p) that are never copied as a whole
    Y : Tensor (n, O) of 0/1: one column for two classes, one-hot for more (each column is its own machine)
    penalties : (L,) above 0
    weight : Tensor (n,) or None
    start : readouts for the same penalties of a similar task, or None
    tolerance : mean loss

    Returns
    -------
    Path : coef (L, p, O), intercept (L, O)
    """
    penalties = penalties_of(penalties, Y)
    weight = torch.ones(len(Y), dtype=Y.dtype) if weight is None else weight.to(Y.dtype)
    design, packed = design_of(F, weight)
    path = _machines(design, Y, weight, penalties, tolerance, start if packed.original is None else None)
    return Path(packed.expand(path.coef), path.intercept)


def walk(
    F: Features, Y: Tensor, penalties: Tensor | Sequence[float], weight: Tensor | None = None, *, tolerance: float = 1e-5
) -> Iterator[Path]:
    """`fit_path` penalty by penalty, from the largest down, each solved when it is asked for."""
    descending = torch.sort(penalties_of(penalties, Y), descending=True).values
    weight = torch.ones(len(Y), dtype=Y.dtype) if weight is None else weight.to(Y.dtype)
    design, packed = design_of(F, weight)
    path = None
    for penalty in descending:
        path = _machines(design, Y, weight, penalty[None], tolerance, path)
        yield Path(packed.expand(path.coef), path.intercept)


def _machines(design: Design, Y: Tensor, weight: Tensor, penalties: Tensor, tolerance: float, start: Path | None) -> Path:
    """Readouts of the design's features, one class after the other: they share no active rows, so neither a preconditioner nor a step
    length.
    """
    paths = []
    for column in range(Y.shape[1]):
        loss = SquaredHinge(2 * Y[:, column : column + 1].T - 1, weight)
        guess = None if start is None else Path(start.coef[..., [column]], start.intercept[:, [column]])
        paths.append(minimise(design, loss, penalties, tolerance, guess))
    return Path(torch.cat([path.coef for path in paths], -1), torch.cat([path.intercept for path in paths], -1))


def leave_one_out(F: Features, Y: Tensor, path: Path, penalties: Tensor | Sequence[float], weight: Tensor | None = None) -> Tensor:
    """Approximate held-out margins (L, n, O): one Newton step per row; exact while leaving it out moves no other row over its margin."""
    penalties = penalties_of(penalties, Y)
    weight = torch.ones(len(Y), dtype=Y.dtype) if weight is None else weight.to(Y.dtype)
    design, _ = design_of(F, weight)
    loss = SquaredHinge(2 * Y.T - 1, weight)
    margins = outputs_of(F, path)  # (L, n, O)
    moves = [
        design.move(loss.pull(margin.T).T, loss.bend(margin.T).curvature.T, penalty)
        for margin, penalty in zip(margins, penalties.tolist(), strict=True)
    ]
    return margins + torch.stack(moves)


@dataclass(frozen=True, eq=False)
class SquaredHinge:
    """``max(0, 1 - sign * margin)^2`` of margins (C, n), summed with weights."""

    sign: Tensor  # (C, n)  +1 or -1
    weight: Tensor  # (n,)

    def begin(self) -> Tensor:
        return (self.sign @ self.weight) / self.weight.sum()

    def value(self, margins: Tensor) -> float:
        return float(((1 - self.sign * margins).clamp(min=0).square() @ self.weight).sum())

    def pull(self, margins: Tensor) -> Tensor:
        return -2 * self.weight * self.sign * (1 - self.sign * margins).clamp(min=0)

    def bend(self, margins: Tensor) -> Bend:
        curvature = 2 * self.weight * (self.sign * margins < 1)
        return Bend(curvature, None, curvature.mean(0))
