"""The readout as a convex problem that rows can be added to: its solution on all rows is the same whether they come at once or one by one.

    J(theta) = sum_i w_i loss(f_i theta, y_i) + penalty / 2 |coef - coef_0|^2 - <gradient_0, theta - theta_0>

theta_0 is the readout as it was woven, merged, pruned or refined, and gradient_0 that of the loss on the rows it was made from: so
theta_0 is the exact solution on those rows, whatever made it, and every later one is exact too. If it came from one ridge with this
penalty, J is that very ridge. Squared losses need the rows' sums alone (closed form); log loss and hinge need the rows (L-BFGS, convex,
from the last solution).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import softmax

from netloom.errors import DataError
from netloom.refine.again import members_of
from netloom.refine.prior import prior_scales
from netloom.target.network import TargetNetwork
from netloom.target.weights import Weights, read_rows

__all__ = ["Readout", "RowSums", "features_of", "is_closed"]

CLOSED = ("ridge", "gaussian")  # heads of squared losses
BLOCK = 8192


@dataclass(frozen=True, eq=False)
class RowSums:
    """``gram`` (q, q) and ``cross`` (q, O) of rows with a last feature of 1; disjoint rows add up and can be taken away."""

    gram: np.ndarray
    cross: np.ndarray

    @classmethod
    def of(cls, F: np.ndarray, Y: np.ndarray, weight: np.ndarray) -> RowSums:
        G = F * weight[:, None]
        return cls(G.T @ F, G.T @ Y)

    def __add__(self, other: RowSums) -> RowSums:
        return RowSums(self.gram + other.gram, self.cross + other.cross)

    def __sub__(self, other: RowSums) -> RowSums:
        return RowSums(self.gram - other.gram, self.cross - other.cross)


@dataclass(frozen=True, eq=False)
class Readout:
    """The problem J: scaling of the features, penalty, where it started, and the last solution ``theta`` (q, O), q = p + 1."""

    head: str
    mean: np.ndarray  # (p,)
    prior: np.ndarray  # (p,)  a feature enters as (f - mean) * prior
    penalty: float
    factor: float  # the network's outputs are this many times the head's (a temperature)
    start: np.ndarray  # (q, O) theta_0
    gradient: np.ndarray  # (q, O)
    theta: np.ndarray  # (q, O)

    @classmethod
    def begin(cls, network: TargetNetwork, F: np.ndarray, targets: np.ndarray, weight: np.ndarray, penalty: float) -> Readout:
        """The problem whose solution on these rows is the network's readout: F (n, p) its features, targets as `targets_for` gives them;
        ``penalty`` in units of what its families were fitted with.
        """
        w = network.weights
        share = weight / weight.sum()
        mean = share @ F
        deviation = np.sqrt(np.maximum(share @ np.square(F) - np.square(mean), 0))
        prior = np.where(read_rows(w.readout), prior_scales(w, members_of(network), deviation), 0.0)  # what is not read stays unread
        factor = float(network.metrics.get("temperature", 1.0))
        coef = w.readout.astype(np.float64) / factor
        scaled = np.divide(coef, prior[:, None], where=prior[:, None] > 0, out=np.zeros_like(coef))
        theta = np.concatenate([scaled, (w.intercept / factor + mean @ coef)[None]])
        head = str(network.architecture.get("head", "logistic" if network.classes is not None else "gaussian"))
        self = cls(head, mean, prior, penalty, factor, theta, np.zeros_like(theta), theta)
        gradient = self._pull(self.rows(F), targets, weight, theta)[1]
        if head == "logistic" and theta.shape[1] > 1:  # all logits up by one number says nothing, and must not pull
            gradient[-1] -= gradient[-1].mean()
        return replace(self, gradient=gradient)

    def rows(self, F: np.ndarray) -> np.ndarray:
        """Features (n, p) as the problem has them, (n, q) float64."""
        return np.concatenate([(F - self.mean) * self.prior, np.ones((len(F), 1))], axis=1)

    def solve(self, *, sums: RowSums | None = None, A: np.ndarray | None = None, targets: Any = None, weight: Any = None) -> np.ndarray:
        """theta (q, O) on rows given by their sums, or by themselves: A (n, q), targets, weight (n,)."""
        hold = np.append(np.full(len(self.prior), self.penalty), 0.0)  # the intercept is free
        if self.head in CLOSED:
            sums = RowSums.of(A, targets, weight) if sums is None else sums  # type: ignore[arg-type]
            left = (sums.gram + sums.gram.T) / 2 + np.diag(hold)
            right = sums.cross + self.gradient + hold[:, None] * self.start
            try:
                return cho_solve(cho_factor(left, lower=True), right)
            except (np.linalg.LinAlgError, ValueError):  # not positive, or infinite
                raise DataError("the sums of all rows cannot be solved; begin a new memory from the table the network learned") from None
        assert A is not None

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            theta = flat.reshape(self.start.shape)
            loss, pull = self._pull(A, targets, weight, theta)
            away = theta - self.start
            loss += float(0.5 * hold @ np.square(away).sum(axis=1) - (self.gradient * away).sum())
            return loss / total, ((pull + hold[:, None] * away - self.gradient) / total).ravel()

        total = float(weight.sum())
        options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-8, "maxcor": 30}
        found = minimize(objective, self.theta.ravel(), jac=True, method="L-BFGS-B", options=options)
        return found.x.reshape(self.start.shape)

    def weights(self, theta: np.ndarray, weights: Weights) -> Weights:
        """The network's numbers with this readout."""
        coef = theta[:-1] * self.prior[:, None] * self.factor
        intercept = theta[-1] * self.factor - self.mean @ coef
        return replace(weights, readout=coef.astype(np.float32), intercept=intercept.astype(np.float32))

    def outputs(self, A: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """What the network would say for rows A (n, q): (n, O), in its own scaling."""
        return A @ theta * self.factor

    def _pull(self, A: np.ndarray, targets: np.ndarray, weight: np.ndarray, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss summed over the rows, and its gradient (q, O)."""
        outputs = A @ theta  # (n, O)
        if self.head in CLOSED:
            error = outputs - targets
            return float(0.5 * weight @ np.square(error).sum(axis=1)), A.T @ (error * weight[:, None])
        if self.head == "svm":
            short = np.maximum(1 - targets * outputs, 0)  # targets -1 and 1
            return float(weight @ np.square(short).sum(axis=1)), A.T @ (-2 * targets * short * weight[:, None])
        if outputs.shape[1] == 1:
            loss = np.logaddexp(0, outputs[:, 0]) - targets[:, 0] * outputs[:, 0]
            chance = 1 / (1 + np.exp(-np.clip(outputs, -700, 700)))
            return float(weight @ loss), A.T @ ((chance - targets) * weight[:, None])
        top = outputs.max(axis=1)
        loss = np.log(np.exp(outputs - top[:, None]).sum(axis=1)) + top - (targets * outputs).sum(axis=1)
        return float(weight @ loss), A.T @ ((softmax(outputs, axis=1) - targets) * weight[:, None])


def is_closed(head: str) -> bool:
    """Whether sums are all that the head needs to know of rows."""
    return head in CLOSED


def targets_for(network: TargetNetwork, y: np.ndarray) -> np.ndarray:
    """Targets (n, O) as the head has them: from class codes (n,), or values (n, O) in their own unit."""
    if network.classes is None:
        return (y.reshape(len(y), -1) - network.weights.centre) / network.weights.scale
    classes = len(network.classes)
    hot = np.zeros((len(y), classes))
    hot[np.arange(len(y)), y] = 1.0
    hot = hot[:, 1:] if classes == 2 else hot
    return hot if network.architecture.get("head", "logistic") == "logistic" else 2 * hot - 1


def features_of(weights: Weights, X: np.ndarray) -> np.ndarray:
    """Features (n, p) float64 of encoded rows; worked on in blocks."""
    parts = [weights.features(X[i : i + BLOCK]) for i in range(0, max(len(X), 1), BLOCK)]
    return np.concatenate(parts).astype(np.float64)
