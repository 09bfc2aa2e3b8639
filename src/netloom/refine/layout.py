"""Where the neurons of a batch of networks stand, and what their weights are in standardised units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netloom.refine.links import Links
from netloom.target.weights import Weights, is_sparse, read_rows

__all__ = ["Frame", "Plan", "are_linked", "frame_of", "links_of", "plan_of", "standardised"]

RIGID = 0.03  # how much slower cuts and rules move than other neurons: their ramps are steep; see docs/decisions/0092
FLAT = 2e-2  # features that vary less than this are not blown up, as in the families' own scaling


@dataclass(frozen=True, eq=False)
class Frame:
    """Where neurons stand in the batch: those of depth k from ``edges[k]`` to ``edges[k + 1]``, first the dense ones, which are also
    numbered by themselves (``place`` (H,), from ``dense[k]`` on), then those that are linked.
    """

    P: int  # features of views
    edges: list[int]
    dense: list[int]
    place: np.ndarray

    @property
    def H(self) -> int:  # noqa: N802
        return self.edges[-1]

    def middle_of(self, k: int) -> int:
        """Where the linked neurons of depth k begin."""
        return self.edges[k] + self.dense[k + 1] - self.dense[k]


@dataclass(frozen=True, eq=False)
class Plan:
    """Where the neurons of one network stand in the batch, and the scale of every feature."""

    weights: Weights
    linked: tuple[bool, ...]  # of each layer
    rigid: set[int]  # layers that are cuts and rules
    offsets: np.ndarray  # first feature of each view
    slots: tuple[np.ndarray, ...]  # of each layer's neurons
    mean: np.ndarray  # (P,) of view features
    scale: np.ndarray  # (P,)
    middle: np.ndarray  # (H,) mean of each neuron in units of its own scale
    size: np.ndarray  # (H,)
    stiff: np.ndarray  # (H,) bool, the neurons of rigid layers

    def reads(self, t: int) -> np.ndarray:
        """The view features that layer t reads."""
        at = int(self.offsets[self.weights.layers[t].view])
        return np.arange(at, at + len(self.weights.layers[t].weight))

    def before(self, t: int) -> np.ndarray:
        """The neurons that layer t reads."""
        earlier = self.weights.layers[t].earlier
        return np.concatenate([self.slots[e] for e in earlier]) if earlier else np.zeros(0, dtype=int)

    def speed(self, t: int) -> float:
        """How fast the neurons of layer t move."""
        return RIGID if t in self.rigid else 1.0

    def moves(self, t: int, matrix: np.ndarray) -> np.ndarray:
        """Which weights of a matrix of layer t move (bool): all, but zeros stay where most are, or a file would be many times as large, and
        in cuts and rules.
        """
        return matrix != 0 if t in self.rigid or is_sparse(matrix) else np.ones(matrix.shape, dtype=bool)


def _depths(weights: Weights) -> list[int]:
    """How many layers lie below each layer."""
    depth: list[int] = []
    for layer in weights.layers:
        depth.append(1 + max((depth[e] for e in layer.earlier), default=-1))
    return depth


def are_linked(weights: Weights) -> tuple[bool, ...]:
    """Which layers are links: rules, cuts and others that are mostly zeros, if no dense layer reads them."""
    rigid = set.union(*weights.rules_and_cuts)
    linked = [
        t in rigid or (is_sparse(layer.weight) and (layer.onto is None or is_sparse(layer.onto))) for t, layer in enumerate(weights.layers)
    ]
    for t in reversed(range(len(linked))):
        if not linked[t]:
            for e in weights.layers[t].earlier:
                linked[e] = False
    return tuple(linked)


def frame_of(networks: Sequence[Weights], P: int) -> Frame:  # noqa: N803
    """Room for the neurons of every network."""
    depths, linked = [_depths(w) for w in networks], [are_linked(w) for w in networks]
    levels = max((max(d, default=-1) + 1 for d in depths), default=0)

    def widest(level: int, kind: bool) -> int:
        each = zip(networks, depths, linked, strict=True)
        return max(sum(x.width for x, k, one in zip(w.layers, d, own, strict=True) if k == level and one == kind) for w, d, own in each)

    dense, links = ([widest(level, kind) for level in range(levels)] for kind in (False, True))
    edges = [0, *np.cumsum(np.add(dense, links)).astype(int).tolist()]
    place = np.full(edges[-1], -1)
    for start, width, first in zip(edges, dense, np.cumsum([0, *dense]), strict=False):
        place[start : start + width] = first + np.arange(width)
    return Frame(P, edges, np.cumsum([0, *dense]).astype(int).tolist(), place)


def plan_of(weights: Weights, frame: Frame, features: np.ndarray) -> Plan:
    linked, rigid, slots = are_linked(weights), set.union(*weights.rules_and_cuts), []
    taken = {(k, kind): frame.middle_of(k) if kind else frame.edges[k] for k in range(len(frame.edges) - 1) for kind in (False, True)}
    for layer, depth, kind in zip(weights.layers, _depths(weights), linked, strict=True):
        slots.append(np.arange(taken[depth, kind], taken[depth, kind] + layer.width))
        taken[depth, kind] += layer.width
    offsets = np.concatenate([[0], np.cumsum([v.width for v in weights.views])]).astype(int)
    middle, size, stiff = np.zeros(frame.H), np.ones(frame.H), np.zeros(frame.H, dtype=bool)
    hidden: list[np.ndarray] = []
    for t, (layer, mine) in enumerate(zip(weights.layers, slots, strict=True)):
        a = features[:, offsets[layer.view] : offsets[layer.view] + len(layer.weight)] @ layer.weight + layer.bias
        if layer.onto is not None:
            a = a + np.concatenate([hidden[e] for e in layer.earlier], axis=1) @ layer.onto
        hidden.append(np.maximum(a, 0))
        reach = np.maximum(hidden[-1].std(axis=0), 0.1 * a.std(axis=0))  # a neuron that hardly ever fires is not blown up
        size[mine] = np.maximum(reach, 1e-6).astype(np.float64)
        middle[mine] = hidden[-1].mean(axis=0) / size[mine]
        stiff[mine] = t in rigid
    mean = features.mean(axis=0).astype(np.float64)
    scale = np.maximum(features.std(axis=0).astype(np.float64), FLAT)
    return Plan(weights, linked, rigid, offsets, tuple(slots), mean, scale, middle, size, stiff)


def _inputs(plan: Plan, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Layer t in standardised units: its weights of view features (P, H), of neurons (H', H), and the gain (H,) of each neuron."""
    layer, mine, before = plan.weights.layers[t], plan.slots[t], plan.before(t)
    weight = layer.weight * plan.scale[plan.reads(t), None] / plan.size[mine]
    fan, onto = plan.moves(t, layer.weight).sum(axis=0), np.zeros((0, layer.width))
    if layer.onto is not None:
        onto = layer.onto * plan.size[before, None] / plan.size[mine]
        fan = fan + plan.moves(t, layer.onto).sum(axis=0)
    return weight, onto, plan.speed(t) * np.maximum(fan, 1) ** -0.5


