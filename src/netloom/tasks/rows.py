"""One row to features in a few microseconds: what to do is decided once, when the plan is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from netloom.errors import DataError
from netloom.tasks.columns.column import LARGEST, Column
from netloom.tasks.columns.number import Number


@dataclass(frozen=True, eq=False)
class RowPlan:
    """How to encode a row.

    Attributes
    ----------
    columns : all of the schema
    names : of the columns
    repeated : a name that several columns have, if any
    width : d
    numbers : (column, feature) of each number column
    others : (column, first feature, feature after the last value) of each other column that has features
    plain : every column is a number with one feature: a row is its own encoding
    pick : takes the values of the number columns out of a row
    places : feature of each number column that varies
    varying : which of the number columns vary; both are slices where these stand side by side
    """

    columns: tuple[Column, ...]
    names: tuple[str, ...]
    repeated: str | None
    width: int
    numbers: tuple[tuple[int, int], ...]
    others: tuple[tuple[int, int, int], ...]
    plain: bool
    pick: Callable[[Sequence[Any]], tuple]
    places: np.ndarray | slice
    varying: np.ndarray | slice

    def encode(self, values: Any) -> np.ndarray:
        """float64 (d,) from a sequence of values or a mapping of names to values."""
        if self.plain and type(values) in (list, tuple, np.ndarray):
            try:
                row = np.array(values, dtype=np.float64)
            except (TypeError, ValueError, OverflowError):
                pass
            else:
                if row.shape == (self.width,) and _tame(row.tolist()):
                    return row
        ready = type(values) in (list, tuple) and len(values) == len(self.columns)
        return self._encode(values if ready else self._in_order(values))

    def _encode(self, values: Sequence[Any]) -> np.ndarray:
        row = np.zeros(self.width)
        if self.numbers and not self._encode_numbers(values, row):
            for j, start in self.numbers:
                column = self.columns[j]
                if column.encode_value(values[j], row, start) and column.missing:
                    row[start + column.varies] = 1  # type: ignore[attr-defined]
        for j, start, stop in self.others:
            if self.columns[j].encode_value(values[j], row, start) and self.columns[j].missing:
                row[stop] = 1
        return row

    def _encode_numbers(self, values: Sequence[Any], row: np.ndarray) -> bool:
        """All number columns at once; False if numpy cannot read them (text, pd.NA, a duration)."""
        try:
            numbers = np.array(self.pick(values), dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            return False
        if numbers.shape != (len(self.numbers),):
            return False
        row[self.places] = numbers[self.varying]
        listed = numbers.tolist()
        if not _tame(listed):
            for (j, start), number in zip(self.numbers, listed, strict=True):
                if not abs(number) <= LARGEST and self.columns[j].encode_value(number, row, start) and self.columns[j].missing:
                    row[start + self.columns[j].varies] = 1  # type: ignore[attr-defined]
        return True

    def _in_order(self, values: Any) -> Sequence[Any]:
        """The values in the order of the columns."""
        if isinstance(values, Mapping) or (hasattr(values, "to_dict") and hasattr(values, "index")):
            return self._by_name(values if isinstance(values, Mapping) else values.to_dict())
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise DataError(f"a row must be a sequence of values or a mapping of names to values, not {type(values).__name__}")
        if len(values) != len(self.columns):
            raise DataError(f"the row has {len(values)} values, training had {len(self.columns)} columns")
        return values if isinstance(values, Sequence) else list(values)

    def _by_name(self, values: Mapping) -> Sequence[Any]:
        if self.repeated is not None:
            raise DataError(f"column {self.repeated!r} occurs more than once, so a row by name is unclear; give the row as a sequence")
        try:
            return [values[name] for name in self.names]
        except KeyError:
            pass
        values = {str(name): value for name, value in values.items()}  # names that were no strings in training: 0 for "0"
        absent = [column.name for column in self.columns if column.name not in values and column.kind != "constant"]
        if absent:
            raise DataError(f"the row has no {', '.join(map(repr, absent[:5]))}; give each column that training had, None where not known")
        return [values.get(name) for name in self.names]


def _tame(numbers: list[float]) -> bool:
    """Whether all are finite and in bounds, told by their length as a vector: hypot neither overflows nor warns."""
    return math.hypot(*numbers) < LARGEST


def plan_row(columns: tuple[Column, ...], width: int) -> RowPlan:
    """Decide how rows of these columns become ``width`` features."""
    numbers, others, places = [], [], []
    at = 0
    for j, column in enumerate(columns):
        values = len(column.labels())
        if isinstance(column, Number):
            numbers.append((j, at))
            places += [at] if column.varies else []
        elif values or column.missing:
            others.append((j, at, at + values))
        at += values + column.missing
    which = [j for j, _ in numbers]
    varying = [i for i, j in enumerate(which) if columns[j].varies]  # type: ignore[attr-defined]
    pick: Any = _PickOne(which[0]) if len(which) == 1 else itemgetter(*which) if which else tuple
    plain = len(places) == len(columns) == width
    names = tuple(column.name for column in columns)
    repeated = next((name for name in dict.fromkeys(names) if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    return RowPlan(
        columns,
        names,
        repeated,
        width,
        tuple(numbers),
        tuple(others),
        plain,
        pick,
        _index(places),
        _index(varying),
    )


def _index(ascending: list[int]) -> np.ndarray | slice:
    """What takes these places: a slice, which numpy is faster with, where they stand side by side."""
    if ascending and ascending[-1] - ascending[0] == len(ascending) - 1:
        return slice(ascending[0], ascending[-1] + 1)
    return np.array(ascending, dtype=int)


@dataclass(frozen=True)
class _PickOne:
    """itemgetter of one index, as a tuple."""

    index: int

    def __call__(self, values: Sequence[Any]) -> tuple[Any]:
        return (values[self.index],)
