"""The learned shape of a column: how the mean output moves as every row gets the same value of it (partial dependence, Friedman 2001).

The additive part of a shape is exact: the column's own values and cells through the readout. What the neurons add is averaged over the
background; where they join columns, single rows differ from the mean, and the band holds the middle 80 % of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from netloom.target.explain.reading import Reading, Said
from netloom.target.reference import Reference, value_features
from netloom.tasks.columns.boolean import Boolean
from netloom.tasks.columns.category import UNSEEN, Category
from netloom.tasks.columns.column import Column
from netloom.tasks.columns.date import Date
from netloom.tasks.columns.number import Number

__all__ = ["Shape", "shape_of"]

POINTS = 41  # on a curve
FEW = 8  # a number with so few usual values is shown as points, not as a curve
SHOWN_LEVELS = 12
MISSING, RARE = "(missing)", "(rare)"


@dataclass(frozen=True, eq=False)
class Shape:
    """What one column does to the outputs, at G of its values.

    Attributes
    ----------
    column : index in the schema;  name, kind : as there
    values : G numbers (dates: days since 1970), or None where labels say it all
    labels : G texts
    share : (G,) share of training rows with this value, NaN along a curve
    effect : (G, O), the mean output with this value everywhere, minus the mean output
    direct : (G, O), the part of it that is exactly additive
    low, high : (G, O), the middle 80 % of rows
    marks : quantiles of the training rows, for a number; empty else
    more : levels that are not among the values, as there are too many
    """

    column: int
    name: str
    kind: str
    values: np.ndarray | None
    labels: tuple[str, ...]
    share: np.ndarray
    effect: np.ndarray
    direct: np.ndarray
    low: np.ndarray
    high: np.ndarray
    marks: np.ndarray
    more: int = 0

    @property
    def curve(self) -> bool:
        """Whether the values lie on one line, so that what is between them means something; a last label may be for missing."""
        return self.values is not None


def shape_of(reading: Reading, j: int, X: np.ndarray, said: Said, reference: Reference) -> Shape | None:
    """The shape of column ``j`` over background rows X (B, d) that say ``said``; None for a column that the network does not read."""
    column = reading.schema.columns[j]
    own = np.flatnonzero(reading.column_of == j) if len(reading.schema.columns) else np.zeros(0, int)
    width = len(column.labels())
    if not len(own) or reading.schema.features[own[0]].column != j:
        return None
    values, labels, share, encoded, marks = _GRIDS[type(column)](column, own, reference, reading)
    more = max(0, column.kept - SHOWN_LEVELS) if isinstance(column, Category) else 0
    if column.missing:
        row = np.zeros((1, len(own)))
        row[0, :width] = _missing_features(column, width)
        row[0, width] = 1
        encoded = np.concatenate([encoded, row])
        labels, share = (*labels, MISSING), np.append(share, float(reference.shares[own[-1]]))
    if not len(encoded):
        return None
    tried = np.repeat(X[:1], len(encoded), axis=0)
    tried[:, own] = encoded
    new = reading.say(tried)
    direct = new.direct[:, j] - said.direct[:, j].mean(axis=0)  # (G, O)
    if not reading.H or not reading.heard_by_neurons[j]:
        return Shape(j, column.name, column.kind, values, labels, share, direct, direct, direct, direct, marks, more)
    rest = said.neurons.sum(axis=1) - said.neurons[:, j]  # (B, H)
    woven = np.stack([reading.neurons(rest + step) for step in new.neurons[:, j]])  # (G, B, O)
    usual = reading.neurons(said.neurons.sum(axis=1)).mean(axis=0)  # (O,)
    middle = woven.mean(axis=1) - usual  # (G, O)
    apart = woven - woven.mean(axis=0) - (woven.mean(axis=1) - woven.mean(axis=(0, 1)))[:, None]  # what single rows do beside the mean
    low, high = np.quantile(apart, [0.1, 0.9], axis=1)
    effect = direct + middle
    return Shape(j, column.name, column.kind, values, labels, share, effect, direct, effect + low, effect + high, marks, more)


def _number(column: Column, own: np.ndarray, reference: Reference, reading: Reading) -> Any:
    assert isinstance(column, Number)
    if not column.varies:  # only whether it is missing is known
        return None, (f"{column.low:g}",), np.full(1, np.nan), np.zeros((1, len(own))), np.zeros(0)
    knots = _knots(own[0], reference, reading)
    given = knots[~np.isclose(knots, column.fill, rtol=1e-5)]  # missing values stand at the mean, and are not values
    return _line(given if len(given) >= 4 else knots, len(own), lambda v: f"{v:.6g}")


def _boolean(column: Column, own: np.ndarray, reference: Reference, reading: Reading) -> Any:
    assert isinstance(column, Boolean)
    if not column.varies:
        return None, (str(bool(column.fill)),), np.full(1, np.nan), np.zeros((1, len(own))), np.zeros(0)
    yes = float(reference.shares[own[0]])
    return None, ("false", "true"), np.array([1 - yes, yes]), _placed([[0.0], [1.0]], len(own)), np.zeros(0)


def _category(column: Column, own: np.ndarray, reference: Reference, reading: Reading) -> Any:
    assert isinstance(column, Category)
    if not column.levels and column.extra:  # free text: its length
        return _line(_knots(own[0], reference, reading), len(own), lambda v: f"{v:.0f} characters")
    shown = np.arange(min(column.kept, SHOWN_LEVELS))
    if column.places:  # the most frequent ones, in their order
        shown = shown[np.argsort(np.array(column.places)[shown])]
    levels = [column.levels[i] for i in shown]
    encoded = np.zeros((len(levels), len(own)))
    if levels:
        column.encode(pd.Series(levels, dtype=object), encoded[:, : len(column.labels())])
    shares = reference.shares[own]
    share = np.array([1 - shares[0], shares[0]]) if column.pair else shares[shown]
    if column.other:
        row = np.zeros((1, len(own)))
        column.encode_value(UNSEEN, row[0], 0)
        encoded, levels, share = np.concatenate([encoded, row]), [*levels, RARE], np.append(share, shares[column.kept])
    elif len(levels) == 1:  # one level against the rest
        encoded, levels = np.concatenate([encoded, np.zeros((1, len(own)))]), [*levels, RARE]
        share = np.append(share, 1 - share[0])
    return None, tuple(levels), share, encoded, np.zeros(0)


def _date(column: Column, own: np.ndarray, reference: Reference, reading: Reading) -> Any:
    assert isinstance(column, Date)
    if "days" not in column.parts:
        return None, (), np.zeros(0), np.zeros((0, len(own))), np.zeros(0)
    knots = _knots(own[column.parts.index("days")], reference, reading)
    days = np.linspace(knots[0], knots[-1], POINTS)
    encoded = np.zeros((POINTS, len(own)))
    moments = (days * 86_400_000_000).astype("int64").astype("datetime64[us]")
    column.encode(pd.Series(moments), encoded[:, : len(column.parts)])
    return days, tuple(str(moment)[:10] for moment in moments), np.full(POINTS, np.nan), encoded, knots


_GRIDS: dict[type[Column], Callable[..., Any]] = {Number: _number, Boolean: _boolean, Category: _category, Date: _date}


def _knots(f: int, reference: Reference, reading: Reading) -> np.ndarray:
    return reference.quantiles[np.searchsorted(value_features(reading.schema), f)].astype(np.float64)


def _line(knots: np.ndarray, width: int, text: Callable[[float], str]) -> Any:
    """A curve through where the training rows are: wild values at the ends are left out; or single values where there are few."""
    few = np.unique(knots)
    if len(few) <= FEW and (len(few) < len(knots) or (few == np.floor(few)).all()):
        share = np.array([(knots == value).mean() for value in few])
        return few, tuple(map(text, few)), share, _placed(few[:, None], width), knots
    low, middle, high = knots[1], knots[len(knots) // 2], knots[-2]
    ends = max(knots[0], low - (middle - low)), min(knots[-1], high + (high - middle))
    values = np.linspace(*ends, POINTS)
    return values, tuple(map(text, values)), np.full(POINTS, np.nan), _placed(values[:, None], width), knots


def _placed(first: Any, width: int) -> np.ndarray:
    """Rows of a column's features (G, width) of which only the first are given."""
    first = np.asarray(first, dtype=np.float64)
    return np.concatenate([first, np.zeros((len(first), width - first.shape[1]))], axis=1)


def _missing_features(column: Column, width: int) -> np.ndarray:
    row = np.zeros(width + 1)
    column.encode_value(None, row, 0)
    return row[:width]
