"""Gradients through a solved problem, by the implicit function theorem: differentiate what holds at the solution, not how it was found.

At the minimum of L(w; t) the gradient g(w; t) is 0, so dw/dt = -H^-1 dg/dt (Gould et al. 2016; for SVM heads Lee et al. 2019). One
Newton step from the detached solution, with a detached Hessian, has value 0 and exactly that derivative. First derivatives only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from netloom.errors import ToolkitError
from netloom.toolkit.heads.readout import factor

__all__ = ["minimise"]

STEPS = 100
HALVINGS = 30


def minimise(
    start: Tensor, value: Callable[[Tensor], Tensor], gradient: Callable[[Tensor], Tensor], hessian: Callable[[Tensor], Tensor]
) -> Tensor:
    """The minimum of convex functions, one per leading index, differentiable in whatever they hold.

    Parameters
    ----------
    start : Tensor (..., q)
    value, gradient, hessian : of w (..., q): (...), (..., q), (..., q, q) positive definite

    Returns
    -------
    Tensor (..., q)
    """
    with torch.no_grad():
        w = start
        tolerance = 100 * torch.finfo(w.dtype).eps
        last = value(w)
        for _ in range(STEPS):
            g = gradient(w)
            step = _solve(hessian(w), g)
            slope = (g * step).sum(-1)  # (...)  twice what the step promises
            if not bool(torch.isfinite(slope).all()):
                raise ToolkitError("a readout's loss holds NaN or infinite numbers; check the features for overflow")
            if bool((slope <= tolerance**2 * (1 + last.abs())).all()):
                break
            size = torch.ones_like(slope)
            for _ in range(HALVINGS):
                new = value(w - size[..., None] * step)
                worse = new > last - 1e-4 * size * slope + tolerance * last.abs()
                if not bool(worse.any()):
                    break
                size = torch.where(worse, size / 2, size)
            w = w - size[..., None] * step
            last = value(w)
        bent = hessian(w)
    return w - _solve(bent, gradient(w))


def _solve(matrix: Tensor, vector: Tensor) -> Tensor:
    return torch.cholesky_solve(vector[..., None], factor(matrix))[..., 0]
