"""Least squares with a penalty: the readout that is solved, not searched; its leave-one-out outputs are exact (PRESS, Allen 1974).

``sum_i w_i |y_i - f_i coef - b|^2 + penalty |coef|^2``, through the smaller of n and p; blocks of rows only through their sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from netloom.target.heads.path import Features, Path, blocks_of, in_order, outputs_of, penalties_of
from netloom.target.solve import Sums, add_diagonal, cholesky, compress, left_out

__all__ = ["fit_path", "leave_one_out", "sums_of", "walk"]


def fit_path(F: Features, Y: Tensor, penalties: Tensor | Sequence[float], weight: Tensor | None = None, start: Path | None = None) -> Path:
    """Readouts for all penalties.

    Parameters
    ----------
    F : Tensor (n, p), or a sequence of blocks (n_i, p); blocks only ever meet their own p x p sums
    Y : Tensor (n, O)
    penalties : (L,) above 0
    weight : Tensor (n,) or None
    start : ignored, the solution is exact

    Returns
    -------
    Path : coef (L, p, O), intercept (L, O)
    """
    return in_order(walk(F, Y, penalties, weight), penalties)


def walk(F: Features, Y: Tensor, penalties: Tensor | Sequence[float], weight: Tensor | None = None) -> Iterator[Path]:
    """`fit_path` penalty by penalty, from the largest down, each solved when it is asked for."""
    descending = torch.sort(penalties_of(penalties, Y), descending=True).values
    packed = compress(F.to(Y.dtype)) if isinstance(F, Tensor) else None
    sums, shift = sums_of(F if packed is None else packed.features, Y, weight)
    gram, cross, feature_mean, target_mean = sums.centred()
    for penalty in descending:
        coef = torch.cholesky_solve(cross, cholesky(add_diagonal(gram, penalty)))[None]
        yield Path(coef if packed is None else packed.expand(coef), target_mean - (feature_mean + shift) @ coef)


def leave_one_out(F: Features, Y: Tensor, path: Path, penalties: Tensor | Sequence[float], weight: Tensor | None = None) -> Tensor:
    """Exact held-out outputs (L, n, O): row i as predicted without row i (and its whole weight), neurons given."""
    penalties = penalties_of(penalties, Y)
    outputs = outputs_of(F, path)  # (L, n, O)
    if isinstance(F, Tensor):
        F = compress(F.to(Y.dtype)).features
    sums, shift = sums_of(F, Y, weight)
    gram, _, feature_mean, _ = sums.centred()
    factor = cholesky(add_diagonal(gram, penalties))  # (L, p, p)
    parts = []
    for block in blocks_of(F):
        rows = (block.to(Y.dtype) - shift - feature_mean).T.expand(len(penalties), -1, -1)  # (L, p, n_i)
        parts.append(torch.linalg.solve_triangular(factor, rows, upper=False).square().sum(1))
    weight = Y.new_ones(len(Y)) if weight is None else weight
    return Y - left_out(Y, Y - outputs, torch.cat(parts, 1) * weight, weight / weight.sum())


def sums_of(F: Features, Y: Tensor, weight: Tensor | None) -> tuple[Sums, Tensor]:
    """The sums of all blocks about a shift (p,): raw sums lose digits where a column's mean is far above its spread."""
    blocks = blocks_of(F)
    shift = blocks[0].to(Y.dtype).mean(0)
    total, at = None, 0
    for block in blocks:
        rows = slice(at, at + len(block))
        part = Sums.of(block.to(Y.dtype) - shift, Y[rows], None if weight is None else weight[rows])
        total, at = part if total is None else total + part, rows.stop
    assert total is not None
    return total, shift
