"""Woven networks as one batch of tensors whose gradients are well behaved, and back: B networks, padded to a common shape.

Layers that are mostly zeros (cuts, rules) are `links`; all others stand side by side in dense matrices.

Features of views and neurons are standardised by their training rows, and every weight is ``woven + move / sqrt(fan in)`` (the neural
tangent parametrisation of Jacot et al. 2018, which RealMLP, Holzmueller et al. 2024, uses): one learning rate then fits all tables and
layers, and decaying ``move`` pulls towards the woven network, not towards zero (L2-SP, Li et al. 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from netloom.refine.links import Links, level_of
from netloom.target.weights import Layer, Weights, is_sparse, read_rows

__all__ = ["Mirror", "view_features"]

LARGEST_HALF = 6e4  # hidden weights are kept in half precision
MOVED = ("reading", "onto", "link", "bias", "readout", "intercept")
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
    offsets: np.ndarray  # first feature of each view
    slots: tuple[np.ndarray, ...]  # of each layer's neurons
    mean: np.ndarray  # (P,) of view features
    scale: np.ndarray  # (P,)
    middle: np.ndarray  # (H,) mean of each neuron in units of its own scale
    size: np.ndarray  # (H,)

    def reads(self, t: int) -> np.ndarray:
        """The view features that layer t reads."""
        at = int(self.offsets[self.weights.layers[t].view])
        return np.arange(at, at + len(self.weights.layers[t].weight))

    def before(self, t: int) -> np.ndarray:
        """The neurons that layer t reads."""
        earlier = self.weights.layers[t].earlier
        return np.concatenate([self.slots[e] for e in earlier]) if earlier else np.zeros(0, dtype=int)


class Mirror(nn.Module):
    """Weights of B networks, all trainable.

    Parameters
    ----------
    networks : their weights, with the same number of outputs
    features : per network the features (n, P) of its views on some training rows, from which scales are measured
    gains : per network, how much faster than the others its weights move
    """

    middle: Tensor  # (B, H)

    def __init__(self, networks: Sequence[Weights], features: Sequence[np.ndarray], gains: Sequence[float] | None = None) -> None:
        super().__init__()
        self.frame = frame = _frame(networks, max(f.shape[1] for f in features))
        self.P, self.H, self.outputs = frame.P, frame.H, networks[0].readout.shape[1]
        self.plans = [_plan(w, frame, f) for w, f in zip(networks, features, strict=True)]
        self.links = [_links_of(plan, frame) for plan in self.plans]
        self.levels = [
            level_of(self.links, frame.middle_of(k), stop, frame.P + start)
            for k, (start, stop) in enumerate(zip(frame.edges[:-1], frame.edges[1:], strict=True))
        ]
        stacked = [_standardised(plan, frame) for plan in self.plans]
        most = max(len(links.target) for links in self.links)
        for one, links in zip(stacked, self.links, strict=True):
            one |= {"link": _fill(links.weight, most, 0.0), "link live": _fill(links.gain, most, 0.0)}
        speeds = [1.0] * len(stacked) if gains is None else gains
        for name in MOVED:
            first = torch.stack([torch.as_tensor(s[name], dtype=torch.float32) for s in stacked])
            live = torch.stack([torch.as_tensor(s[f"{name} live"] * g, dtype=torch.float32) for s, g in zip(stacked, speeds, strict=True)])
            self.register_buffer(f"{name}_woven", first)
            self.register_buffer(f"{name}_gain", live)  # 1 / sqrt(fan in); 0 where there is no weight
            setattr(self, name, nn.Parameter(torch.zeros_like(first)))
        self.register_buffer("middle", torch.stack([torch.as_tensor(p.middle, dtype=torch.float32) for p in self.plans]))

    def weight_of(self, name: str) -> Tensor:
        """The weights in standardised units: woven plus moved."""
        return getattr(self, f"{name}_woven") + getattr(self, f"{name}_gain") * getattr(self, name)

    def standardise(self, b: int, features: np.ndarray) -> Tensor:
        """View features (n, P_b) of network ``b`` as it reads them: (n, P) float32."""
        plan = self.plans[b]
        z = np.zeros((len(features), self.P), np.float32)
        z[:, : features.shape[1]] = (features - plan.mean) / plan.scale
        return torch.from_numpy(z)

    def forward(self, S: Tensor, dropout: float = 0.0, random: torch.Generator | None = None) -> Tensor:
        """Standardised view features (B, m, P) to outputs (B, m, O), before the target's own unit; ``dropout`` leaves out neurons."""
        outputs = torch.baddbmm(self.weight_of("intercept")[:, None], S, self.weight_of("readout")[:, : self.P])
        if not self.H:
            return outputs
        reading, onto, bias, link = (self.weight_of(name) for name in ("reading", "onto", "bias", "link"))
        edges, dense = self.frame.edges, self.frame.dense
        direct = S @ reading  # (B, m, dense neurons)
        hidden: list[Tensor] = []
        among: list[Tensor] = []  # the dense ones of these
        for k, level in enumerate(self.levels):
            start, between, stop = edges[k], self.frame.middle_of(k), edges[k + 1]
            parts = []
            if between > start:
                a = direct[:, :, dense[k] : dense[k + 1]]
                parts.append(a + torch.cat(among, -1) @ onto[:, : dense[k], dense[k] : dense[k + 1]] if dense[k] else a)
            if stop > between:
                parts.append(level.sums(link, torch.cat([x.mT for x in (S, *hidden)], 1)).mT)
            a = torch.cat(parts, -1) + bias[:, None, start:stop]
            h = torch.relu(a) - self.middle[:, None, start:stop]
            hidden.append(h * (torch.rand(h.shape, generator=random) >= dropout) / (1 - dropout) if dropout else h)
            among.append(hidden[-1][:, :, : between - start])
        return outputs + torch.cat(hidden, -1) @ self.weight_of("readout")[:, self.P :]

    @torch.no_grad()
    def weights(self, b: int) -> Weights:
        """Network ``b`` as it would be saved: plain numbers, hidden weights in half precision.

        Raises
        ------
        FloatingPointError : if a weight is not finite: refining has diverged
        """
        plan = self.plans[b]
        W = {name: self.weight_of(name)[b].double().numpy() for name in MOVED}
        if not all(np.isfinite(value).all() for value in W.values()):
            raise FloatingPointError("refining has diverged")
        p, size, middle, place = len(plan.mean), plan.size, plan.middle, self.frame.place
        layers = []
        for t, layer in enumerate(plan.weights.layers):
            mine, reads, before = plan.slots[t], plan.reads(t), plan.before(t)
            if plan.linked[t]:
                inputs = self._linked(b, W["link"], mine, np.concatenate([reads, self.P + before]))
                W_in, among = inputs[: len(reads)], inputs[len(reads) :]
            else:
                W_in, among = W["reading"][np.ix_(reads, place[mine])], W["onto"][np.ix_(place[before], place[mine])]
            W_in = W_in * size[mine] / plan.scale[reads, None]
            onto = None if layer.onto is None else among * size[mine] / size[before, None]
            bias = W["bias"][mine] * size[mine] - plan.mean[reads] @ W_in
            if onto is not None:
                bias = bias - (middle * size)[before] @ onto
            layers.append(Layer(layer.view, _half(W_in), bias.astype(np.float32), layer.earlier, None if onto is None else _half(onto)))
        neurons = np.concatenate(plan.slots) if plan.slots else np.zeros(0, dtype=int)
        top, deep = W["readout"][:p] / plan.scale[:, None], W["readout"][self.P :][neurons] / size[neurons, None]
        intercept = W["intercept"] - plan.mean @ top - (middle * size)[neurons] @ deep
        readout = np.concatenate([top, deep]).astype(np.float32)
        return replace(plan.weights, layers=tuple(layers), readout=readout, intercept=intercept.astype(np.float32))

    def _linked(self, b: int, weights: np.ndarray, neurons: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """The links from some sources to some neurons of network ``b`` as a matrix (sources, neurons)."""
        links = self.links[b]
        row, column = np.full(self.P + self.H, -1), np.full(self.H, -1)
        row[sources], column[neurons] = np.arange(len(sources)), np.arange(len(neurons))
        found = np.flatnonzero(column[links.target] >= 0)
        matrix = np.zeros((len(sources), len(neurons)))
        matrix[row[links.source[found]], column[links.target[found]]] = weights[found]
        return matrix


def view_features(weights: Weights, X: np.ndarray) -> np.ndarray:
    """Features (n, P) float32 of all views of a network, side by side."""
    return np.concatenate([view.features(X) for view in weights.views], axis=1)


def _depths(weights: Weights) -> list[int]:
    """How many layers lie below each layer."""
    depth: list[int] = []
    for layer in weights.layers:
        depth.append(1 + max((depth[e] for e in layer.earlier), default=-1))
    return depth


def _are_linked(weights: Weights) -> tuple[bool, ...]:
    """Which layers are links: those that are mostly zeros, if no dense layer reads them."""
    linked = [is_sparse(layer.weight) and (layer.onto is None or is_sparse(layer.onto)) for layer in weights.layers]
    for t in reversed(range(len(linked))):
        if not linked[t]:
            for e in weights.layers[t].earlier:
                linked[e] = False
    return tuple(linked)


def _frame(networks: Sequence[Weights], P: int) -> Frame:  # noqa: N803
    """Room for the neurons of every network."""
    depths, linked = [_depths(w) for w in networks], [_are_linked(w) for w in networks]
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


def _plan(weights: Weights, frame: Frame, features: np.ndarray) -> Plan:
    linked, slots = _are_linked(weights), []
    taken = {(k, kind): frame.middle_of(k) if kind else frame.edges[k] for k in range(len(frame.edges) - 1) for kind in (False, True)}
    for layer, depth, kind in zip(weights.layers, _depths(weights), linked, strict=True):
        slots.append(np.arange(taken[depth, kind], taken[depth, kind] + layer.width))
        taken[depth, kind] += layer.width
    offsets = np.concatenate([[0], np.cumsum([v.width for v in weights.views])]).astype(int)
    middle, size = np.zeros(frame.H), np.ones(frame.H)
    hidden: list[np.ndarray] = []
    for layer, mine in zip(weights.layers, slots, strict=True):
        a = features[:, offsets[layer.view] : offsets[layer.view] + len(layer.weight)] @ layer.weight + layer.bias
        if layer.onto is not None:
            a = a + np.concatenate([hidden[e] for e in layer.earlier], axis=1) @ layer.onto
        hidden.append(np.maximum(a, 0))
        reach = np.maximum(hidden[-1].std(axis=0), 0.1 * a.std(axis=0))  # a neuron that hardly ever fires is not blown up
        size[mine] = np.maximum(reach, 1e-6).astype(np.float64)
        middle[mine] = hidden[-1].mean(axis=0) / size[mine]
    mean = features.mean(axis=0).astype(np.float64)
    scale = np.maximum(features.std(axis=0).astype(np.float64), FLAT)
    return Plan(weights, linked, offsets, tuple(slots), mean, scale, middle, size)


def _inputs(plan: Plan, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Layer t in standardised units: its weights of view features (P, H), of neurons (H', H), and the gain (H,) of each neuron."""
    layer, mine, before = plan.weights.layers[t], plan.slots[t], plan.before(t)
    weight = layer.weight * plan.scale[plan.reads(t), None] / plan.size[mine]
    fan, onto = _trained(layer.weight).sum(axis=0), np.zeros((0, layer.width))
    if layer.onto is not None:
        onto = layer.onto * plan.size[before, None] / plan.size[mine]
        fan = fan + _trained(layer.onto).sum(axis=0)
    return weight, onto, np.maximum(fan, 1) ** -0.5


def _links_of(plan: Plan, frame: Frame) -> Links:
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


def _standardised(plan: Plan, frame: Frame) -> dict[str, np.ndarray]:
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
        bias[mine], bias_live[mine] = offset / size[mine], 1.0
        if plan.linked[t]:
            continue
        weight, among, gain = _inputs(plan, t)
        at = np.ix_(seen, frame.place[mine])
        reading[at], reads_live[at] = weight, _trained(layer.weight) * gain
        if layer.onto is not None:
            at = np.ix_(frame.place[before], frame.place[mine])
            onto[at], onto_live[at] = among, _trained(layer.onto) * gain
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


def _trained(matrix: np.ndarray) -> np.ndarray:
    """Which weights move (bool): all, but the zeros of a matrix that is mostly zeros stay, or its file would be many times as large."""
    return matrix != 0 if is_sparse(matrix) else np.ones(matrix.shape, dtype=bool)


def _half(a: np.ndarray) -> np.ndarray:
    """Rounded to what half precision holds, as float32: a file keeps two bytes each."""
    return np.clip(a, -LARGEST_HALF, LARGEST_HALF).astype(np.float16).astype(np.float32)


def _fill(a: np.ndarray, size: int, value: float) -> np.ndarray:
    return np.concatenate([a, np.full(size - len(a), value)])
