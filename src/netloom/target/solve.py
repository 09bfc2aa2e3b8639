"""The one closed form behind every readout: weighted ridge with a free intercept, and what each row would get without itself.

Ridge through the smaller of n and p, exact leave-one-out residuals (PRESS, Allen 1974), sums that add up over row chunks, rank-H updates of
an inverse (Woodbury) and an exact rotation of wide features to n columns. Everything takes leading batch dimensions and float32 or float64.
Only Cholesky factors are used: LU-based routines (inv, solve) can hang with two threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from netloom.errors import ConfigError, NotWovenError

__all__ = [
    "Compressed",
    "Readout",
    "RidgeInverse",
    "Sums",
    "centre",
    "add_diagonal",
    "cholesky",
    "compress",
    "gram",
    "left_out",
    "solve_readout",
]


@dataclass(frozen=True, eq=False)
class Readout:
    """A solved readout: ``F @ coef + intercept`` predicts; ``residual`` is what is wrong with each row when it is left out."""

    coef: Tensor  # (..., p, O)
    intercept: Tensor  # (..., O)
    residual: Tensor  # (..., n, O)  target minus the output fitted without that row
    leverage: Tensor  # (..., n)     how much of its own output each row decides, 0 to 1


def solve_readout(F: Tensor, Y: Tensor, penalty: float | Tensor, weight: Tensor | None = None, *, intercept: bool = True) -> Readout:
    """Minimise ``sum_i w_i |y_i - f_i coef - b|^2 + penalty |coef|^2``; exact leave-one-out residuals (PRESS, Allen 1974).

    Parameters
    ----------
    F : Tensor (..., n, p), features
    Y : Tensor (..., n, O), targets
    penalty : float or Tensor (...) > 0, in units of features squared
    weight : Tensor (..., n) or None, >= 0; leaving out a row leaves out its whole weight
    intercept : bool, whether b is fitted (never penalised)

    Returns
    -------
    Readout : coef (..., p, O), intercept (..., O), residual (..., n, O), leverage (..., n)

    Raises
    ------
    ConfigError : if the penalty is not positive
    NotWovenError : if the system stays singular or is not finite
    """
    penalty = positive(penalty, F)
    n, p = F.shape[-2:]
    Fc, Yc, feature_mean, target_mean = centre(F, Y, weight) if intercept else (F, Y, F.new_zeros(F.shape[-1]), Y.new_zeros(Y.shape[-1]))
    root = None if weight is None else weight.sqrt()[..., None]  # (..., n, 1)
    A, T = (Fc, Yc) if root is None else (Fc * root, Yc * root)
    if n < p:  # dual: (A A' + penalty I)^-1
        inverse = torch.cholesky_inverse(cholesky(add_diagonal(A @ A.mT, penalty)))  # (..., n, n)
        dual = inverse @ T  # (..., n, O)
        coef = A.mT @ dual  # (..., p, O)
        own = 1 - penalty[..., None] * inverse.diagonal(dim1=-2, dim2=-1)  # (..., n)  leverage
    else:
        factor = cholesky(add_diagonal(A.mT @ A, penalty))  # (..., p, p)
        coef = torch.cholesky_solve(A.mT @ T, factor)
        half = torch.linalg.solve_triangular(factor, A.mT, upper=False)  # (..., p, n)
        own = half.square().sum(-2)
    share = shares(F, weight) if intercept else torch.zeros_like(own)  # the intercept's own leverage
    residual = left_out(Y, Yc - Fc @ coef, own, share)
    offset = target_mean - (feature_mean[..., None, :] @ coef)[..., 0, :]
    return Readout(coef, offset, residual, own + share)


def left_out(Y: Tensor, residual: Tensor, own: Tensor, share: Tensor) -> Tensor:
    """Residuals (..., n, O) without each row, from those with it, its leverage (..., n) and its share (..., n) of the weight.

    A row that holds all the weight leaves nothing to predict it from: the output without it is 0.
    """
    kept = (1 - own - share).clamp(min=torch.finfo(Y.dtype).eps)
    return torch.where((share > 1 - 1e-6)[..., None], Y, residual / kept[..., None])


@dataclass(frozen=True, eq=False)
class Sums:
    """What ridge needs to know of the rows; sums of disjoint chunks of rows add up (``+``), over files, machines and time."""

    gram: Tensor  # (..., p, p)  sum_i w_i f_i f_i'
    cross: Tensor  # (..., p, O)  sum_i w_i f_i y_i'
    features: Tensor  # (..., p)  sum_i w_i f_i
    targets: Tensor  # (..., O)  sum_i w_i y_i
    squares: Tensor  # (..., O)  sum_i w_i y_i^2
    weight: Tensor  # (...)  sum_i w_i
    rows: int

    @classmethod
    def of(cls, F: Tensor, Y: Tensor, weight: Tensor | None = None) -> Sums:
        """The sums of one chunk: F (..., n, p), Y (..., n, O), weight (..., n) or None."""
        G = F if weight is None else F * weight[..., None]
        total = F.new_full(F.shape[:-2], F.shape[-2]) if weight is None else weight.sum(-1)
        Yw = Y if weight is None else Y * weight[..., None]
        inner = gram(F if weight is None else F * weight.sqrt()[..., None])
        return cls(inner, G.mT @ Y, G.sum(-2), Yw.sum(-2), (Yw * Y).sum(-2), total, F.shape[-2])

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.gram + other.gram,
            self.cross + other.cross,
            self.features + other.features,
            self.targets + other.targets,
            self.squares + other.squares,
            self.weight + other.weight,
            self.rows + other.rows,
        )

    def centred(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gram (..., p, p) and cross (..., p, O) about the weighted means, and the means (..., p), (..., O)."""
        total = self.weight[..., None]
        feature_mean, target_mean = self.features / total, self.targets / total
        gram = self.gram - self.features[..., :, None] * feature_mean[..., None, :]
        cross = self.cross - self.features[..., :, None] * target_mean[..., None, :]
        return (gram + gram.mT) / 2, cross, feature_mean, target_mean

    def solve(self, penalty: float | Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients (..., p, O) and intercept (..., O): the same numbers as `solve_readout` on all rows at once."""
        gram, cross, feature_mean, target_mean = self.centred()
        coef = torch.cholesky_solve(cross, cholesky(add_diagonal(gram, positive(penalty, gram))))
        return coef, target_mean - (feature_mean[..., None, :] @ coef)[..., 0, :]


@dataclass(frozen=True, eq=False)
class Compressed:
    """Features rotated to at most n columns; ``expand`` takes coefficients back. Inner products of rows and ``|coef|`` are kept."""

    features: Tensor  # (..., n, min(n, p))
    original: Tensor | None  # (..., n, p), None when nothing was rotated

    def expand(self, coef: Tensor) -> Tensor:
        """Coefficients (..., min(n, p), O) of the rotated features as coefficients (..., p, O) of the original ones."""
        if self.original is None:
            return coef
        return self.original.mT @ torch.linalg.solve_triangular(self.features.mT, coef, upper=True)


def compress(F: Tensor) -> Compressed:
    """For n < p, n features with the same inner products between rows: ``F F' = L L'``, L the features, ``coef = F' L'^-1 b``.

    Any model whose penalty is ``|coef|^2`` has the same outputs on both, since its solution lies in the span of the rows.
    A tiny jitter keeps repeated rows solvable: 1e-12 (float64) of the mean diagonal.
    """
    n, p = F.shape[-2:]
    return Compressed(F, None) if n >= p else Compressed(cholesky(gram(F.mT)), F)


@dataclass(frozen=True, eq=False)
class RidgeInverse:
    """``(F F' + penalty I)^-1`` (..., n, n) of features F (..., n, p). Where rows are many it is ``(I - Q Q') / penalty``, and only Q
    (..., n, p) is kept: nothing costs n^2 then.
    """

    penalty: Tensor  # (...)
    kept: Tensor  # the inverse, or Q
    factored: bool = False

    @classmethod
    def of(cls, F: Tensor, penalty: float | Tensor) -> RidgeInverse:
        """The inverse for F (..., n, p), without an intercept."""
        penalty = positive(penalty, F)
        n, p = F.shape[-2:]
        if n <= 2 * p:
            return cls(penalty, torch.cholesky_inverse(cholesky(add_diagonal(F @ F.mT, penalty))))
        root = cholesky(add_diagonal(F.mT @ F, penalty))
        return cls(penalty, torch.linalg.solve_triangular(root, F.mT, upper=False).mT, factored=True)

    def __matmul__(self, Y: Tensor) -> Tensor:
        """The inverse times Y (..., n, O)."""
        if not self.factored:
            return self.kept @ Y
        return (Y - self.kept @ (self.kept.mT @ Y)) / self.penalty[..., None, None]

    def diagonal(self) -> Tensor:
        """What stands on the diagonal of the inverse (..., n)."""
        if not self.factored:
            return self.kept.diagonal(dim1=-2, dim2=-1)
        return (1 - self.kept.square().sum(-1)) / self.penalty[..., None]

    def beside(self, F: Tensor) -> RidgeInverse:
        """The inverse with new features F (..., n, H) beside the old ones: Woodbury, O(n^2 H), or O(n p H) where rows are many."""
        q = self @ F  # (..., n, H)
        root = cholesky(add_diagonal(F.mT @ q, F.new_ones(())))  # (..., H, H)
        if not self.factored:
            return RidgeInverse(self.penalty, self.kept - q @ torch.cholesky_solve(q.mT, root))
        half = torch.linalg.solve_triangular(root, q.mT, upper=False).mT * self.penalty.sqrt()[..., None, None]  # (..., n, H)
        return RidgeInverse(self.penalty, torch.cat([self.kept, half], -1), factored=True)


def gram(A: Tensor) -> Tensor:
    """``A' A`` (..., p, p) of A (..., n, p). NumPy sees that A meets itself and does half of the work (BLAS syrk); torch does not."""
    if A.ndim > 2 or A.requires_grad or A.device.type != "cpu":
        return A.mT @ A
    plain = A.numpy()
    return torch.from_numpy(plain.T @ plain)


def centre(F: Tensor, Y: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """F and Y minus their weighted means over the rows, and the means (..., p), (..., O)."""
    share = shares(F, weight)[..., None, :]  # (..., 1, n)
    feature_mean, target_mean = share @ F, share @ Y  # (..., 1, p), (..., 1, O)
    return F - feature_mean, Y - target_mean, feature_mean[..., 0, :], target_mean[..., 0, :]


def shares(F: Tensor, weight: Tensor | None) -> Tensor:
    """Each row's share (..., n) of the total weight."""
    if weight is None:
        return F.new_full(F.shape[:-1], 1 / max(F.shape[-2], 1))
    return weight / weight.sum(-1, keepdim=True)


def cholesky(matrix: Tensor) -> Tensor:
    """Lower factor of a symmetric (..., p, p) matrix that is positive definite up to rounding.

    Where it fails, 1e-12 (float64; 1e-6 in float32) of the mean diagonal is added, then 10 times more each time, up to 1e-4 (1e-2).

    Raises
    ------
    NotWovenError : if the matrix is not finite, or still has no factor then
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    if not info.any() and bool(torch.isfinite(factor.diagonal(dim1=-2, dim2=-1)).all()):
        return factor
    if not bool(torch.isfinite(matrix).all()):
        raise NotWovenError("a readout's system holds NaN or infinite numbers; check the features for overflow")
    size = matrix.diagonal(dim1=-2, dim2=-1).abs().mean(-1)  # (...)
    jitter, most = (1e-12, 1e-4) if matrix.dtype == torch.float64 else (1e-6, 1e-2)
    while jitter <= most * 1.01:
        amount = (jitter * size).clamp(min=torch.finfo(matrix.dtype).tiny * 1e3) * (info != 0)
        factor, failed = torch.linalg.cholesky_ex(add_diagonal(matrix, amount))
        if not failed.any():
            return factor
        jitter, info = jitter * 10, info | failed
    p = matrix.shape[-1]
    raise NotWovenError(f"a readout's {p} x {p} system stays singular; use a larger penalty or fewer features")


def add_diagonal(matrix: Tensor, amount: Tensor) -> Tensor:
    """``matrix + amount * I`` for an amount of shape (...), which broadcasts against the matrix's leading dimensions."""
    return matrix + amount[..., None, None] * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


def positive(penalty: float | Tensor, like: Tensor) -> Tensor:
    """The penalty as a tensor like the features; ConfigError unless all are above 0 and finite."""
    penalty = torch.as_tensor(penalty, dtype=like.dtype, device=like.device)
    if not bool(((penalty > 0) & torch.isfinite(penalty)).all()):  # NaN too
        shown = penalty.flatten().tolist()[0] if penalty.numel() == 1 else penalty.flatten().tolist()
        raise ConfigError(f"penalty = {shown}: must be above 0 and finite, or repeated rows make the system singular")
    return penalty
