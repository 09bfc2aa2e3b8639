"""What a network takes, and smaller ones of it: without some neurons, without what nothing reads."""

from dataclasses import replace

import numpy as np

from netloom.errors import BudgetError
from netloom.target.budget import USUAL_BYTES, Budget
from netloom.target.weights import Layer, View, Weights, has_gaps, in_halves, is_sparse, numbers_in, read_rows

__all__ = [
    "bytes_of",
    "bytes_per_row",
    "cost_of_neurons",
    "fits",
    "importance",
    "keep_neurons",
    "keep_within",
    "preparation_bytes",
    "refuse_misfit",
    "tidy",
]

HALF, SINGLE, DOUBLE = 2, 4, 8  # bytes of hidden weights, of biases, of scalings
PLACE = 4  # bytes that say where a number of a sparse matrix stands
PER_VIEW, PER_LAYER, PER_SPARSE = 700, 380, 120  # bytes that name and describe one, at most


def bytes_of(weights: Weights) -> int:
    """Bytes of a network's numbers and their names in a file, at most (its schema and description come on top)."""
    matrices = [m for a in weights.layers for m in (a.weight, a.onto) if m is not None]
    counts = [numbers_in(m) for m in matrices]
    hidden = sum(counts)
    sparse = [count for m, count in zip(matrices, counts, strict=True) if count < m.size]
    scalings = sum(v.columns.size + v.centre.size + v.scale.size for v in weights.views) + weights.centre.size + weights.scale.size
    ranks = sum(0 if v.knots is None or v.heights is None else v.knots.size + v.heights.size for v in weights.views)
    numbers = HALF * hidden + DOUBLE * (scalings + ranks) + SINGLE * (weights.n_parameters - hidden - scalings - ranks)
    numbers += PLACE * sum(sparse) + PER_SPARSE * len(sparse)
    numbers -= int(read_rows(weights.readout).sum()) * (SINGLE * weights.readout.shape[1] - bytes_per_row(weights.readout))
    numbers += PLACE * int(read_rows(weights.readout).sum()) + PER_SPARSE if has_gaps(weights.readout) else 0
    return numbers + PER_VIEW * len(weights.views) + PER_LAYER * len(weights.layers)


def preparation_bytes(weights: Weights) -> int:
    """Bytes that every network on these columns takes: the scalings of the first view and a readout of its values."""
    k = len(weights.views[0].columns)
    return PER_VIEW + k * (3 * DOUBLE + HALF * weights.readout.shape[1])


def fits(weights: Weights, budget: Budget, overhead: int) -> bool:
    """Whether a network, with ``overhead`` bytes of description, is within its budget."""
    within = budget.max_parameters is None or weights.n_parameters <= budget.max_parameters
    return within and (budget.max_bytes is None or bytes_of(weights) + overhead <= budget.max_bytes)


def refuse_misfit(weights: Weights, budget: Budget, overhead: int) -> None:
    """BudgetError for a network that is as small as it gets and still beyond its budget; the usual limit on bytes may be exceeded."""
    if budget.max_parameters is not None and weights.n_parameters > budget.max_parameters:
        raise BudgetError(
            f"budget max_parameters = {budget.max_parameters}: without neurons this network needs {weights.n_parameters}; allow more"
        )
    needed = bytes_of(weights) + overhead
    if budget.max_bytes not in (None, USUAL_BYTES) and needed > budget.max_bytes:
        raise BudgetError(f"budget max_bytes = {budget.max_bytes}: without neurons this network needs about {needed}; allow more")


