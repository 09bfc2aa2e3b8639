"""Woven networks as one batch of tensors whose gradients are well behaved, and back: B networks, padded to a common shape.

Layers that are mostly zeros (cuts, rules) are `links`; all others stand side by side in dense matrices.

Features of views and neurons are standardised by their training rows, and every weight is ``woven + move / sqrt(fan in)`` (the neural
tangent parametrisation of Jacot et al. 2018, which RealMLP, Holzmueller et al. 2024, uses): one learning rate then fits all tables and
layers, and decaying ``move`` pulls towards the woven network, not towards zero (L2-SP, Li et al. 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from netloom.refine.layout import frame_of, links_of, plan_of, standardised
from netloom.refine.links import level_of
from netloom.target.weights import Layer, Weights

__all__ = ["MOVED", "Mirror", "view_features"]

LARGEST_HALF = 6e4  # hidden weights are kept in half precision
MOVED = ("reading", "onto", "link", "bias", "readout", "intercept")  # what is trained


class Mirror(nn.Module):
    """Weights of B networks, all trainable.

    Parameters
    ----------
    networks : their weights, with the same number of outputs
    features : per network the features (n, P) of its views on some training rows, from which scales are measured
    gains : per network, how much faster than the others its weights move
    """

    middle: Tensor  # (B, H)
    stiff: Tensor  # (B, H) bool, cuts and rules

    def __init__(self, networks: Sequence[Weights], features: Sequence[np.ndarray], gains: Sequence[float] | None = None) -> None:
        super().__init__()
        self.frame = frame = frame_of(networks, max(f.shape[1] for f in features))
        self.P, self.H, self.outputs = frame.P, frame.H, networks[0].readout.shape[1]
        self.plans = [plan_of(w, frame, f) for w, f in zip(networks, features, strict=True)]
        self.links = [links_of(plan, frame) for plan in self.plans]
        self.levels = [
            level_of(self.links, frame.middle_of(k), stop, frame.P + start)
            for k, (start, stop) in enumerate(zip(frame.edges[:-1], frame.edges[1:], strict=True))
        ]
        stacked = [standardised(plan, frame) for plan in self.plans]
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
        self.register_buffer("stiff", torch.stack([torch.from_numpy(p.stiff) for p in self.plans]))
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
        """Standardised view features (B, m, P) to outputs (B, m, O), before the target's own unit; ``dropout`` leaves out neurons,
        but no cuts and rules: a rule without one of its cuts is another rule.
        """
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
            if dropout:
                kept = (torch.rand(h.shape, generator=random) >= dropout) / (1 - dropout)
                h = torch.where(self.stiff[:, None, start:stop], h, h * kept)
            hidden.append(h)
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


def _half(a: np.ndarray) -> np.ndarray:
    """Rounded to what half precision holds, as float32: a file keeps two bytes each."""
    return np.clip(a, -LARGEST_HALF, LARGEST_HALF).astype(np.float16).astype(np.float32)


def _fill(a: np.ndarray, size: int, value: float) -> np.ndarray:
    return np.concatenate([a, np.full(size - len(a), value)])
