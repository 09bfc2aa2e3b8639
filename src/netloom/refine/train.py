"""Gradient steps on a batch of networks: AdamW from the woven weights, learning rates per kind of weight, a cyclic cosine schedule.

What is known to work for networks on tables (RealMLP, Holzmueller et al. 2024): standardised inputs, the neural tangent parametrisation
(`mirror`), smaller steps for biases, the coslog schedule, label smoothing. What was measured here: docs/decisions/0030.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from netloom.errors import ConfigError
from netloom.refine.losses import loss_of
from netloom.refine.mirror import MOVED, Mirror, view_features
from netloom.toolkit.adamw import AdamW

__all__ = ["Examples", "Recipe", "steps"]

CACHE = 2**26  # numbers of all networks' features that are kept in memory; beyond, each minibatch makes its own


@dataclass(frozen=True)
class Recipe:
    """How gradient steps are taken.

    Parameters
    ----------
    rates : learning rates of hidden weights, in standardised units times sqrt(fan in); each is tried, side by side, and held-out folds
    choose readout_rate, bias_rate : of the readout and of biases, relative to it
    decay : pull towards the woven weights, relative to the rate (AdamW on what has moved)
    smoothing : label smoothing of the log loss
    dropout : share of neurons that each step leaves out
    batch : rows per step
    cycle : steps of the first cycle of the schedule; each following one is twice as long
    """

    rates: tuple[float, ...] = (0.015, 0.1)
    readout_rate: float = 0.1
    bias_rate: float = 0.1
    decay: float = 0.1
    smoothing: float = 0.0
    dropout: float = 0.3
    batch: int = 256
    cycle: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.rates or not all(0 < rate < math.inf for rate in self.rates):
            raise ConfigError(f"recipe rates = {self.rates}: must be one or more numbers above 0")
        for name in ("readout_rate", "bias_rate", "decay", "smoothing", "dropout"):
            value = getattr(self, name)
            if not 0 <= value < (1 if name in ("smoothing", "dropout") else math.inf):
                raise ConfigError(f"recipe {name} = {value}: must be at least 0, and shares below 1")
        if self.batch < 1 or self.cycle < 1:
            raise ConfigError(f"recipe batch = {self.batch}, cycle = {self.cycle}: must be at least 1")


@dataclass(frozen=True, eq=False)
class Examples:
    """Training rows of one network: X (n, d) encoded, targets (n,) class codes or (n, O) in the network's own scaling, weight (n,)."""

    X: np.ndarray
    targets: np.ndarray
    weight: np.ndarray


def steps(mirror: Mirror, examples: Sequence[Examples], head: str, recipe: Recipe, factors: Sequence[float] | None = None) -> Iterator[int]:
    """Take gradient steps for ever; yields the number of steps taken after each. The caller stops by leaving the loop.

    Parameters
    ----------
    mirror : its gains say how much faster than ``recipe.rates[0]`` each network goes
    examples : training rows of each network
    head : whose loss is minimised
    factors : per network what its outputs were multiplied by (a temperature), so that margins stay margins
    """
    feed = _feed(mirror, examples, recipe)
    loss = loss_of(head)
    factor = torch.tensor([1.0] * len(examples) if factors is None else list(factors), dtype=torch.float32)[:, None, None]
    rates = dict.fromkeys(MOVED, 1.0) | {"bias": recipe.bias_rate, "readout": recipe.readout_rate, "intercept": recipe.bias_rate}
    weights = [getattr(mirror, name) for name in rates]
    optimizer = AdamW(weights, (0.9, 0.95), recipe.decay)
    random = torch.Generator().manual_seed(recipe.seed)
    step = 0
    while True:
        now = recipe.rates[0] * coslog(step, recipe.cycle)
        S, targets, weight = next(feed)
        outputs = mirror(S, recipe.dropout, random) / factor
        losses = loss(outputs, targets, weight, recipe.smoothing)  # (B,)
        # networks share nothing: the gradient of the sum is each one's own; it is 0 where no layer of any reads another
        gradients = torch.autograd.grad(losses.sum(), weights, materialize_grads=True)
        optimizer.step(gradients, [now * share for share in rates.values()])
        step += 1
        yield step


def coslog(step: int, cycle: int) -> float:
    """The schedule: a cosine from 0 to 1 to 0 in the first ``cycle`` steps, then cycles twice as long, each of which ends in a result.

    RealMLP's coslog4 is four of them; without an end known before, they go on.
    """
    return 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + (step + 0.5) / cycle)))


def _feed(mirror: Mirror, examples: Sequence[Examples], recipe: Recipe) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Minibatches (B, m, P), targets and weights (B, m): every row once per epoch, in an order of each network's own."""
    B, sizes = len(examples), [len(e.X) for e in examples]
    m = min(recipe.batch, max(sizes))
    rng = np.random.default_rng(recipe.seed)
    targets, weight = _padded([e.targets for e in examples]), _padded([(e.weight / e.weight.mean()).astype(np.float32) for e in examples])
    whole = None
    if B * max(sizes) * mirror.P <= CACHE:
        whole = torch.zeros(B, max(sizes), mirror.P)
        for b, e in enumerate(examples):
            whole[b, : sizes[b]] = mirror.standardise(b, view_features(mirror.plans[b].weights, e.X))
    orders = [rng.permutation(n) for n in sizes]
    at = [0] * B
    lanes = torch.arange(B)[:, None]
    while True:
        index, present = np.zeros((B, m), dtype=np.int64), np.zeros((B, m), dtype=np.float32)
        for b, n in enumerate(sizes):
            if at[b] + min(m, n) > n:
                orders[b], at[b] = rng.permutation(n), 0
            own = orders[b][at[b] : at[b] + m]
            index[b, : len(own)], present[b, : len(own)] = own, 1.0
            at[b] += m
        place = torch.from_numpy(index)
        if whole is None:
            parts = [mirror.standardise(b, view_features(mirror.plans[b].weights, e.X[index[b]])) for b, e in enumerate(examples)]
            S = torch.stack(parts)
        else:
            S = whole[lanes, place]
        yield S, targets[lanes, place], weight[lanes, place] * torch.from_numpy(present)


def _padded(arrays: Sequence[np.ndarray]) -> Tensor:
    """Arrays of different lengths as one tensor, zeros behind."""
    most = max(map(len, arrays))
    kind = torch.int64 if arrays[0].dtype.kind in "iu" else torch.float32
    out = torch.zeros(len(arrays), most, *arrays[0].shape[1:], dtype=kind)
    for b, a in enumerate(arrays):
        out[b, : len(a)] = torch.as_tensor(a, dtype=kind)
    return out