def importance(weights: Weights, direct: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """How far each neuron moves the outputs (all neurons,), directly and through later ones.

    ``direct`` (p,) is how far each feature moves them through the readout, ``deviation`` (p,) that of the feature itself.
    """
    first = sum(v.width for v in weights.views)
    direct = direct[first:]
    starts = np.concatenate([[0], np.cumsum([a.width for a in weights.layers])]).astype(int)
    total = direct.copy()
    for t in range(len(weights.layers) - 1, -1, -1):
        layer = weights.layers[t]
        if layer.onto is None:
            continue
        before = np.concatenate([np.arange(starts[e], starts[e + 1]) for e in layer.earlier])
        share = np.abs(layer.onto) * deviation[first + before][:, None]  # (before, H) how much of a neuron's input comes from each
        share = share / (share.sum(axis=0) + deviation[first + starts[t] : first + starts[t + 1]] + 1e-12)
        mine = total[starts[t] : starts[t + 1]]
        if is_sparse(layer.onto):  # the cuts of a rule: without one of them it is another rule, so they go with it and not before
            total[before] = np.maximum(total[before], ((layer.onto != 0) * mine).max(axis=1, initial=0) * (1 + 1e-9))
        else:
            total[before] += share @ mine
    return total


def bytes_per_row(readout: np.ndarray) -> int:
    """Bytes of what a readout (p, O) has for one feature."""
    return readout.shape[1] * (HALF if in_halves(readout) else SINGLE)


def cost_of_neurons(weights: Weights) -> np.ndarray:
    """Bytes that go with each neuron (all neurons,): bias, readout, what it reads, and what later ones read of it."""
    starts = np.concatenate([[0], np.cumsum([a.width for a in weights.layers])]).astype(int)
    cost = np.full(starts[-1], float(SINGLE + bytes_per_row(weights.readout)))
    for t, layer in enumerate(weights.layers):
        own = slice(starts[t], starts[t + 1])
        for matrix in (layer.weight, layer.onto):
            if matrix is not None:
                cost[own] += _bytes_along(matrix, axis=0)
        if layer.onto is not None:
            cost[np.concatenate([np.arange(starts[e], starts[e + 1]) for e in layer.earlier])] += _bytes_along(layer.onto, axis=1)
    return cost


def _bytes_along(matrix: np.ndarray, axis: int) -> np.ndarray:
    """Bytes of each column (axis 0) or row (axis 1) of a matrix of hidden weights."""
    if is_sparse(matrix):
        return (HALF + PLACE) * np.count_nonzero(matrix, axis=axis)
    return np.full(matrix.shape[1 - axis], float(HALF * matrix.shape[axis]))


def keep_neurons(weights: Weights, kept: np.ndarray, mean: np.ndarray) -> Weights:
    """The network without neurons outside ``kept`` (bool, all neurons); what they fed to others becomes their mean (``mean`` (p,))."""
    first = sum(v.width for v in weights.views)
    starts = np.concatenate([[0], np.cumsum([a.width for a in weights.layers])]).astype(int)
    layers: list[Layer] = []
    place: dict[int, int] = {}
    for t, layer in enumerate(weights.layers):
        stay = kept[starts[t] : starts[t + 1]]
        if not stay.any():
            continue
        bias, onto, earlier = layer.bias[stay], None, []
        if layer.onto is not None:
            links, at = [], 0
            for e in layer.earlier:
                width = starts[e + 1] - starts[e]
                V = layer.onto[at : at + width][:, stay]
                at += width
                left = kept[starts[e] : starts[e + 1]]
                bias = bias + mean[first + starts[e] : first + starts[e + 1]][~left] @ V[~left]
                if left.any():
                    earlier.append(place[e])
                    links.append(V[left])
            onto = np.concatenate(links) if links else None
        place[t] = len(layers)
        layers.append(Layer(layer.view, layer.weight[:, stay], bias.astype(np.float32), tuple(earlier), onto))
    rows = np.concatenate([np.ones(first, dtype=bool), kept])
    return replace(weights, layers=tuple(layers), readout=weights.readout[rows])


def keep_within(weights: Weights, important: np.ndarray, budget: Budget, overhead: int) -> np.ndarray:
    """Which neurons stay (bool, all neurons) so that the budget holds, the most important first; the size of every choice by arithmetic.

    Views stay as they are; none stays if that is still too much.
    """
    order = np.argsort(important, kind="stable")
    starts = np.cumsum([0] + [a.width for a in weights.layers])
    layer_of = np.searchsorted(starts, order, side="right") - 1
    dropped = layer_of[:, None] == np.arange(len(weights.layers))  # (neurons, layers)
    left = np.diff(starts) - np.concatenate([np.zeros((1, len(weights.layers)), int), np.cumsum(dropped, axis=0)])  # after 0, 1, ... drops
    inputs = [len(a.weight) + left[:, list(a.earlier)].sum(axis=1) for a in weights.layers]  # of each neuron of a layer
    hidden = sum(left[:, t] * inputs[t] for t in range(len(weights.layers)))
    single = left.sum(axis=1) * (1 + weights.readout.shape[1])  # biases and readout
    count = weights.n_parameters + (hidden - hidden[0]) + (single - single[0])
    layers = (left > 0).sum(axis=1)
    size = bytes_of(weights) + HALF * (hidden - hidden[0]) + SINGLE * (single - single[0]) + PER_LAYER * (layers - layers[0])
    fine = (count <= (budget.max_parameters or np.inf)) & (size + overhead <= (budget.max_bytes or np.inf))
    return _without(order, int(np.argmax(fine)) if fine.any() else len(order))


def _without(order: np.ndarray, drop: int) -> np.ndarray:
    kept = np.ones(len(order), dtype=bool)
    kept[order[:drop]] = False
    return kept


def tidy(weights: Weights) -> Weights:
    """Drop neurons that nothing reads, the cells of views that only their values are read of, and views that nothing reads."""
    first = sum(v.width for v in weights.views)
    starts = np.concatenate([[0], np.cumsum([a.width for a in weights.layers])]).astype(int)
    used = np.abs(weights.readout[first:]).max(axis=1, initial=0) > 0
    for t in range(len(weights.layers) - 1, -1, -1):
        layer = weights.layers[t]
        if layer.onto is None:
            continue
        reading = used[starts[t] : starts[t + 1]]
        at = 0
        for e in layer.earlier:
            width = starts[e + 1] - starts[e]
            used[starts[e] : starts[e + 1]] |= (np.abs(layer.onto[at : at + width][:, reading]) > 0).any(axis=1)
            at += width
    weights = keep_neurons(weights, used, np.zeros(len(weights.readout)))
    views: list[View] = []
    layers, readout, at = list(weights.layers), [], 0
    moved: dict[int, int] = {}
    for v, view in enumerate(weights.views):
        part = weights.readout[at : at + view.width]
        at += view.width
        k = len(view.columns)
        readers = [t for t, a in enumerate(layers) if a.view == v]
        deep = [t for t in readers if len(layers[t].weight) > k]
        last = v + 1 == len(weights.views) and not views  # one view stays, so that there is something to read
        if not readers and not np.abs(part).any() and not last:
            continue
        if view.cells and not deep and not np.abs(part[k:]).any():
            view, part = replace(view, cells=False), part[:k]
        moved[v] = len(views)
        views.append(view)
        readout.append(part)
    layers = [replace(a, view=moved[a.view]) for a in layers]
    return replace(weights, views=tuple(views), layers=tuple(layers), readout=np.concatenate([*readout, weights.readout[at:]]))
