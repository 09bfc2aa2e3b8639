"""A network taken apart by columns: what each says directly to the outputs, and what each says to the neurons.

    output = intercept + sum over columns of direct(column) + neurons(bias + sum over columns of said(column))

Values and cells each depend on one column, so the first sum is an exact additive model. In the second a column enters every first reading
as one sum, kept here once per row and column: whatever is asked about the neurons (contributions, shapes, pairs) only adds these up again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from netloom.target.cells import cell_features
from netloom.target.weights import Weights
from netloom.tasks.schema import Schema

__all__ = ["Reading", "Said"]


@dataclass(frozen=True, eq=False)
class Said:
    """What n rows say: ``direct`` (n, C, O) in units of the outputs, ``neurons`` (n, C, H) to the readings of all neurons."""

    direct: np.ndarray
    neurons: np.ndarray

    def __len__(self) -> int:
        return len(self.direct)

    def take(self, rows: np.ndarray) -> Said:
        return Said(self.direct[rows], self.neurons[rows])


@dataclass(frozen=True, eq=False)
class Reading:
    """The network of ``weights``, by the C columns of ``schema``."""

    schema: Schema
    weights: Weights

    @cached_property
    def column_of(self) -> np.ndarray:
        """Which column each encoded feature belongs to (d,); 0 for the one that stands where nothing varies, as it is always 0."""
        return np.maximum([feature.column for feature in self.schema.features], 0)

    @property
    def C(self) -> int:
        return max(len(self.schema.columns), 1)

    @property
    def H(self) -> int:
        return sum(layer.width for layer in self.weights.layers)

    @property
    def intercept(self) -> np.ndarray:
        """What the outputs are before any column or neuron says anything (O,), in their own units."""
        return self.weights.intercept.astype(np.float64) * self.weights.scale + self.weights.centre

    def say(self, X: np.ndarray) -> Said:
        """What encoded rows X (n, d) say, by column; float64, so that sums taken in any order agree."""
        w, n = self.weights, len(X)
        direct, neurons = np.zeros((n, self.C, len(w.intercept))), np.zeros((n, self.C, self.H))
        at, starts = 0, np.concatenate([[0], np.cumsum([layer.width for layer in w.layers])]).astype(int)
        for v, view in enumerate(w.views):
            F = view.values(X)
            F = (cell_features(F, view.many, view.thresholds) if view.cells else F).astype(np.float64)
            owner = self._owners(v)
            readout = w.readout[at : at + view.width].astype(np.float64) * w.scale
            at += view.width
            readers = [t for t, layer in enumerate(w.layers) if layer.view == v]
            for c in np.unique(owner):
                own = np.flatnonzero(owner == c)
                direct[:, c] += F[:, own] @ readout[own]
                for t in readers:
                    read = own[own < len(w.layers[t].weight)]
                    neurons[:, c, starts[t] : starts[t + 1]] += F[:, read] @ w.layers[t].weight[read].astype(np.float64)
        return Said(direct, neurons)

    def neurons(self, heard: np.ndarray) -> np.ndarray:
        """What the neurons add to the outputs (n, O), given the sum of what the columns said to them (n, H)."""
        hidden = heard + self._bias
        start = 0
        for t, layer in enumerate(self.weights.layers):
            stop = start + layer.width
            own = hidden[:, start:stop]
            for places, V in self._onto[t]:
                own += hidden[:, places] @ V
            np.maximum(own, 0, out=own)
            start = stop
        return hidden @ self._readout

    def outputs(self, said: Said) -> np.ndarray:
        """The outputs (n, O): equal to ``weights.forward`` up to rounding."""
        return self.intercept + said.direct.sum(axis=1) + self.neurons(said.neurons.sum(axis=1))

    @cached_property
    def heard_by_neurons(self) -> np.ndarray:
        """Which columns any neuron reads, bool (C,)."""
        heard = np.zeros(self.C, dtype=bool)
        for layer in self.weights.layers:
            owner = self._owners(layer.view)[: len(layer.weight)]
            heard[owner[np.abs(layer.weight).max(axis=1) > 0]] = True
        return heard

    def _owners(self, v: int) -> np.ndarray:
        """The column of each feature of a view (width,)."""
        view = self.weights.views[v]
        columns = self.column_of[view.columns]
        if not view.cells:
            return columns
        many = columns[view.many]
        return np.concatenate([columns, many, many, many, np.repeat(many, 4)])

    @cached_property
    def _bias(self) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(layer.bias for layer in self.weights.layers)]).astype(np.float64)

    @cached_property
    def _onto(self) -> list[list[tuple[slice, np.ndarray]]]:
        """Per layer: where each earlier layer it reads lies, and the weights onto it."""
        starts = np.concatenate([[0], np.cumsum([layer.width for layer in self.weights.layers])]).astype(int)
        found = []
        for layer in self.weights.layers:
            links, at = [], 0
            for e in layer.earlier:
                width = starts[e + 1] - starts[e]
                if layer.onto is not None:
                    links.append((slice(starts[e], starts[e + 1]), layer.onto[at : at + width].astype(np.float64)))
                at += width
            found.append(links)
        return found

    @cached_property
    def _readout(self) -> np.ndarray:
        """Of all neurons onto the outputs, in the outputs' units (H, O)."""
        first = sum(view.width for view in self.weights.views)
        return self.weights.readout[first:].astype(np.float64) * self.weights.scale
