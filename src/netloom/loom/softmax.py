"""Softmax regression inside weaving: through the inverse that the ridge of the same features has, so that it costs matrix-vector products.

The curvature of the log loss is at most 1/2 in every direction of the logits (Böhning 1992), so each step is a ridge on working targets
with one and the same matrix; with Nesterov's momentum eight of them come within a thousandth of the optimum. Every step is differentiable.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from netloom.target.solve import RidgeInverse

__all__ = ["Softmax", "softmax_dual"]

STEPS = 8
RAREST = 1e-3  # a class that no row has begins at this share


@dataclass(frozen=True, eq=False)
class Softmax:
    """dual (B, n, O): the coefficients are F' dual, of rows times the root of their weights; intercept (B, 1, O); wrong (B, n, O): the
    targets minus the chances of each row left out. It is left out of the last step's ridge, whose curvature is a bound: a sure fit moves
    less than it would, about a third to a half of the way that solving without the row goes.
    """

    dual: Tensor
    intercept: Tensor
    wrong: Tensor


def softmax_dual(inverse: RidgeInverse, penalty: Tensor, targets: Tensor, outputs: Tensor, weight: Tensor, steps: int = STEPS) -> Softmax:
    """Minimise ``sum_i w_i log_loss_i + penalty / 4 |coef|^2`` over coefficients of centred features F and an intercept.

    Parameters
    ----------
    inverse : of ``S F F' S + penalty I`` (B, n, n) with S the roots of the weights
    penalty : Tensor (B,)
    targets : Tensor (B, n, O), one-hot
    outputs : Tensor (B, O), which outputs are real
    weight : Tensor (B, n) >= 0; rows of weight 0 are padding
    """
    share = weight[..., None] / weight.sum(1)[:, None, None]  # (B, n, 1)
    root = weight.sqrt()[..., None]  # (B, n, 1)
    over_root = 1 / root.clamp(min=1e-12)
    strength = penalty[:, None, None]
    real = outputs[:, None]  # (B, 1, O)

    def chances(logits: Tensor) -> Tensor:
        return torch.softmax(logits.masked_fill(~real, -1e9), -1)

    start = (share * targets).sum(1, keepdim=True).clamp(min=RAREST).log() * real
    logits = before = start.expand_as(targets)
    working, dual, intercept = logits, torch.zeros_like(targets), start
    for k in range(steps):
        ahead = logits + max(k - 1, 0) / (k + 2) * (logits - before)
        working = ahead + 2 * (targets - chances(ahead)) * real
        intercept = (share * working).sum(1, keepdim=True)
        dual = inverse @ ((working - intercept) * root)
        before, logits = logits, working - strength * dual * over_root
    own = inverse.diagonal()[..., None].clamp(min=1e-5)
    wrong = (targets - chances(working - dual / own * over_root)) * weight.gt(0)[..., None]
    return Softmax(dual, intercept, wrong)
