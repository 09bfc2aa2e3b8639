"""One row, fast: the same network with its small steps joined, so that a prediction is some thirty numpy calls on short vectors.

All views are laid side by side; whatever is a multiple of one value and a constant (what is bent, and cuts, which read one value) is made
of the values at once; the neurons' reading of the views is two matrix-vector products, one for those that read values only; rules, which
read few neurons, gather theirs; only the connections between layers remain in sequence. A call costs half a microsecond however short its
vectors are, and twice that if it must make an array of a number first, so constants (biases, the halves of the parabola) are folded into
the matrices, bounds are arrays, and `take` stands where an index would do.
Equal to `Weights.forward` up to rounding.
"""

import math

import numpy as np

from netloom.target.weights import CLIP, Weights, gathered, is_sparse

__all__ = ["RowPlan", "row_chances"]

WORTH_A_CALL = 15_000  # numbers of a matrix that are read in the time of a few more calls
FAR = 1e6  # knots beyond it would lose digits where those of all columns stand one after the other


def row_chances(outputs: np.ndarray) -> np.ndarray:
    """Chances (C,) of one row's outputs: what `log_chances` gives, without its fixed costs."""
    logits = outputs.tolist()  # a few numbers are faster without numpy
    if len(logits) <= 2:
        margin = logits[-1] - (logits[0] if len(logits) == 2 else 0.0)
        odds = math.exp(min(max(margin, -700.0), 700.0))  # beyond, exp overflows and the chance is 1e-304 anyway
        return np.array([1 / (1 + odds), odds / (1 + odds)])
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
        bent = slice(first, first + int(is_bent.sum()))
        thresholds = np.zeros((int(is_bent.sum()), 4))
        for v, at in zip(views, offsets[:-1], strict=True):
            if v.cells:
                thresholds[place[at + v.many] - first] = v.thresholds
        self.least, self.most = np.full(len(order), -CLIP), np.full(len(order), CLIP)
        self.ranked = slice(len(order) - int(is_ranked.sum()), len(order)) if is_ranked.any() else None
        if self.ranked is not None:
            self._join_ranks([(v, place[at + v.many]) for v, at in zip(views, offsets[:-1], strict=True) if v.knots is not None])
        self._join_features(weights, offsets, place, bent, thresholds)
        self.plain = bool((weights.scale == 1).all() and (weights.centre == 0).all())
        self.scale, self.shift = weights.scale, weights.centre

    def _join_ranks(self, ranked: list) -> None:
        """The knots of all columns one after the other, so that one search finds the piece that every column's value falls in."""
        assert self.ranked is not None
        sort = np.argsort(np.concatenate([at for _, at in ranked]))
        knots = np.concatenate([v.knots for v, _ in ranked])[sort]
        heights = np.concatenate([v.heights for v, _ in ranked])[sort]  # (m, Q)
        gap = np.diff(knots, axis=1)
        slope = np.where(gap > 0, np.diff(heights, axis=1) / np.where(gap > 0, gap, 1), 0.0)  # (m, Q - 1)
        flat = np.zeros((len(slope), 1))
        # piece q: before the first knot, between knots, after the last one
        slope = np.concatenate([flat, slope, flat], axis=1)
        start = np.concatenate([knots[:, :1], knots], axis=1)
        self.level = (np.concatenate([heights[:, :1], heights], axis=1) - slope * start).ravel()
        self.slope = slope.ravel()
        # beyond the outer knots nothing changes: values are cut there, and no column's values reach the knots of the next
        self.least[self.ranked], self.most[self.ranked] = knots[:, 0] - 1, knots[:, -1] + 1
        length = knots[:, -1] - knots[:, 0] + 3
        self.apart = np.concatenate([[0], np.cumsum(length)[:-1]]) - knots[:, 0]
        self.knots = (knots + self.apart[:, None]).ravel()
        self.steady = float(np.abs(knots).max() + length.sum()) < FAR
        if not self.steady:
            self.knots = knots
        self.rank_rows = np.arange(len(slope)) * (1 if self.steady else slope.shape[1])
        self.tame = bool(np.abs(heights).max() <= CLIP)

    def _join_features(self, weights: Weights, offsets: np.ndarray, place: np.ndarray, at_bent: slice, thresholds: np.ndarray) -> None:
        """Where each view's features lie in [values of all views | 1 | cos | square | tanh | steps], and all matrices in that order."""
        total, m, places = len(place), len(thresholds), []
        bent = total + 1  # where cells begin
        for i, v in enumerate(weights.views):
            own = [place[offsets[i] : offsets[i + 1]]]
            if v.cells:
                which = place[offsets[i] + v.many] - at_bent.start
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
        if ((read_by == 0) & (reads == 1)).sum() * (p - bent) < WORTH_A_CALL:  # numbers that a call of their own spares
            reads[reads == 1] = 2
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
        edges = np.concatenate([[0], np.cumsum([(read_by == level).sum() for level in range(max(depth, default=-1) + 1)])]).astype(int)
        # where later depths are small, each is a product of its own with all that stands before it, else they read the table with the first
        later = list(zip(edges[1:-1].tolist(), edges[2:].tolist(), strict=True))
        self.whole = sum((stop - start) * (p + start) for start, stop in later) < WORTH_A_CALL
        first_ends = int(edges[:2][-1])  # 0 without neurons
        cuts, plainly, fully = slice(0, ends[0]), slice(ends[0], ends[1]), slice(ends[1], first_ends if self.whole else counted)
        self.cut = np.abs(reading[:total, cuts]).argmax(axis=0)  # the value that each cut reads
        # what is a multiple of one value and a constant: values, 1, what cos, square and tanh are taken of, cuts
        which = np.arange(at_bent.start, at_bent.stop)
        self.source = np.concatenate([np.arange(total), [0], *[which] * 7, self.cut]).astype(np.int64)
        multiple = [np.ones(total), [0.0], np.repeat([2.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0], m), reading[self.cut, np.arange(ends[0])]]
        self.multiple = np.concatenate(multiple).astype(np.float32)
        constants = [np.zeros(total), np.ones(1), np.zeros(3 * m), (-3 * thresholds.T).ravel(), reading[total, cuts]]
        self.constant = np.concatenate(constants).astype(np.float32)
        self.from_values = np.ascontiguousarray(reading[:bent, plainly].T)  # (H, values and 1): rows are read in a stream
        self.from_all = np.ascontiguousarray(reading[:, fully].T)
        self.zeros = np.zeros(len(slots), np.float32)
        self.later = []  # per depth after the first: where it stands, what it reads, and how
        for start, stop in later:
            block = onto[:start, start:stop].T
            used = np.flatnonzero(block.any(axis=0))
            span = slice(int(used.min()), int(used.max()) + 1) if len(used) else slice(0, 1)
            matrix, heard = block[:, span], slice(p + span.start, p + span.stop)
            if self.whole:
                matrix, heard = np.concatenate([reading[:, start:stop].T, block[:, : span.stop]], axis=1), slice(0, p + span.stop)
            self.later.append((slice(p + start, p + stop), heard, np.ascontiguousarray(matrix), self.zeros[: stop - start]))
        self.rules = None
        if rules:
            # (most inputs, rules): whole rows are added up faster than the few numbers of many
            inputs, numbers = gathered(onto[:counted, counted:].T)
            constant, filled = bias[slots[counted:]], numbers == 0
            self.minus = bool((numbers[~filled] == -1).all())  # as rules are made: nothing to multiply, if what fills up is 1 each time
            inputs = np.where(filled, total, inputs + p) if self.minus else inputs + p
            constant = constant + filled.sum(axis=1) if self.minus else constant
            self.sign = np.full(inputs.shape[1], -1 if self.minus else 1, np.float32)
            self.rules = np.ascontiguousarray(inputs.T), np.ascontiguousarray(numbers.T), constant.astype(np.float32)
        features = sum(len(x) for x in places)
        readout = np.zeros((p + len(slots), weights.readout.shape[1]), np.float32)
        readout[np.concatenate(places)] = weights.readout[:features]
        readout[total] = weights.intercept - readout[square].sum(axis=0) / 2
        readout[square] /= 2
        readout[p:] = weights.readout[features:][slots]
        self.readout = np.ascontiguousarray(readout.T)
        self.size, self.one, self.table, self.made = p + len(slots), slice(0, total + 1), slice(0, p), slice(0, p + ends[0])
        self.cos, self.square, self.tanh = slice(bent, bent + m), square, slice(bent + 2 * m, p)
        self.first, self.no_first = slice(p, p + first_ends), self.zeros[:first_ends]
        self.plainly, self.fully = (slice(p + x.start, p + x.stop) for x in (plainly, fully))
        self.last, self.no_last = slice(p + counted, p + len(slots)), self.zeros[counted:]
        self.seven = np.full(m, 7, np.float32)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        z = x.take(self.columns)
        z -= self.centre
        z *= self.over_scale
        np.maximum(z, self.least, out=z)
        np.minimum(z, self.most, out=z)
        if self.ranked is not None:
            raw = z[self.ranked]
            piece = self.knots.searchsorted(raw + self.apart, "right") if self.steady else np.add.reduce(raw[:, None] >= self.knots, 1)
            piece += self.rank_rows
            raw *= self.slope.take(piece)
            raw += self.level.take(piece)
            if not self.tame:
                np.clip(z, -CLIP, CLIP, out=z)
        f = np.empty(self.size, np.float32)
        made = f[self.made]
        # places are all there: with "wrap" numpy does not look whether they are
        np.multiply(z.astype(np.float32).take(self.source, mode="wrap"), self.multiple, out=made)
        made += self.constant
        if len(self.seven):
            part = f[self.cos]
            np.cos(part, out=part)
            part = f[self.square]
            np.multiply(part, part, out=part)
            np.minimum(part, self.seven, out=part)
            part = f[self.tanh]
            np.tanh(part, out=part)
        if len(self.zeros):
            if len(self.from_values):
                self.from_values.dot(f[self.one], out=f[self.plainly])
            if len(self.from_all):
                self.from_all.dot(f[self.table], out=f[self.fully])
            part = f[self.first]
            np.maximum(part, self.no_first, out=part)
            for where, span, matrix, zeros in self.later:
                part = f[where]
                if self.whole:
                    matrix.dot(f[span], out=part)
                else:
                    part += matrix.dot(f[span])
                np.maximum(part, zeros, out=part)
            if self.rules is not None:
                inputs, weight, bias = self.rules
                read, part = f.take(inputs, mode="wrap"), f[self.last]
                if not self.minus:
                    read *= weight
                self.sign.dot(read, out=part)  # half the time of adding up
                part += bias
                np.maximum(part, self.no_last, out=part)
        outputs = self.readout.dot(f)
        return outputs if self.plain else outputs * self.scale + self.shift
