"""Least squares with a penalty: the readout that is solved, not searched; its leave-one-out outputs are exact (PRESS, Allen 1974).

``sum_i w_i |y_i - f_i coef - b|^2 + penalty |coef|^2``, through the smaller of n and p; blocks of rows only through their sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netloom.target.heads.path import Features, Path, blocks_of, penalties_of
from netloom.target.solve import Sums, add_diagonal, cholesky, solve_readout

__all__ = ["fit_path", "leave_one_out"]


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
    blocks = blocks_of(F)
    penalties = penalties_of(penalties, Y)
    n, p = len(Y), blocks[0].shape[1]
    if len(blocks) == 1 and n < p:
        solved = [solve_readout(blocks[0].to(Y.dtype), Y, penalty, weight) for penalty in penalties]
        return Path(torch.stack([s.coef for s in solved]), torch.stack([s.intercept for s in solved]))
    shift = blocks[0].to(Y.dtype).mean(0)  # (p,)  raw sums lose digits where a column's mean is far above its spread
    total, at = None, 0
    for block in blocks:
        rows = slice(at, at + len(block))
        part = Sums.of(block.to(Y.dtype) - shift, Y[rows], None if weight is None else weight[rows])
        total, at = part if total is None else total + part, rows.stop
    assert total is not None
    gram, cross, feature_mean, target_mean = total.centred()
    coef = torch.cholesky_solve(cross.expand(len(penalties), -1, -1), cholesky(add_diagonal(gram, penalties)))  # (L, p, O)
    return Path(coef, target_mean - (feature_mean + shift) @ coef)


def leave_one_out(F: Features, Y: Tensor, path: Path, penalties: Tensor | Sequence[float], weight: Tensor | None = None) -> Tensor:
    """Exact held-out outputs (L, n, O): row i as predicted without row i (and its whole weight), neurons given."""
    rows = torch.cat([block.to(Y.dtype) for block in blocks_of(F)])
    return torch.stack([Y - solve_readout(rows, Y, penalty, weight).residual for penalty in penalties_of(penalties, Y)])