def links_of(plan: Plan, frame: Frame) -> Links:
    """The linked layers of a network."""
    found: list[tuple[np.ndarray, ...]] = [(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0), np.zeros(0))]
    for t in np.flatnonzero(plan.linked).tolist():
        weight, onto, gain = _inputs(plan, t)
        for matrix, source in ((weight, plan.reads(t)), (onto, frame.P + plan.before(t))):
            row, column = np.nonzero(matrix)
            found.append((plan.slots[t][column], source[row], matrix[row, column], gain[column]))
    target, source, weights, gains = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort([source, target])
    return Links(target[order], source[order], weights[order], gains[order])


def standardised(plan: Plan, frame: Frame) -> dict[str, np.ndarray]:
    """Weights of one network in standardised units, padded, each with its gain 1 / sqrt(fan in), 0 where there is no weight; no links."""
    w, size, middle, P, H, D = plan.weights, plan.size, plan.middle, frame.P, frame.H, frame.dense[-1]
    outputs = w.readout.shape[1]
    reading, onto, bias = np.zeros((P, D)), np.zeros((D, D)), np.zeros(H)
    reads_live, onto_live, bias_live = np.zeros((P, D)), np.zeros((D, D)), np.zeros(H)
    for t, layer in enumerate(w.layers):
        mine, seen, before = plan.slots[t], plan.reads(t), plan.before(t)
        offset = layer.bias + plan.mean[seen] @ layer.weight
        if layer.onto is not None:
            offset = offset + (middle * size)[before] @ layer.onto
        bias[mine], bias_live[mine] = offset / size[mine], plan.speed(t)
        if plan.linked[t]:
            continue
        weight, among, gain = _inputs(plan, t)
        at = np.ix_(seen, frame.place[mine])
        reading[at], reads_live[at] = weight, plan.moves(t, layer.weight) * gain
        if layer.onto is not None:
            at = np.ix_(frame.place[before], frame.place[mine])
            onto[at], onto_live[at] = among, plan.moves(t, layer.onto) * gain
    p, neurons = len(plan.mean), np.concatenate(plan.slots) if plan.slots else np.zeros(0, dtype=int)
    readout, readout_live = np.zeros((P + H, outputs)), np.zeros((P + H, outputs))
    readout[:p] = w.readout[:p] * plan.scale[:, None]
    readout[P + neurons] = w.readout[p:] * size[neurons, None]
    read = read_rows(w.readout)
    read |= not read.any()  # what is not read stays unread, unless nothing is
    gains = (read * max(int(read.sum()), 1) ** -0.5)[:, None]
    readout_live[:p], readout_live[P + neurons] = gains[:p], gains[p:]
    intercept = w.intercept + plan.mean @ w.readout[:p] + (middle * size)[neurons] @ w.readout[p:]
    found = {"reading": reading, "onto": onto, "bias": bias, "readout": readout, "intercept": intercept}
    live = {"reading": reads_live, "onto": onto_live, "bias": bias_live, "readout": readout_live, "intercept": np.ones(outputs)}
    return found | {f"{name} live": value for name, value in live.items()}
