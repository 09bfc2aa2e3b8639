"""One row, fast: the same network with its small steps joined, so that a prediction is some thirty numpy calls on short vectors.

All views are laid side by side and bent at once; the neurons' reading of the views is two matrix-vector products, one for those that read
values only; cuts, which read one value, and rules, which read few neurons, gather theirs; only the connections between layers remain in
sequence. A call costs half a microsecond however short its vectors are, so constants (biases, the halves of the parabola) are folded into
the matrices and `take` stands where an index would do.
Equal to `Weights.forward` up to rounding.
"""

import math

import numpy as np

from netloom.target.weights import CLIP, Weights, gathered, is_sparse

__all__ = ["RowPlan", "row_chances"]

WORTH_A_CALL = 15_000  # numbers of a matrix that are read in the time of a few more calls


def row_chances(outputs: np.ndarray) -> np.ndarray:
    """Chances (C,) of one row's outputs: what `log_chances` gives, without its fixed costs."""
    if len(outputs) == 1:
        odds = math.exp(min(max(float(outputs[0]), -700.0), 700.0))  # beyond, exp overflows and the chance is 1e-304 anyway
        return np.array([1 / (1 + odds), odds / (1 + odds)])
    logits = outputs.tolist()  # a loop over a few numbers is faster than numpy
    top = max(logits)
    powers = [math.exp(x - top) for x in logits]
    total = sum(powers)
    return np.array([power / total for power in powers])


