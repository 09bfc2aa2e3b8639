"""Bayesian linear regression: ridge whose penalty is noise variance over prior variance, and outputs that know how sure they are.

``y = f coef + b + noise, noise ~ N(0, sigma_o^2 / w), coef ~ N(0, sigma_o^2 / penalty)``, a flat prior on b. Given the penalty everything
is closed form, sigma included; the penalty is chosen where the evidence is largest (MacKay 1992). About the mean row a new row's variance
is ``sigma^2 (1 + 1/n + f' A^-1 f)`` with ``A = F'F + penalty I``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netloom.target.heads.path import Features, penalties_of
from netloom.target.heads.ridge import fit_path, leave_one_out, sums_of, walk
from netloom.target.solve import Sums, add_diagonal, centre, cholesky, compress

__all__ = ["Gaussian", "evidence", "fit", "fit_path", "leave_one_out", "walk"]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A posterior over readouts at one penalty; the mean prediction is ``F @ coef + intercept``."""

    coef: Tensor  # (p, O)
    intercept: Tensor  # (O,)
    penalty: float  # noise variance / prior variance of the coefficients
    noise: Tensor  # (O,)  sigma^2, that of a row of weight 1
    log_evidence: float
    mean: Tensor  # (p,)  the mean row
    weight: float  # total weight of the rows
    half: Tensor  # (p, p) with A^-1 = half half', or, when wide, (p, n) with A^-1 = (I - half half') / penalty
    wide: bool

    def variance(self, F: Tensor) -> Tensor:
        """Predictive variance (m, O) of new rows F (m, p), noise included."""
        centred = F.to(self.mean.dtype) - self.mean
        spread = (centred @ self.half).square().sum(1)  # (m,)
        if self.wide:
            spread = (centred.square().sum(1) - spread).clamp(min=0) / self.penalty
        return (1 + 1 / self.weight + spread)[:, None] * self.noise

    def variance_factor(self, rank: int) -> Tensor:
        """V (p, r) with ``V V'`` close to ``A^-1``: its r = min(rank, p) largest eigen-directions, and never more than ``A^-1`` itself.

        With rank >= p it is all of it. For a small file: ``variance = noise * (1 + 1 / weight + |(f - mean) V|^2)``.
        """
        p = len(self.mean)
        if rank >= p:
            return cholesky(self._inverse(torch.eye(p, dtype=self.mean.dtype))) if self.wide else self.half
        Q = torch.randn(p, rank, dtype=self.mean.dtype, generator=torch.Generator().manual_seed(0))
        for _ in range(20):  # orthogonal iteration
            Q = _orthonormal(self._inverse(Q))
        image = self._inverse(Q)  # (p, r)
        small = Q.T @ image
        return torch.linalg.solve_triangular(cholesky((small + small.T) / 2), image.T, upper=False).T  # Nystrom: image small^-1 image'

    def _inverse(self, V: Tensor) -> Tensor:
        """``A^-1 V``."""
        product = self.half @ (self.half.T @ V)
        return (V - product) / self.penalty if self.wide else product


def fit(F: Features, Y: Tensor, penalty: float | None = None, weight: Tensor | None = None) -> Gaussian:
    """The posterior at the given penalty, or at the one with the largest evidence.

    Parameters
    ----------
    F : Tensor (n, p), or a sequence of blocks (n_i, p)
    Y : Tensor (n, O); the penalty is shared by the outputs, each has its own noise
    penalty : float > 0 or None
    weight : Tensor (n,) or None; a row of weight 2 counts as two rows
    """
    sums = _small_sums(F, Y, weight)
    if penalty is None:
        penalty = _best_penalty(sums)
    path = fit_path(F, Y, [penalty], weight)
    log_evidence, noise = _evidence(sums, penalty)
    if isinstance(F, Tensor) and len(F) < F.shape[1]:
        centred, _, mean, _ = centre(F.to(Y.dtype), Y, weight)
        rows = centred if weight is None else centred * weight.sqrt()[:, None]
        factor = cholesky(add_diagonal(rows @ rows.T, Y.new_tensor(penalty)))  # (n, n)
        half, wide = torch.linalg.solve_triangular(factor, rows, upper=False).T, True
    else:
        whole, shift = sums_of(F, Y, weight)
        gram, _, mean, _ = whole.centred()
        mean = mean + shift
        factor = cholesky(add_diagonal(gram, Y.new_tensor(penalty)))  # (p, p)
        half, wide = torch.linalg.solve_triangular(factor, torch.eye(len(gram), dtype=gram.dtype), upper=False).T, False
    return Gaussian(path.coef[0], path.intercept[0], penalty, noise, log_evidence, mean, float(sums.weight), half, wide)


