"""The numbers of one plain network, and its forward pass in numpy (float32): table in encoded columns -> outputs.

    encoded columns -> views (standardised, ranked) -> cells -> layers of ReLU neurons -> one linear readout

A layer reads the values or the cells of one view and, through its connections, earlier layers. All scalings are folded into the weights.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from netloom.target.cells import cell_features

__all__ = ["Layer", "View", "Weights", "gathered", "has_gaps", "in_halves", "is_sparse", "numbers_in", "read_rows"]

ROWS_AT_ONCE = 4096  # bounds the memory of a forward pass over many rows
CLIP = 6.0  # standardised values beyond this many deviations are cut: one wild value must not rule the network


def is_sparse(matrix: np.ndarray) -> bool:
    """Whether a matrix of hidden weights is mostly zeros: a file then holds the other numbers and where they stand, 6 bytes each."""
    return numbers_in(matrix) < matrix.size


def numbers_in(matrix: np.ndarray) -> int:
    """Numbers of a matrix of hidden weights that count: all of them, or those that are not 0 where most are."""
    count = int(np.count_nonzero(matrix))
    return count if 6 * count + 100 < 2 * matrix.size else matrix.size


def read_rows(readout: np.ndarray) -> np.ndarray:
    """Which features (p,) bool a readout (p, O) reads: those with a number other than 0. NaN, for one not solved yet, is such a number."""
    return (readout != 0).any(axis=1)


def in_halves(readout: np.ndarray) -> bool:
    """Whether half precision holds every number of a readout as it is: a file then has two bytes for each."""
    with np.errstate(over="ignore"):
        return bool((readout.astype(np.float16) == readout).all())


def has_gaps(readout: np.ndarray) -> bool:
    """Whether a readout reads so few of the features that a file is smaller if it says which."""
    p, O = readout.shape  # noqa: E741
    kept = int(read_rows(readout).sum())
    return 2 * O * (p - kept) > 4 * kept + 100


def gathered(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix whose rows hold few numbers other than 0, as places (rows, most) and these numbers; short rows are filled with zeros."""
    row, column = np.nonzero(matrix)
    count = np.bincount(row, minlength=len(matrix))
    slot = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    places = np.zeros((len(matrix), max(int(count.max()), 1)), dtype=np.int64)
    numbers = np.zeros(places.shape, matrix.dtype)
    places[row, slot], numbers[row, slot] = column, matrix[row, column]
    return places, numbers


@dataclass(frozen=True, eq=False)
class View:
    """How encoded columns become standardised values: affine, or ranked (piecewise linear onto normal scores), then cells.

    columns : (k,) int, the encoded columns it reads.  centre, scale : (k,) float64, encoded units.
    many : (m,) int, which of its columns have more than two values.  thresholds : (m, 4) of their soft steps.
    knots, heights : (m, Q) of a ranked view, else None.  cells : whether anything reads more than the values.
    """

    columns: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    many: np.ndarray
    thresholds: np.ndarray
    knots: np.ndarray | None = None
    heights: np.ndarray | None = None
    cells: bool = True

    @property
    def width(self) -> int:
        """Features this view gives: k values, and 7 more per many-valued column where its cells are used."""
        return len(self.columns) + (7 * len(self.many) if self.cells else 0)

    def values(self, X: np.ndarray) -> np.ndarray:
        """Standardised values (n, k) float32 of encoded columns ``X`` (n, d) float64."""
        z = np.subtract(X if len(self.columns) == X.shape[1] else X[:, self.columns], self.centre)
        z /= self.scale
        if self.knots is not None and len(self.many):
            z[:, self.many] = self._ranked(z[:, self.many])
        return np.clip(z, -CLIP, CLIP, out=z).astype(np.float32)

    def _ranked(self, z: np.ndarray) -> np.ndarray:
        assert self.knots is not None and self.heights is not None
        knots, heights = self.knots, self.heights
        if len(z) > 4:
            return np.stack([np.interp(z[:, j], knots[j], heights[j]) for j in range(z.shape[1])], axis=1)
        low = np.clip((z[:, :, None] >= knots).sum(2) - 1, 0, knots.shape[1] - 2)  # (n, m) the piece each value falls in
        columns = np.arange(len(knots))
        x0, x1 = knots[columns, low], knots[columns, low + 1]
        share = np.clip((z - x0) / np.where(x1 > x0, x1 - x0, 1.0), 0.0, 1.0)
        return heights[columns, low] + share * (heights[columns, low + 1] - heights[columns, low])

    def features(self, X: np.ndarray) -> np.ndarray:
        """Values or cells (n, width) float32 of encoded columns."""
        z = self.values(X)
        return cell_features(z, self.many, self.thresholds) if self.cells else z


