"""Held-out rows that neither weaving nor refining has seen: a task's folds, each with a network woven anew on the rest, and their
verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netloom.loom import Loom
from netloom.loom.rows import Rows, folds_of, occurring, spread
from netloom.refine.again import rows_of, temperature_factor, weave_again
from netloom.refine.train import Examples
from netloom.target.calibration import class_losses, interval_quantiles
from netloom.target.network import TargetNetwork
from netloom.target.weights import Weights
from netloom.tasks import Task

__all__ = ["Judge", "Verdict"]

GUARD_ROWS = 4000  # rows that are dealt to folds
LEAST = 12  # fewer different rows can judge nothing
SURE = 1.0  # refined weights are kept if they are better by so many standard errors


@dataclass(frozen=True)
class Verdict:
    """What the folds say. ``steps`` is 0 where no step helped.

    before, after : mean held-out loss per row (log loss, or squared error in squared deviations of the target), each fold's number of
    steps chosen by the others.  gain : their difference, with its standard error over rows.
    """

    steps: int
    before: float
    after: float
    gain: float
    error: float

    @property
    def better(self) -> bool:
        return self.steps > 0 and self.gain > SURE * self.error


@dataclass(eq=False)
class Judge:
    """One task while its network is refined: K networks of the folds, then the whole network, and held-out outputs at each evaluation."""

    network: TargetNetwork
    rows: Rows  # of the whole task
    tried: Rows  # dealt to the folds
    folds: list[tuple[np.ndarray, np.ndarray]]
    networks: list[Weights]
    steps: list[int] = field(default_factory=list)
    lanes: list[int] = field(default_factory=list)  # which of several runs side by side each evaluation is of; -1 before the first step
    outputs: list[np.ndarray] = field(default_factory=list)  # (n, O) held out, in the network's scaling
    losses: list[np.ndarray] = field(default_factory=list)  # (n,)
    best: Weights | None = None  # the whole network at the best step so far

    @classmethod
    def of(cls, network: TargetNetwork, task: Task, loom: Loom, folds: int) -> Judge | None:
        """Deal the rows and weave the folds; None where there are too few rows to judge by."""
        rows = rows_of(network, task)
        tried = occurring(rows, folds)
        tried = tried.take(spread(tried, GUARD_ROWS))
        if rows.n < LEAST or (rows.codes is not None and (np.bincount(rows.codes) >= 2).sum() < 2):
            return None
        splits = folds_of(tried, folds)
        splits = [(train, test) for train, test in splits if len(test) and _varied(tried.take(train))]
        if not splits:
            return None
        woven = [weave_again(network, tried.take(train), loom) for train, _ in splits]
        return cls(network, rows, tried, splits, [*woven, network.weights])

    def examples(self) -> list[Examples]:
        """Training rows of each network."""
        parts = [self.tried.take(train) for train, _ in self.folds] + [self.rows]
        return [Examples(p.X, _targets(p, w), p.weight) for p, w in zip(parts, self.networks, strict=True)]

    def evaluate(self, step: int, networks: list[Weights], lane: int = -1) -> None:
        """Note the held-out outputs of the folds' networks after so many steps of a run; ``networks`` ends with the whole one."""
        outputs = np.zeros((self.tried.n, networks[0].readout.shape[1]))
        for (_, test), weights in zip(self.folds, networks[:-1], strict=True):
            outputs[test] = weights.forward(self.tried.X[test])
        loss = _losses(outputs, self.tried, self.network.weights)
        held = self._held()
        if not self.losses or np.average(loss[held], weights=self.tried.weight[held]) < self.loss(self.best_at):
            self.best = networks[-1]
        self.steps.append(step)
        self.lanes.append(lane)
        self.outputs.append(outputs)
        self.losses.append(loss)

    def loss(self, at: int) -> float:
        """Mean held-out loss at an evaluation."""
        held = self._held()
        return float(np.average(self.losses[at][held], weights=self.tried.weight[held]))

    @property
    def best_at(self) -> int:
        """The evaluation with the lowest held-out loss."""
        return int(np.argmin([self.loss(at) for at in range(len(self.losses))]))

    def of_lane(self, lane: int) -> list[int]:
        """The evaluations of one run, the woven network's first."""
        return [at for at, other in enumerate(self.lanes) if other in (-1, lane)]

    def best_step(self, lane: int) -> int:
        """The step of a run with the lowest held-out loss."""
        return self.steps[min(self.of_lane(lane), key=self.loss)]

    def scores(self, at: int = -1) -> dict[str, float]:
        """Held-out scores by name at an evaluation."""
        return {name: value for name, value in self._metrics(self.outputs[at]).items() if not name.endswith("_se")}

    def verdict(self) -> Verdict:
        """Whether refining helped, each fold's number of steps chosen by the other folds."""
        held, weight = self._held(), self.tried.weight
        chosen = self._crossed()
        loss = np.empty(self.tried.n)
        for (_, test), at in zip(self.folds, chosen, strict=True):
            loss[test] = self.losses[at][test]
        gap = self.losses[0][held] - loss[held]
        gain = float(np.average(gap, weights=weight[held]))
        error = float(np.sqrt(np.average(np.square(gap - gain), weights=weight[held]) / max(len(gap), 1)))
        before = self.loss(0)
        return Verdict(self.steps[self.best_at], before, before - gain, gain, error)

    def metrics(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Held-out scores with standard errors, and half-widths of intervals, of the refined networks."""
        outputs = np.empty_like(self.outputs[0])
        for (_, test), at in zip(self.folds, self._crossed(), strict=True):
            outputs[test] = self.outputs[at][test]
        held, extra = self._held(), {}
        if self.tried.codes is None and len(held) >= 20:
            residual = _values(self.tried)[held] - outputs[held]
            extra = {"interval_quantiles": interval_quantiles(residual, self.tried.weight[held])}
        return self._metrics(outputs), extra

    def factor(self) -> float:
        return temperature_factor(self.network)

    def _held(self) -> np.ndarray:
        return np.sort(np.concatenate([test for _, test in self.folds]))

    def _crossed(self) -> list[int]:
        """For each fold, the evaluation at which the loss of the others' rows was lowest; its own where there is but one fold."""
        chosen = []
        for k in range(len(self.folds)):
            rows = np.concatenate([test for j, (_, test) in enumerate(self.folds) if j != k or len(self.folds) == 1])
            chosen.append(int(np.argmin([np.average(loss[rows], weights=self.tried.weight[rows]) for loss in self.losses])))
        return chosen

    def _metrics(self, outputs: np.ndarray) -> dict[str, float]:
        held = self._held()
        rows, outputs = self.tried.take(held), outputs[held]
        if rows.codes is not None:
            guess = (outputs[:, 0] > 0).astype(int) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
            return _scored("log_loss", class_losses(outputs, rows.codes), rows.weight) | _scored(
                "accuracy", (guess == rows.codes).astype(float), rows.weight
            )
        truth = _values(rows)
        error = np.square(truth - outputs)
        variance = np.average(np.square(truth - np.average(truth, axis=0, weights=rows.weight)), axis=0, weights=rows.weight)
        unit = error / np.where(variance > 0, variance, 1.0)
        spread_of = np.average(np.square(unit - np.average(unit, axis=0, weights=rows.weight)), axis=0, weights=rows.weight)
        return {
            "r2": float(1 - np.average(unit.mean(axis=1), weights=rows.weight)),
            "r2_se": float(np.sqrt(spread_of.mean() / rows.n)),
            "rmse": float(np.sqrt(np.average(error, axis=0, weights=rows.weight).mean())),
        }


def _targets(rows: Rows, weights: Weights) -> np.ndarray:
    """Class codes, or values in a network's own scaling (n, O)."""
    if rows.codes is not None:
        return rows.codes
    return ((_values(rows) - weights.centre) / weights.scale).astype(np.float32)


def _values(rows: Rows) -> np.ndarray:
    """Targets (n, O) in their own unit."""
    return rows.targets * rows.scale + rows.centre


def _losses(outputs: np.ndarray, rows: Rows, weights: Weights) -> np.ndarray:
    """Held-out loss (n,) of every row: log loss, or squared error in squared deviations of the target."""
    if rows.codes is not None:
        return class_losses(outputs, rows.codes)
    return np.square((outputs - _values(rows)) / weights.scale).mean(axis=1)


def _scored(name: str, values: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    mean = float(np.average(values, weights=weight))
    return {name: mean, f"{name}_se": float(np.sqrt(np.average(np.square(values - mean), weights=weight) / len(values)))}


def _varied(rows: Rows) -> bool:
    """Whether a network can be woven from these rows."""
    return rows.n >= 2 and (rows.codes is None or len(np.unique(rows.codes)) >= 2)
