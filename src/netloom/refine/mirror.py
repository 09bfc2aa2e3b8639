"""Woven networks as one batch of tensors whose gradients are well behaved, and back: B networks, padded to a common shape.

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

from netloom.target.weights import Layer, Weights, is_sparse, read_rows

__all__ = ["Mirror", "view_features"]

LARGEST_HALF = 6e4  # hidden weights are kept in half precision
FLAT = 2e-2  # features that vary less than this are not blown up, as in the families' own scaling


@dataclass(frozen=True, eq=False)
class Plan:
    """Where the neurons of one network stand in the batch, and the scale of every feature."""

    weights: Weights
    offsets: np.ndarray  # first feature of each view
    slots: tuple[np.ndarray, ...]  # of each layer's neurons
    mean: np.ndarray  # (P,) of view features
    scale: np.ndarray  # (P,)
    middle: np.ndarray  # (H,) mean of each neuron in units of its own scale
    size: np.ndarray  # (H,)


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
        depths = [_depths(w) for w in networks]
        levels = max((max(d, default=-1) + 1 for d in depths), default=0)
        widths = [max(sum(w.layers[t].width for t in range(len(d)) if d[t] == level) for w, d in zip(networks, depths, strict=True))
                  for level in range(levels)]  # fmt: skip
        self.edges = [0, *np.cumsum(widths).astype(int).tolist()]
        P, H, O = max(f.shape[1] for f in features), self.edges[-1], networks[0].readout.shape[1]  # noqa: E741
        self.P, self.H = P, H
        self.plans = [_plan(w, d, self.edges, f) for w, d, f in zip(networks, depths, features, strict=True)]
        stacked = [_standardised(plan, P, H) for plan in self.plans]
        for name in ("reading", "onto", "bias", "readout", "intercept"):
            first = torch.stack([torch.as_tensor(s[name], dtype=torch.float32) for s in stacked])
            speeds = [1.0] * len(stacked) if gains is None else gains
            live = torch.stack([torch.as_tensor(s[f"{name} live"] * g, dtype=torch.float32) for s, g in zip(stacked, speeds, strict=True)])
            self.register_buffer(f"{name}_woven", first)
            self.register_buffer(f"{name}_gain", live)  # 1 / sqrt(fan in); 0 where there is no weight
            setattr(self, name, nn.Parameter(torch.zeros_like(first)))
        self.register_buffer("middle", torch.stack([torch.as_tensor(_fill(p.middle, H, 0.0), dtype=torch.float32) for p in self.plans]))
        self.outputs = O

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
        onto = self.weight_of("onto")
        pre = torch.baddbmm(self.weight_of("bias")[:, None], S, self.weight_of("reading"))  # (B, m, H)
        hidden: list[Tensor] = []
        for start, stop in zip(self.edges[:-1], self.edges[1:], strict=True):
            a = pre[:, :, start:stop]
            if start:
                a = a + torch.cat(hidden, -1) @ onto[:, :start, start:stop]
            h = torch.relu(a) - self.middle[:, None, start:stop]
            hidden.append(h * (torch.rand(h.shape, generator=random) >= dropout) / (1 - dropout) if dropout else h)
        return outputs + torch.cat(hidden, -1) @ self.weight_of("readout")[:, self.P :]

    @torch.no_grad()
    def weights(self, b: int) -> Weights:
        """Network ``b`` as it would be saved: plain numbers, hidden weights in half precision.

        Raises
        ------
        FloatingPointError : if a weight is not finite: refining has diverged
        """
        plan = self.plans[b]
        W = {name: self.weight_of(name)[b].double().numpy() for name in ("reading", "onto", "bias", "readout", "intercept")}
        if not all(np.isfinite(value).all() for value in W.values()):
            raise FloatingPointError("refining has diverged")
        p, size, middle = len(plan.mean), plan.size, plan.middle
        layers = []
        for t, layer in enumerate(plan.weights.layers):
            mine, at = plan.slots[t], int(plan.offsets[layer.view])
            reads = slice(at, at + len(layer.weight))
            W_in = W["reading"][reads, mine] * size[mine] / plan.scale[reads, None]
            bias = W["bias"][mine] * size[mine] - plan.mean[reads] @ W_in
            onto = None
            if layer.onto is not None:
                before = np.concatenate([plan.slots[e] for e in layer.earlier])
                onto = W["onto"][np.ix_(before, mine)] * size[mine] / size[before, None]
                bias = bias - (middle * size)[before] @ onto
            layers.append(Layer(layer.view, _half(W_in), bias.astype(np.float32), layer.earlier, None if onto is None else _half(onto)))
        neurons = np.concatenate(plan.slots) if plan.slots else np.zeros(0, dtype=int)
        top, deep = W["readout"][:p] / plan.scale[:, None], W["readout"][self.P :][neurons] / size[neurons, None]
        intercept = W["intercept"] - plan.mean @ top - (middle * size)[neurons] @ deep
        readout = np.concatenate([top, deep]).astype(np.float32)
        return replace(plan.weights, layers=tuple(layers), readout=readout, intercept=intercept.astype(np.float32))


def view_features(weights: Weights, X: np.ndarray) -> np.ndarray:
    """Features (n, P) float32 of all views of a network, side by side."""
    return np.concatenate([view.features(X) for view in weights.views], axis=1)


def _depths(weights: Weights) -> list[int]:
    """How many layers lie below each layer."""
    depth: list[int] = []
    for layer in weights.layers:
        depth.append(1 + max((depth[e] for e in layer.earlier), default=-1))
    return depth


def _plan(weights: Weights, depths: list[int], edges: list[int], features: np.ndarray) -> Plan:
    taken, slots = list(edges), []
    for layer, depth in zip(weights.layers, depths, strict=True):
        slots.append(np.arange(taken[depth], taken[depth] + layer.width))
        taken[depth] += layer.width
    widths = [v.width for v in weights.views]
    offsets = np.concatenate([[0], np.cumsum(widths)]).astype(int)
    middle, size = np.zeros(edges[-1]), np.ones(edges[-1])
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
    return Plan(weights, offsets, tuple(slots), mean, np.maximum(features.std(axis=0).astype(np.float64), FLAT), middle, size)


def _standardised(plan: Plan, P: int, H: int) -> dict[str, np.ndarray]:
    """Weights of one network in standardised units, padded, each with its gain 1 / sqrt(fan in), 0 where there is no weight."""
    w, size, middle = plan.weights, plan.size, plan.middle
    outputs = w.readout.shape[1]
    reading, onto, bias = np.zeros((P, H)), np.zeros((H, H)), np.zeros(H)
    reads_live, onto_live, bias_live = np.zeros((P, H)), np.zeros((H, H)), np.zeros(H)
    for t, layer in enumerate(w.layers):
        mine, at = plan.slots[t], int(plan.offsets[layer.view])
        seen = np.arange(at, at + len(layer.weight))
        trained = _trained(layer.weight)
        fan = trained.sum(axis=0) + (0 if layer.onto is None else _trained(layer.onto).sum(axis=0))  # (H,) inputs of each neuron
        gain = np.maximum(fan, 1) ** -0.5
        reading[np.ix_(seen, mine)] = layer.weight * plan.scale[seen, None] / size[mine]
        reads_live[np.ix_(seen, mine)] = trained * gain
        offset = layer.bias + plan.mean[seen] @ layer.weight
        if layer.onto is not None:
            before = np.concatenate([plan.slots[e] for e in layer.earlier])
            onto[np.ix_(before, mine)] = layer.onto * size[before, None] / size[mine]
            onto_live[np.ix_(before, mine)] = _trained(layer.onto) * gain
            offset = offset + (middle * size)[before] @ layer.onto
        bias[mine], bias_live[mine] = offset / size[mine], 1.0
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