def evidence(F: Features, Y: Tensor, penalties: Tensor | Sequence[float], weight: Tensor | None = None) -> Tensor:
    """Log evidence (L,) of each penalty, summed over the outputs, each at its own best noise."""
    sums = _small_sums(F, Y, weight)
    return Y.new_tensor([_evidence(sums, penalty)[0] for penalty in penalties_of(penalties, Y).tolist()])


def _small_sums(F: Features, Y: Tensor, weight: Tensor | None) -> Sums:
    """The sums through the smaller of n and p, about a shift of features and targets."""
    if isinstance(F, Tensor):
        F = compress(F.to(Y.dtype)).features
    return sums_of(F, Y - Y.mean(0), weight)[0]


def _evidence(sums: Sums, penalty: float) -> tuple[float, Tensor]:
    """Log evidence and noise (O,) at one penalty: ``log N(y | 0, sigma^2 (I + F F' / penalty))`` at its best sigma."""
    gram, cross, _, target_mean = sums.centred()
    factor = cholesky(add_diagonal(gram, gram.new_tensor(penalty)))
    total = sums.squares - sums.weight * target_mean.square()  # (O,)
    left = total - (cross * torch.cholesky_solve(cross, factor)).sum(0)
    left = torch.maximum(left, torch.finfo(left.dtype).eps * total).clamp(min=torch.finfo(left.dtype).tiny)
    count = max(float(sums.weight) - 1, 1.0)
    noise = left / count
    volume = 2 * factor.diagonal().log().sum() - len(gram) * math.log(penalty)
    each = -0.5 * (count * ((2 * math.pi * noise).log() + 1) + volume + math.log(float(sums.weight)))
    return float(each.sum()), noise


def _best_penalty(sums: Sums) -> float:
    """Where the evidence is largest: a coarse grid, then golden section in the logarithm."""
    spread = max(float(sums.centred()[0].trace()), torch.finfo(sums.gram.dtype).tiny * 1e12)
    low, high = math.log(1e-8 * spread), math.log(10 * spread)

    def loss(place: float) -> float:
        return -_evidence(sums, math.exp(place))[0]

    grid = [low + (high - low) * step / 12 for step in range(13)]
    best = min(range(13), key=lambda step: loss(grid[step]))
    a, b = grid[max(best - 1, 0)], grid[min(best + 1, 12)]
    golden = (math.sqrt(5) - 1) / 2
    c, d = b - golden * (b - a), a + golden * (b - a)
    at_c, at_d = loss(c), loss(d)
    while b - a > 0.01:
        if at_c < at_d:
            b, d, at_d = d, c, at_c
            c = b - golden * (b - a)
            at_c = loss(c)
        else:
            a, c, at_c = c, d, at_d
            d = a + golden * (b - a)
            at_d = loss(d)
    return math.exp((a + b) / 2)


def _orthonormal(V: Tensor) -> Tensor:
    """An orthonormal basis of V (p, r), by Cholesky, twice for accuracy."""
    for _ in range(2):
        V = V / V.norm(dim=0, keepdim=True).clamp(min=torch.finfo(V.dtype).tiny)
        V = torch.linalg.solve_triangular(cholesky(V.T @ V), V.T, upper=False).T
    return V
