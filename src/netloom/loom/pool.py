"""All features that families choose from, as one plain network without a readout: fixed, random and woven parts side by side.

Families select and scale features of one pool, so that averaging members and merging them into one network is adding up readouts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from netloom.loom.hypernetwork import Hypernetwork
from netloom.loom.keys import normals, uniforms
from netloom.loom.rows import Rows, spread
from netloom.loom.rules import GROWN, rule_layers
from netloom.loom.views import make_view
from netloom.loom.weave import Threads, halved, sample_of, weave_layers
from netloom.target.weights import Layer, Weights
from netloom.threads import Each, in_turn

__all__ = ["WEAVE_ROWS", "Pool", "weave_pool"]

WEAVE_ROWS = 1000  # rows the loom reads in one piece
WIDE = 128  # with more columns than this, only the most telling ones are bent, ranked and woven
RANDOM_NEURONS = 256
BLOCKS = 3  # woven one upon the other, see docs/decisions/0091
FIRST = "boosted"  # on the calling thread: only there may warnings be held back
TOGETHER = 10_000  # rows x columns up to which two weavings are one batch: Python takes longer there than arithmetic
LIGHTLY = 0.1  # of the scale that the loom gives its neurons in the readout


@dataclass(frozen=True, eq=False)
class Pool:
    """``weights`` gives the features (n, p); ``parts`` names slices of them; ``priors`` holds the scales a loom generated for its part."""

    weights: Weights
    parts: dict[str, np.ndarray]
    priors: dict[str, np.ndarray]


def weave_pool(
    loom: Hypernetwork,
    rows: Rows,
    *,
    parts: set[str],
    seed: int = 0,
    blocks: int = BLOCKS,
    control: str | None = None,
    each: Each = in_turn,
) -> Pool:
    """Features of a task for the wanted ``parts`` (of `netloom.loom.families.PARTS`).

    Parameters
    ----------
    rows : the training rows; the loom reads at most `WEAVE_ROWS` of them
    each : how the parts are made, see `netloom.threads`
    control : None; "random" puts random weights in place of the woven ones; "shuffled" lets the loom read targets in random order
    """
    rng = np.random.default_rng(seed)
    if "woven lightly" in parts:  # the same neurons
        parts = parts | {"woven"}
    d = rows.X.shape[1]
    told = most_telling(rows, WIDE) if d > WIDE else None
    views = [make_view(rows.X, rows.weight, cells=told is None)]
    plain = 0
    if told is not None:
        plain = len(views)
        views.append(make_view(rows.X, rows.weight, columns=told))
    reads = {"woven": plain}  # the view each weaving reads
    if len(views[plain].many):
        reads["woven ranked"] = len(views)
        views.append(make_view(rows.X, rows.weight, columns=told, ranked=True))
    starts = np.concatenate([[0], np.cumsum([v.width for v in views])])
    index = {"values": np.arange(d), "cells": np.arange(starts[plain], starts[plain + 1])}
    if told is not None:
        index["cells"] = np.concatenate([index["values"], index["cells"]])
    layers: list[Layer] = []
    priors: dict[str, np.ndarray] = {}
    start = int(starts[-1])
    if "random" in parts:
        layers.append(random_layer(rows.columns, RANDOM_NEURONS, seed))
        index["random"] = np.arange(start, start + RANDOM_NEURONS)
        start += RANDOM_NEURONS
    # ranked values cut finer, but a wide table's ranks fill half a file
    cut_view = plain if told is not None else max(reads.values())
    read = rows.take(spread(rows, WEAVE_ROWS))
    targets = read.targets if control != "shuffled" else read.targets[rng.permutation(read.n)]

    samples = {part: replace(sample_of(read, views[v]), targets=targets) for part, v in reads.items() if part in parts}
    seeds = {part: seed * len(reads) + member for member, part in enumerate(reads)}

    def grow(part: str) -> list[Any]:
        return [rule_layers(rows, views[cut_view], cut_view, seed, part)]

    def weave(names: Sequence[str]) -> list[Any]:
        return weave_layers(loom, [samples[part] for part in names], seeds=[seeds[part] for part in names], blocks=blocks)

    work = [([part], partial(grow, part)) for part in sorted(GROWN, key=FIRST.__ne__) if part in parts]
    work += [
        (names, partial(weave, names))
        for names in ([list(samples)] if samples and read.n * d <= TOGETHER else [[part] for part in samples])
    ]
    made: dict[str, Any] = {}
    for (names, _), done in zip(work, each(lambda job: job[1](), work), strict=True):
        made |= zip(names, done, strict=True)
    for part in GROWN:
        rules = made.get(part)
        if rules is not None:
            layers += [rules[0], replace(rules[1], earlier=(len(layers),))]
            cuts, leaves = (layer.width for layer in rules)
            index[part] = np.arange(start + cuts, start + cuts + leaves)
            start += cuts + leaves
    for part, v in reads.items():
        if part not in parts:
            continue
        threads = made[part]
        if control == "random":
            threads = _random_like(threads, views[v].features(read.X), rng)
        first = len(layers)
        layers += [Layer(v, a.weight, a.bias, tuple(first + e for e in a.earlier), a.onto) for a in threads.layers]
        H = sum(a.width for a in threads.layers)
        index[part] = np.concatenate([np.arange(starts[v], starts[v + 1]), np.arange(start, start + H)])
        priors[part] = threads.prior
        start += H
    if "woven lightly" in parts:
        index["woven lightly"], priors["woven lightly"] = index["woven"], priors["woven"].copy()
        priors["woven lightly"][views[plain].width :] *= LIGHTLY
    outputs = rows.head_targets.shape[1]
    readout, intercept = np.zeros((start, outputs), np.float32), np.zeros(outputs, np.float32)
    centre, scale = (rows.centre, rows.scale) if rows.codes is None else (np.zeros(outputs), np.ones(outputs))
    return Pool(Weights(tuple(views), tuple(layers), readout, intercept, centre, scale), index, priors)


def most_telling(rows: Rows, count: int) -> np.ndarray:
    """The ``count`` columns with the largest squared correlation with any output, in their order; the training rows decide."""
    share = (rows.weight / rows.weight.sum())[:, None]
    view = make_view(rows.X, rows.weight)
    z, T = view.values(rows.X).astype(np.float64), rows.targets - (share * rows.targets).sum(axis=0)
    cross = (z * share).T @ T  # (d, O)
    spread_of = np.sqrt((share * np.square(T)).sum(axis=0)) + 1e-12
    return np.sort(np.argsort(-np.abs(cross / spread_of).max(axis=1), kind="stable")[:count])


def random_layer(columns: np.ndarray, H: int, seed: int) -> Layer:
    """H random ReLU neurons on the values of all columns (given by their keys); each reads a few, from one to all, as trees do."""
    d = len(columns)
    rng = np.random.default_rng(seed)
    size = np.minimum(np.ceil(np.exp(rng.uniform(0, np.log(max(d, 2)), H))).astype(int), d)  # (H,)
    kept = uniforms(columns, H, seed).argsort(axis=0).argsort(axis=0) < size  # (d, H)
    W = normals(columns, H, seed + 1) * kept / np.sqrt(size)
    return Layer(0, halved(W), rng.normal(size=H).astype(np.float32))


def _random_like(threads: Threads, features: np.ndarray, rng: np.random.Generator) -> Threads:
    """The control: the same architecture and norms, every woven weight drawn at random and every prior scale alike."""
    spread_of = features.std(axis=0) + 1e-2  # (p,)
    centre = features.mean(axis=0)
    layers: list[Layer] = []
    hidden: list[np.ndarray] = []
    for layer in threads.layers:
        size = np.linalg.norm(layer.weight * spread_of[:, None], axis=0)  # (H,) of the weights onto standardised cells
        W = rng.normal(size=layer.weight.shape)
        W = W / np.linalg.norm(W, axis=0) * size / spread_of[:, None]
        bias = rng.normal(size=layer.width) * size - centre @ W
        a = features @ W + bias
        onto = None
        if layer.onto is not None:
            before = np.concatenate(hidden, axis=1)
            V = rng.normal(size=layer.onto.shape)
            onto = V / np.linalg.norm(V, axis=0) / (before.std(axis=0) + 5e-2)[:, None]
            a = a + (before - before.mean(axis=0)) @ onto
            bias = bias - before.mean(axis=0) @ onto
        hidden.append(np.maximum(a, 0))
        layers.append(Layer(0, halved(W), bias.astype(np.float32), layer.earlier, None if onto is None else halved(onto)))
    neurons = np.concatenate(hidden, axis=1)
    deviation = neurons.std(axis=0) + 5e-2
    alike = np.concatenate([1 / spread_of / np.sqrt(len(spread_of)), 1 / deviation / np.sqrt(len(deviation))])
    mean = np.concatenate([centre, neurons.mean(axis=0)])
    return Threads(tuple(layers), alike, mean, np.concatenate([spread_of, deviation]), threads.penalty)
