"""What a table looks like and how it becomes numbers; learned on training rows only, stored as plain JSON.

`Schema.learn` looks at each column, `Schema.encode` turns any later table into the same d numbers per row, all finite.
Numbers keep their unit. Tables are matched by column name, so order and extra columns do not matter; arrays by position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from netloom.errors import DataError, FileError
from netloom.tasks.columns.category import Category
from netloom.tasks.columns.column import Column, Feature, from_json, shorten
from netloom.tasks.columns.constant import Constant
from netloom.tasks.columns.kinds import KINDS, kind_of
from netloom.tasks.columns.number import Number, encode_numbers, learn_numbers, number_matrix
from netloom.tasks.frames import as_frame, close_matches
from netloom.tasks.rows import RowPlan, plan_row

FORMAT = 1
Levels = tuple[tuple[np.ndarray, np.ndarray | None], ...]
NOTHING = Feature(-1, "(nothing varies)", True)  # stands alone where no column varies, so that d >= 1; always 0


@dataclass(frozen=True)
class Schema:
    """How the columns of a table become features.

    Attributes
    ----------
    columns : tuple of Column, in the order of the training table; names are strings, a repeated name stands for its occurrences
    named : bool, False if the training table was an array: then later tables are matched by position
    features : tuple of Feature, length d
    """

    columns: tuple[Column, ...]
    named: bool

    @classmethod
    def learn(cls, frame: Any, *, named: bool = True) -> Schema:
        """Look at a table of training rows.

        Parameters
        ----------
        frame : DataFrame, or anything `netloom.tasks.frames.as_frame` reads; n rows, at least one
        named : bool, False to match later tables by position; always so for an array

        Raises
        ------
        DataError : if there is no row
        ColumnTypeError : for a column of values that no network can read
        """
        frame, has_names = as_frame(frame)
        if not len(frame):
            raise DataError("the table is empty; training needs rows")
        names = [str(name) for name in frame.columns.tolist()]
        kinds = [kind_of(frame.iloc[:, j], names[j]) if not _is_plain(dtype) else "number" for j, dtype in enumerate(frame.dtypes.tolist())]
        numbers = [j for j, kind in enumerate(kinds) if kind == "number"]
        matrix = number_matrix(frame, numbers, [names[j] for j in numbers])
        learned, absent = learn_numbers([names[j] for j in numbers], matrix)
        columns: list[Column] = [Constant(name, False) for name in names]
        masks: dict[int, np.ndarray] = {}  # columns with missing values
        for i, j in enumerate(numbers):
            columns[j] = learned[i]
        for i in np.nonzero(absent.any(axis=0))[0].tolist():
            masks[numbers[i]] = absent[:, i]
        for j, kind in enumerate(kinds):
            if kind != "number":
                columns[j], mask = KINDS[kind].learn(names[j], frame.iloc[:, j])  # type: ignore[attr-defined]
                if mask.any():
                    masks[j] = mask
        patterns: set[bytes] = set()
        for j, mask in sorted(masks.items()):
            pattern = np.packbits(mask).tobytes()
            if pattern not in patterns and not mask.all():  # the same rows missing say the same once
                columns[j] = replace(columns[j], missing=True)
                patterns.add(pattern)
        for j, column in enumerate(columns):
            if not column.missing and not column.labels():
                columns[j] = Constant(names[j], False)
        return cls(tuple(columns), named and has_names)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        found = []
        for j, column in enumerate(self.columns):
            found += [Feature(j, label, binary) for label, binary in column.labels()]
            if column.missing:
                found.append(Feature(j, f"{column.name} missing", True))
        return tuple(found) or (NOTHING,)

    @cached_property
    def levels(self) -> Levels:
        """Per category with a feature for each of some levels: these features (L,), and their places (L,) in order of what they say, or
        None where a feature of its own holds these."""
        found, at = [], 0
        for column in self.columns:
            if isinstance(column, Category) and not column.pair and column.kept:
                found.append((np.arange(at, at + column.after_levels), None if column.places else column.said()))
            at += len(column.labels()) + column.missing
        return tuple(found)

    def encode(self, table: Any) -> np.ndarray:
        """The features of n rows, float64 (n, d), all finite.

        Parameters
        ----------
        table : as for `learn`; a frame may have its columns in another order and more of them. Columns that were constant in
            training may be absent.

        Raises
        ------
        DataError : if a column is absent, or holds a value that does not fit what it was in training; rows count from 0
        """
        frame, has_names = as_frame(table)
        positions = self._positions(frame, self.named and has_names)
        layout = self._layout
        out = np.zeros((len(frame), len(self.features)))
        if layout.numbers:
            numbers: list[Number] = [self.columns[j] for j in layout.numbers]  # type: ignore[misc]
            matrix = number_matrix(frame, [positions[j] for j in layout.numbers], [column.name for column in numbers])
            encode_numbers(numbers, matrix, out, layout.values)
            for i, at in layout.flags:
                out[:, at] = np.isnan(matrix[:, i])
        for j, start, stop in layout.others:
            missing = self.columns[j].encode(frame.iloc[:, positions[j]], out[:, start:stop])
            if self.columns[j].missing:
                out[:, stop] = missing
        return out

    def encode_row(self, values: Any) -> np.ndarray:
        """The features of one row, float64 (d,): the same numbers as `encode`, in microseconds.

        Parameters
        ----------
        values : a sequence in the order of ``columns``, or a mapping of name to value
        """
        return self._plan.encode(values)

    def to_json(self) -> dict:
        """The schema as plain JSON: what `from_json` reads."""
        return {"format": FORMAT, "named": self.named, "columns": [column.to_json() for column in self.columns]}

    @classmethod
    def from_json(cls, content: Any) -> Schema:
        """The inverse of `to_json`; FileError on anything unexpected."""
        if not isinstance(content, Mapping) or set(content) != {"format", "named", "columns"}:
            raise FileError("schema: must hold 'format', 'named' and 'columns'; the file is damaged")
        if content["format"] != FORMAT or isinstance(content["format"], bool):
            raise FileError(f"schema: format {shorten(content['format'])} is not {FORMAT}; it is from another version of netloom")
        if not isinstance(content["named"], bool) or not isinstance(content["columns"], list):
            raise FileError("schema: 'named' must be true or false and 'columns' a list; the file is damaged")
        columns = []
        for j, entry in enumerate(content["columns"]):
            kind = entry.get("kind") if isinstance(entry, dict) else None
            if not isinstance(kind, str) or kind not in KINDS:
                raise FileError(f"schema: column {j}: kind {shorten(kind)} is not one of {', '.join(KINDS)}")
            columns.append(from_json(KINDS[kind], entry, f"schema: column {j}"))
        return cls(tuple(columns), content["named"])

    def _positions(self, frame: pd.DataFrame, by_name: bool) -> list[int]:
        """Where in the frame each column of the schema is; -1 for a constant one that is absent."""
        d = len(self.columns)
        if not by_name:
            if frame.shape[1] != d:
                raise DataError(f"the table has {frame.shape[1]} columns, training had {d}, and without names only their order tells")
            return list(range(d))
        names = [str(name) for name in frame.columns.tolist()]
        if names == [column.name for column in self.columns]:
            return list(range(d))
        where = {key: position for position, key in enumerate(_occurrences(names))}
        positions = [where.get(key, -1) for key in _occurrences([column.name for column in self.columns])]
        absent = [column.name for column, at in zip(self.columns, positions, strict=True) if at < 0 and column.kind != "constant"]
        if absent:
            raise _absent(absent, names)
        return positions

    @cached_property
    def _layout(self) -> _Layout:
        numbers: list[int] = []
        values: list[int] = []
        flags: list[tuple[int, int]] = []
        others: list[tuple[int, int, int]] = []
        at = 0
        for j, column in enumerate(self.columns):
            width = len(column.labels())
            if isinstance(column, Number):
                values += range(at, at + width)
                flags += [(len(numbers), at + width)] if column.missing else []
                numbers.append(j)
            elif width or column.missing:
                others.append((j, at, at + width))
            at += width + column.missing
        return _Layout(tuple(numbers), np.array(values, dtype=int), tuple(flags), tuple(others))

    @cached_property
    def _plan(self) -> RowPlan:
        return plan_row(self.columns, len(self.features))


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the features are: of all number columns together, of each other column alone."""

    numbers: tuple[int, ...]  # m columns
    values: np.ndarray  # a feature per number column that varies
    flags: tuple[tuple[int, int], ...]  # (which of the m, feature)
    others: tuple[tuple[int, int, int], ...]  # (column, first feature, feature after the last value)


def _is_plain(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "fiu"


def _occurrences(names: list[str]) -> list[tuple[str, int]]:
    """(name, how often it came before): repeated names in the order they come."""
    seen: dict[str, int] = {}
    keys = []
    for name in names:
        seen[name] = seen.get(name, -1) + 1
        keys.append((name, seen[name]))
    return keys


def _absent(absent: list[str], present: list[str]) -> DataError:
    first = f"column {absent[0]!r} is not in the table{close_matches(absent[0], [name for name in present if name not in absent])}"
    others = "is one other" if len(absent) == 2 else f"are {len(absent) - 1} others"
    more = f", nor {others} ({', '.join(map(repr, absent[1:4]))}{', ...' if len(absent) > 4 else ''})"
    return DataError(f"{first}{more if len(absent) > 1 else ''}; training had it: add it, empty where it is not known")