class RowPlan:
    """Call it with one encoded row (d,) float64; it returns the outputs (O,) float64."""

    def __init__(self, weights: Weights) -> None:
        views = weights.views
        offsets = np.concatenate([[0], np.cumsum([len(v.columns) for v in views])]).astype(int)
        is_ranked, is_bent = np.zeros(offsets[-1], dtype=bool), np.zeros(offsets[-1], dtype=bool)
        for v, at in zip(views, offsets[:-1], strict=True):
            is_ranked[at + v.many] |= v.knots is not None
            is_bent[at + v.many] |= v.cells
        # neither, bent, both, ranked: so that what is bent and what is ranked are slices
        order = np.lexsort([np.where(is_ranked, ~is_bent, is_bent), is_ranked])
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        self.columns = np.concatenate([v.columns for v in views])[order]
        self.centre = np.concatenate([v.centre for v in views])[order]
        self.over_scale = 1.0 / np.concatenate([v.scale for v in views])[order]
        first = int((~is_bent & ~is_ranked).sum())
        self.bent = slice(first, first + int(is_bent.sum()))
        thresholds = np.zeros((int(is_bent.sum()), 4), np.float32)
        for v, at in zip(views, offsets[:-1], strict=True):
            if v.cells:
                thresholds[place[at + v.many] - first] = 3 * v.thresholds
        self.slopes = np.array([[2], [3], [3], [3], [3]], np.float32)  # of tanh 2z and tanh 3(z - t)
        self.starts = np.concatenate([np.zeros((1, len(thresholds)), np.float32), thresholds.T])  # (5, m)
        self.ranked = slice(len(order) - int(is_ranked.sum()), len(order)) if is_ranked.any() else None
        if self.ranked is not None:
            self._join_ranks([(v, place[at + v.many]) for v, at in zip(views, offsets[:-1], strict=True) if v.knots is not None])
        self._join_features(weights, offsets, place)
        self.plain = bool((weights.scale == 1).all() and (weights.centre == 0).all())
        self.scale, self.shift = weights.scale, weights.centre

    def _join_ranks(self, ranked: list) -> None:
        sort = np.argsort(np.concatenate([at for _, at in ranked]))
        self.knots = np.concatenate([v.knots for v, _ in ranked])[sort]
        heights = np.concatenate([v.heights for v, _ in ranked])[sort]  # (m, Q)
        gap = np.diff(self.knots, axis=1)
        slope = np.where(gap > 0, np.diff(heights, axis=1) / np.where(gap > 0, gap, 1), 0.0)  # (m, Q - 1)
        flat = np.zeros((len(slope), 1))
        # piece q: before the first knot, between knots, after the last one
        slope = np.concatenate([flat, slope, flat], axis=1)
        start = np.concatenate([self.knots[:, :1], self.knots], axis=1)
        self.level = (np.concatenate([heights[:, :1], heights], axis=1) - slope * start).ravel()
        self.slope = slope.ravel()
        self.rank_rows = np.arange(len(slope)) * slope.shape[1]

    def _join_features(self, weights: Weights, offsets: np.ndarray, place: np.ndarray) -> None:
        """Where each view's features lie in [values of all views | 1 | cos | square | tanh | steps], and all matrices in that order."""
        total, m, places = len(place), self.starts.shape[1], []
        bent = total + 1  # where cells begin
        for i, v in enumerate(weights.views):
            own = [place[offsets[i] : offsets[i + 1]]]
            if v.cells:
                which = place[offsets[i] + v.many] - self.bent.start
                own += [bent + part * m + which for part in (2, 0, 1)]
                own.append((bent + 3 * m + which[:, None] + m * np.arange(4)).ravel())
            places.append(np.concatenate(own))
        p = bent + 7 * m
        H = [a.width for a in weights.layers]
        starts = np.concatenate([[0], np.cumsum(H)]).astype(int)
        reading = np.zeros((p, int(starts[-1])), np.float32)
        bias = np.concatenate([a.bias for a in weights.layers]) if H else np.zeros(0, np.float32)
        depth = np.zeros(len(H), dtype=int)
        for t, layer in enumerate(weights.layers):
            reading[places[layer.view][: len(layer.weight)], starts[t] : starts[t + 1]] = layer.weight
            depth[t] = 1 + max((depth[e] for e in layer.earlier), default=-1)
        read = {e for layer in weights.layers for e in layer.earlier}
        rules = [t for t, a in enumerate(weights.layers) if t not in read and a.is_rules and a.onto is not None and is_sparse(a.onto)]
        depth[rules] = -1  # they come last, after all depths, and gather their cuts: faster than multiplying by zeros
        square = slice(bent + m, bent + 2 * m)  # parabola = min(z^2, 7) / 2 - 1/2
        bias = bias - reading[square].sum(axis=0) / 2
        reading[square] /= 2
        reading[total] = bias
        # neurons in order of depth, so that each depth is one slice; the first depth in order of how much they read
        read_by = np.repeat(depth, H)
        reads = np.where((reading[bent:] != 0).any(axis=0), 2, np.where(np.count_nonzero(reading[:total], axis=0) > 1, 1, 0))
        for kind, spared in ((0, total), (1, p - bent)):  # numbers per neuron that a call of their own spares
            if ((read_by == 0) & (reads == kind)).sum() * spared < WORTH_A_CALL:
                reads = np.maximum(reads, kind + 1)
        slots = np.lexsort([np.where(read_by == 0, reads, 0), np.where(read_by < 0, len(H), read_by)])
        counted = int((read_by >= 0).sum())
        where = np.empty_like(slots)
        where[slots] = np.arange(len(slots))
        onto = np.zeros((len(slots), len(slots)), np.float32)
        for t, layer in enumerate(weights.layers):
            if layer.onto is not None:
                before = np.concatenate([np.arange(starts[e], starts[e + 1]) for e in layer.earlier])
                onto[np.ix_(where[before], where[starts[t] : starts[t + 1]])] = layer.onto
        reading = reading[:, slots[:counted]]
        ends = [int(((read_by == 0) & (reads <= kind)).sum()) for kind in (0, 1)]
        self.cuts, self.plainly, self.fully = slice(0, ends[0]), slice(ends[0], ends[1]), slice(ends[1], counted)
        self.cut = np.abs(reading[:total, self.cuts]).argmax(axis=0)  # the value that each cut reads
        self.cut_slope, self.cut_offset = reading[self.cut, np.arange(ends[0])], reading[total, self.cuts]
        self.from_values = np.ascontiguousarray(reading[:bent, self.plainly].T)  # (H, values and 1): rows are read in a stream
        self.from_all = np.ascontiguousarray(reading[:, self.fully].T)
        self.edges = [0]
        for level in range(max(depth, default=-1) + 1):
            self.edges.append(self.edges[-1] + sum(H[t] for t in np.flatnonzero(depth == level)))
        edges = self.edges
        self.onto = []  # per depth: which neurons it reads, and how
        for i in range(1, len(edges) - 1):
            block = onto[: edges[i], edges[i] : edges[i + 1]].T
            used = np.flatnonzero(block.any(axis=0))
            span = slice(int(used.min()), int(used.max()) + 1) if len(used) else slice(0, 1)
            self.onto.append((span, np.ascontiguousarray(block[:, span])))
        self.counted, self.rules = counted, None
        if rules:
            self.rules = *gathered(onto[:counted, counted:].T), bias[slots[counted:]].astype(np.float32)
        first = sum(len(x) for x in places)
        readout = np.zeros((p + len(slots), weights.readout.shape[1]), np.float32)
        readout[np.concatenate(places)] = weights.readout[:first]
        readout[total] = weights.intercept - readout[square].sum(axis=0) / 2
        readout[square] /= 2
        readout[p:] = weights.readout[first:][slots]
        self.readout = np.ascontiguousarray(readout.T)
        self.p, self.total, self.m = p, total, m
        self.features = np.zeros(p + len(slots), np.float32)
        self.features[total] = 1

    def __call__(self, x: np.ndarray) -> np.ndarray:
        z = x.take(self.columns)
        z -= self.centre
        z *= self.over_scale
        if self.ranked is not None:
            raw = z[self.ranked]
            piece = np.add.reduce(raw[:, None] >= self.knots, 1)
            piece += self.rank_rows
            raw *= self.slope.take(piece)
            raw += self.level.take(piece)
        f, total, m, p = self.features.copy(), self.total, self.m, self.p
        np.maximum(z, -CLIP, out=z)
        np.minimum(z, CLIP, out=f[:total], casting="same_kind")
        if m:
            v = f[self.bent]
            bent = f[p - 5 * m : p].reshape(5, m)
            np.multiply(self.slopes, v, out=bent)
            np.cos(bent[0], out=f[total + 1 : total + 1 + m])
            bent -= self.starts
            np.tanh(bent, out=bent)
            square = f[p - 6 * m : p - 5 * m]
            np.multiply(v, v, out=square)
            np.minimum(square, 7, out=square)
        if self.counted:
            h = f[p : p + self.counted]
            if len(self.cut):
                cuts = f.take(self.cut)
                cuts *= self.cut_slope
                np.add(cuts, self.cut_offset, out=h[self.cuts])
            if len(self.from_values):
                np.dot(self.from_values, f[: total + 1], out=h[self.plainly])
            if len(self.from_all):
                np.dot(self.from_all, f[:p], out=h[self.fully])
            first = h[: self.edges[1]]
            np.maximum(first, 0, out=first)
            for i, (span, onto) in enumerate(self.onto, 1):
                part = h[self.edges[i] : self.edges[i + 1]]
                part += np.dot(onto, h[span])
                np.maximum(part, 0, out=part)
            if self.rules is not None:
                inputs, weight, bias = self.rules
                part = h.take(inputs)
                part *= weight
                np.maximum(np.add.reduce(part, 1) + bias, 0, out=f[p + self.counted :])
        outputs = np.dot(self.readout, f)
        return outputs if self.plain else outputs * self.scale + self.shift
