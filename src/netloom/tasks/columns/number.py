"""Numbers, also durations and times of day (in seconds): kept in their own unit, missing becomes the training mean.

Number columns are learned and encoded together, as one matrix: a table of 10,000 of them takes no loop over columns.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from netloom.tasks.columns.column import LARGEST, Column, is_missing, unreadable

CHUNK = 4_000_000  # values worked on at a time, so that copies of a large table stay small
SECOND = np.timedelta64(1, "s")
READABLE = {"floating", "integer", "mixed-integer-float", "decimal", "string", "boolean", "integer-na"}  # words of pandas' infer_dtype


@dataclass(frozen=True)
class Number(Column):
    """A number: infinities become the smallest and largest finite value seen, missing becomes ``fill``, the mean."""

    kind: ClassVar[str] = "number"
    varies: bool  # False: one value and missing ones, so there is only the feature for missing
    low: float
    high: float
    fill: float

    def labels(self) -> tuple[tuple[str, bool], ...]:
        return ((self.name, False),) if self.varies else ()

    def encode(self, values: pd.Series, out: np.ndarray) -> np.ndarray:
        matrix = floats(values, self.name)[:, None]
        encode_numbers([self], matrix, out, np.array([0] if self.varies else [], dtype=int))
        return np.isnan(matrix[:, 0])

    def encode_value(self, value: Any, row: np.ndarray, start: int) -> bool:
        try:
            number = as_float(value)
        except ValueError:
            raise not_numeric(self.name, None, value) from None
        if self.varies:
            row[start] = self.fill if number != number else self.bound(number)
        return number != number

    def bound(self, number: float) -> float:
        """The number within what later arithmetic can hold."""
        if math.isinf(number):
            return self.high if number > 0 else self.low
        return min(max(number, -LARGEST), LARGEST)

    def check(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")


def learn_numbers(names: Sequence[str], matrix: np.ndarray) -> tuple[list[Number], np.ndarray]:
    """Learn all number columns of a table at once.

    Parameters
    ----------
    names : m names
    matrix : float array of shape (n, m), NaN where missing

    Returns
    -------
    columns : m of them, ``missing`` not yet decided
    missing : bool (n, m)
    """
    n, m = matrix.shape
    missing = np.isnan(matrix)
    low, high, fill = np.zeros(m), np.zeros(m), np.zeros(m)
    step = max(1, CHUNK // max(n, 1))
    for start in range(0, m, step):
        part = np.clip(matrix[:, start : start + step], -LARGEST, LARGEST)
        finite = np.isfinite(matrix[:, start : start + step])
        count = finite.sum(axis=0)
        seen = slice(start, start + step)
        low[seen] = np.where(count > 0, part.min(axis=0, where=finite, initial=np.inf), 0)
        high[seen] = np.where(count > 0, part.max(axis=0, where=finite, initial=-np.inf), 0)
        fill[seen] = part.sum(axis=0, where=finite) / np.maximum(count, 1)
    fill = np.clip(fill, low, high)  # a mean of equal values can be off by rounding
    learned = zip(names, high > low, low.tolist(), high.tolist(), fill.tolist(), strict=True)
    return [Number(name, False, bool(varies), lo, hi, mean) for name, varies, lo, hi, mean in learned], missing


def encode_numbers(columns: Sequence[Number], matrix: np.ndarray, out: np.ndarray, places: np.ndarray) -> None:
    """Write the value features of all number columns that vary into ``out[:, places]``.

    ``matrix`` (n, m) has NaN where missing and is not changed; ``places`` holds one feature index per column that varies.
    """
    varying = np.array([j for j, column in enumerate(columns) if column.varies], dtype=int)
    low, high, fill = (np.array([getattr(columns[j], key) for j in varying]) for key in ("low", "high", "fill"))
    everything = len(varying) == matrix.shape[1] and np.array_equal(places, np.arange(out.shape[1]))
    step = max(1, CHUNK // max(len(varying), 1))
    for start in range(0, len(matrix), step):
        rows = slice(start, start + step)
        given = matrix[rows] if len(varying) == matrix.shape[1] else matrix[rows, varying]
        part = np.clip(given, -LARGEST, LARGEST)
        i, j = np.nonzero(~np.isfinite(given))
        odd = given[i, j]
        part[i, j] = np.where(np.isnan(odd), fill[j], np.where(odd > 0, high[j], low[j]))
        out[rows, slice(None) if everything else places] = part


def number_matrix(frame: pd.DataFrame, positions: Sequence[int], names: Sequence[str]) -> np.ndarray:
    """The columns at ``positions`` as float64 (n, m), NaN where missing: all numpy numbers in one go. Read only: may be a view."""
    values = _part(frame, positions).to_numpy()
    if values.dtype.kind in "fiub":  # told without frame.dtypes, which takes longer than all the rest on a small table
        with np.errstate(over="ignore"):  # a long double beyond float64 becomes inf, which is bounded later
            return values.astype(np.float64, copy=False)
    dtypes = frame.dtypes.tolist()
    plain = [isinstance(dtypes[at], np.dtype) and dtypes[at].kind in "fiub" for at in positions]
    matrix = np.empty((len(frame), len(positions)), order="F")
    matrix[:, plain] = _block(frame, [at for at, is_plain in zip(positions, plain, strict=True) if is_plain])
    for j, (at, is_plain) in enumerate(zip(positions, plain, strict=True)):
        if not is_plain:
            matrix[:, j] = floats(frame.iloc[:, at], names[j])
    return matrix


def _block(frame: pd.DataFrame, positions: Sequence[int]) -> np.ndarray:
    with np.errstate(over="ignore"):
        return _part(frame, positions).to_numpy(dtype=np.float64)


def _part(frame: pd.DataFrame, positions: Sequence[int]) -> pd.DataFrame:
    return frame if list(positions) == list(range(frame.shape[1])) else frame.iloc[:, list(positions)]


def floats(values: pd.Series, name: str) -> np.ndarray:
    """One column of any dtype as float64 (n,), NaN where missing; DataError at the first value that is not a number."""
    kind = values.dtype.kind
    if kind == "m":
        return values.dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan)
    if kind in "fiub":
        with np.errstate(over="ignore"):
            return values.to_numpy(dtype=np.float64, na_value=np.nan)
    objects = values.to_numpy(dtype=object)
    objects = np.where(pd.isna(objects), np.nan, objects)
    if pd.api.types.infer_dtype(objects, skipna=True) in READABLE:
        try:
            return objects.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            pass  # an empty text, an integer of 400 digits or a word: one by one
    numbers = np.empty(len(objects))
    for i, value in enumerate(objects):
        try:
            numbers[i] = as_float(value)
        except ValueError:
            raise not_numeric(name, i, value) from None
    return numbers


def as_float(value: Any) -> float:
    """One value as a float: NaN if missing or an empty text, seconds if a duration or a time of day; else ValueError."""
    if isinstance(value, str):
        return float(value) if value.strip() else math.nan
    if is_missing(value):
        return math.nan
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, np.timedelta64):
        return float(value / SECOND)
    if isinstance(value, datetime.time):
        return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    if isinstance(value, Real | Decimal | np.bool_):
        try:
            return float(value)
        except OverflowError:
            positive = value > 0  # type: ignore[operator]
            return math.inf if positive else -math.inf  # an integer of more than 308 digits
    raise ValueError("not a number")


def not_numeric(name: str, row: int | None, value: Any) -> Exception:
    return unreadable(name, row, value, "numeric", "a number")
