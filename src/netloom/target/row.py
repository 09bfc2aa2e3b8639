"""One row, fast: the same network with its small steps joined, so that a prediction is some thirty numpy calls on short vectors.

All views are laid side by side and bent at once; every neuron's reading of the views is one matrix-vector product; only the connections
between layers remain in sequence. Equal to `Weights.forward` up to rounding.
"""

import numpy as np

from netloom.target.weights import CLIP, Weights

__all__ = ["RowPlan"]


class RowPlan:
    """Call it with one encoded row (d,) float64; it returns the outputs (O,) float64."""

    def __init__(self, weights: Weights) -> None:
        views = weights.views
        self.columns = np.concatenate([v.columns for v in views])
        self.centre = np.concatenate([v.centre for v in views])
        self.over_scale = 1.0 / np.concatenate([v.scale for v in views])
        offsets = np.concatenate([[0], np.cumsum([len(v.columns) for v in views])]).astype(int)
        bent = [v.many + offsets[i] for i, v in enumerate(views) if v.cells]
        self.bent = np.concatenate(bent) if bent else np.zeros(0, dtype=int)
        steps = [v.thresholds for v in views if v.cells]
        self.thresholds = 3 * np.concatenate(steps) if steps else np.zeros((0, 4), np.float32)  # (m, 4)
        ranked = [(v, offsets[i]) for i, v in enumerate(views) if v.knots is not None and len(v.many)]
        self.ranked = np.concatenate([v.many + at for v, at in ranked]) if ranked else None
        if ranked:
            self._join_ranks(ranked)
        self._join_features(weights, offsets)
        self.scale, self.shift = weights.scale, weights.centre

    def _join_ranks(self, ranked: list) -> None:
        self.knots = np.concatenate([v.knots for v, _ in ranked])
        heights = np.concatenate([v.heights for v, _ in ranked])  # (m, Q)
        gap = np.diff(self.knots, axis=1)
        slope = np.where(gap > 0, np.diff(heights, axis=1) / np.where(gap > 0, gap, 1), 0.0)  # (m, Q - 1)
        flat = np.zeros((len(slope), 1))
        # piece q: before the first knot, between knots, after the last one
        self.slope = np.concatenate([flat, slope, flat], axis=1)
        level = np.concatenate([heights[:, :1], heights], axis=1)
        start = np.concatenate([self.knots[:, :1], self.knots], axis=1)
        self.level = level - self.slope * start
        self.rank_rows = np.arange(len(slope))

    def _join_features(self, weights: Weights, offsets: np.ndarray) -> None:
        """Where each view's features lie in [values of all views | tanh | cos | parabola | steps], and all matrices in that order."""
        total, m = int(offsets[-1]), len(self.bent)
        at, places = 0, []
        for i, v in enumerate(weights.views):
            own = [np.arange(offsets[i], offsets[i + 1])]
            if v.cells:
                k = len(v.many)
                own += [total + part * m + at + np.arange(k) for part in range(3)]
                own.append(total + 3 * m + 4 * at + np.arange(4 * k))
                at += k
            places.append(np.concatenate(own))
        p = total + 7 * m
        H = [a.width for a in weights.layers]
        starts = np.concatenate([[0], np.cumsum(H)]).astype(int)
        reading = np.zeros((p, int(starts[-1])), np.float32)
        bias = np.concatenate([a.bias for a in weights.layers]) if H else np.zeros(0, np.float32)
        self.links: list[tuple[slice, np.ndarray, np.ndarray]] = []
        depth = np.zeros(len(H), dtype=int)
        for t, layer in enumerate(weights.layers):
            reading[places[layer.view][: len(layer.weight)], starts[t] : starts[t + 1]] = layer.weight
            depth[t] = 1 + max((depth[e] for e in layer.earlier), default=-1)
        # neurons in order of depth, so that each depth is one slice
        order = [t for level in range(max(depth, default=-1) + 1) for t in np.flatnonzero(depth == level)]
        slots = np.concatenate([np.arange(starts[t], starts[t + 1]) for t in order]) if order else np.zeros(0, dtype=int)
        where = np.empty_like(slots)
        where[slots] = np.arange(len(slots))
        onto = np.zeros((len(slots), len(slots)), np.float32)
        for t, layer in enumerate(weights.layers):
            if layer.onto is not None:
                before = np.concatenate([np.arange(starts[e], starts[e + 1]) for e in layer.earlier])
                onto[np.ix_(where[before], where[starts[t] : starts[t + 1]])] = layer.onto
        self.reading, self.bias = np.ascontiguousarray(reading[:, slots].T), bias[slots]  # (H, p): rows are read in a stream
        self.edges = [0]
        for level in range(max(depth, default=-1) + 1):
            self.edges.append(self.edges[-1] + sum(H[t] for t in np.flatnonzero(depth == level)))
        edges = self.edges
        self.onto = [np.ascontiguousarray(onto[: edges[i], edges[i] : edges[i + 1]].T) for i in range(1, len(edges) - 1)]
        first = sum(len(x) for x in places)
        readout = np.zeros((p + len(slots), weights.readout.shape[1]), np.float32)
        readout[np.concatenate(places)] = weights.readout[:first]
        readout[p:] = weights.readout[first:][slots]
        self.readout, self.intercept = np.ascontiguousarray(readout.T), weights.intercept
        self.p, self.total, self.m = p, total, m
        self.features = np.empty(p + len(slots), np.float32)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        z = (x[self.columns] - self.centre) * self.over_scale
        if self.ranked is not None:
            raw = z[self.ranked]
            piece = (self.rank_rows, (raw[:, None] >= self.knots).sum(1))
            z[self.ranked] = self.slope[piece] * raw + self.level[piece]
        f, total, m, p = self.features.copy(), self.total, self.m, self.p
        np.minimum(np.maximum(z, -CLIP), CLIP, out=f[:total], casting="same_kind")
        if m:
            v = f[self.bent]
            smooth = f[total : total + 3 * m].reshape(3, m)
            np.multiply(v, 2, out=smooth[0])
            np.cos(smooth[0], out=smooth[1])
            np.tanh(smooth[0], out=smooth[0])
            parabola = v * v
            parabola -= 1
            np.multiply(np.minimum(np.maximum(parabola, -3), 6), 0.5, out=smooth[2])
            steps = f[total + 3 * m : p].reshape(m, 4)
            np.subtract(v[:, None] * 3, self.thresholds, out=steps)
            np.tanh(steps, out=steps)
        if len(self.bias):
            h = f[p:]
            np.dot(self.reading, f[:p], out=h)
            h += self.bias
            np.maximum(h[: self.edges[1]], 0, out=h[: self.edges[1]])
            for i, onto in enumerate(self.onto, 1):
                part = h[self.edges[i] : self.edges[i + 1]]
                part += onto @ h[: self.edges[i]]
                np.maximum(part, 0, out=part)
        return (self.readout @ f + self.intercept) * self.scale + self.shift