@dataclass(frozen=True, eq=False)
class Layer:
    """H ReLU neurons: ``weight`` (p_in, H) onto the first p_in features of a view, ``onto`` (sum of H of ``earlier``, H), ``bias`` (H,)."""

    view: int
    weight: np.ndarray
    bias: np.ndarray
    earlier: tuple[int, ...] = ()
    onto: np.ndarray | None = None

    @property
    def width(self) -> int:
        return len(self.bias)

    @property
    def is_rules(self) -> bool:
        """Whether it reads other neurons, its cuts, and nothing of the table."""
        return bool(self.earlier) and not self.weight.any()

    @cached_property
    def gathered_onto(self) -> tuple[np.ndarray, np.ndarray] | None:
        """`gathered` of ``onto`` for rules that read few of the many cuts of one layer: half the time of multiplying by zeros."""
        if self.onto is None or len(self.earlier) != 1 or not self.is_rules or not is_sparse(self.onto):
            return None
        places, numbers = gathered(self.onto.T)
        return (places, numbers) if 16 * places.shape[1] < len(self.onto) else None

    def rules(self, cuts: np.ndarray) -> np.ndarray:
        """Activations (n, H) of rules from those of their cuts (n, C): a sum over few gathered rows of neurons."""
        assert self.gathered_onto is not None
        by_cut = np.ascontiguousarray(cuts.T)
        a = np.repeat(self.bias[:, None], len(cuts), axis=1)
        for places, numbers in zip(*(x.T for x in self.gathered_onto), strict=True):
            part = by_cut[places]
            part *= numbers[:, None]
            a += part
        return np.ascontiguousarray(np.maximum(a, 0, out=a).T)


@dataclass(frozen=True, eq=False)
class Weights:
    """One plain network. ``readout`` (p, O) over all features: views first, then layers in order; ``intercept`` (O,).

    centre, scale (O,) float64 bring outputs to the unit of the target (0 and 1 for classes).
    """

    views: tuple[View, ...]
    layers: tuple[Layer, ...]
    readout: np.ndarray
    intercept: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)  # of the head: variance factors and the like

    @property
    def widths(self) -> list[int]:
        """Features of each view and layer, in readout order."""
        return [v.width for v in self.views] + [layer.width for layer in self.layers]

    @property
    def rules_and_cuts(self) -> tuple[set[int], set[int]]:
        """The numbers of the layers that are rules, and of those that these read."""
        rules = {t for t, layer in enumerate(self.layers) if layer.is_rules}
        return rules, {e for t in rules for e in self.layers[t].earlier}

    @property
    def n_parameters(self) -> int:
        """Weights, thresholds and scalings: every number that is learned or generated and has not gone."""
        count = int(read_rows(self.readout).sum()) * self.readout.shape[1] + 3 * self.intercept.size
        count += sum(a.size for a in self.extra.values())
        for v in self.views:
            count += v.columns.size + v.centre.size + v.scale.size + (v.thresholds.size if v.cells else 0)
            count += 0 if v.knots is None or v.heights is None else v.knots.size + v.heights.size
        for a in self.layers:
            count += a.bias.size + numbers_in(a.weight) + (0 if a.onto is None else numbers_in(a.onto))
        return count

    def features(self, X: np.ndarray) -> np.ndarray:
        """All features (n, p) float32 of encoded columns ``X`` (n, d)."""
        seen = [view.features(X) for view in self.views]
        hidden: list[np.ndarray] = []
        for layer in self.layers:
            if layer.gathered_onto is not None:
                hidden.append(layer.rules(hidden[layer.earlier[0]]))
                continue
            source = seen[layer.view]
            p_in = len(layer.weight)
            a = (source if p_in == source.shape[1] else source[:, :p_in]) @ layer.weight
            a += layer.bias
            if layer.onto is not None:
                start = 0
                for e in layer.earlier:
                    stop = start + hidden[e].shape[1]
                    a += hidden[e] @ layer.onto[start:stop]
                    start = stop
            hidden.append(np.maximum(a, 0, out=a))
        return np.concatenate(seen + hidden, axis=1)

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Outputs (n, O) float64: logits, margins or values, in chunks of rows so that memory stays flat."""
        if len(X) <= ROWS_AT_ONCE:
            return (self.features(X) @ self.readout + self.intercept) * self.scale + self.centre
        parts = [self.forward(X[i : i + ROWS_AT_ONCE]) for i in range(0, len(X), ROWS_AT_ONCE)]
        return np.concatenate(parts)

    def unsureness(self, X: np.ndarray) -> np.ndarray:
        """How much wider than usual an interval must be at each row (n,): the Bayesian readout's predictive deviation over its mean.

        ``extra["variance"]`` (p, r) holds the directions in which the readout knows least; without it every row counts the same.
        """
        directions = self.extra.get("variance")
        if directions is None:
            return np.ones(len(X))
        parts = [self.features(X[i : i + ROWS_AT_ONCE]) @ directions for i in range(0, len(X), ROWS_AT_ONCE)]
        known = np.concatenate(parts) - self.extra["variance_mean"] if parts else np.zeros((0, 1))
        return np.sqrt(1.0 + np.square(known).sum(axis=1))
