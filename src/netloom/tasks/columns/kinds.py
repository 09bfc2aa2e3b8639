"""Which kind a column is, by its dtype or, for objects, by its values."""

from __future__ import annotations

import datetime
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

from netloom.errors import ColumnTypeError
from netloom.tasks.columns.boolean import Boolean
from netloom.tasks.columns.category import Category
from netloom.tasks.columns.column import Column, shorten
from netloom.tasks.columns.constant import Constant
from netloom.tasks.columns.date import Date
from netloom.tasks.columns.number import Number

KINDS: dict[str, type[Column]] = {cls.kind: cls for cls in (Number, Boolean, Category, Date, Constant)}

BY_LETTER = {"f": "number", "i": "number", "u": "number", "m": "number", "b": "boolean", "M": "date"}  # of numpy dtypes
BY_WORD = {  # of pandas' infer_dtype
    "string": "category",
    "bytes": "category",
    "categorical": "category",
    "interval": "category",
    "floating": "number",
    "integer": "number",
    "integer-na": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "timedelta": "number",
    "timedelta64": "number",
    "time": "number",
    "boolean": "boolean",
    "datetime": "date",
    "datetime64": "date",
    "date": "date",
    "period": "date",
    "empty": "constant",
}
COMPLEX = (complex, np.complexfloating)
MOMENTS = (datetime.date, np.datetime64, pd.Period)  # a datetime is a date


def kind_of(values: pd.Series, name: str) -> str:
    """number, boolean, category, date or (nothing but missing values) constant.

    Raises
    ------
    ColumnTypeError : for sparse, complex and nested values
    """
    dtype = values.dtype
    if isinstance(dtype, pd.SparseDtype):
        raise ColumnTypeError(f"column {name!r} is sparse, which is not supported; use frame.sparse.to_dense()")
    if dtype.kind == "c":
        raise _complex(name)
    if isinstance(dtype, pd.CategoricalDtype | pd.StringDtype | pd.IntervalDtype):
        return "category"
    if isinstance(dtype, pd.PeriodDtype):
        return "date"
    if dtype.kind in BY_LETTER:
        return BY_LETTER[dtype.kind]
    objects = values.to_numpy(dtype=object)
    word = pd.api.types.infer_dtype(objects, skipna=True)
    return BY_WORD[word] if word in BY_WORD else _kind_of_mixed(objects[~pd.isna(objects)], name)


def _kind_of_mixed(objects: np.ndarray, name: str) -> str:
    types = set(map(type, objects))
    if any(issubclass(kind, COMPLEX) for kind in types):
        raise _complex(name)
    nested = {kind for kind in types if kind.__hash__ is None or issubclass(kind, tuple | frozenset)}
    if nested:
        row = next(value for value in objects if type(value) in nested)
        raise ColumnTypeError(f"column {name!r} holds {shorten(row)}, a {type(row).__name__}; give each of its parts a column of its own")
    if all(issubclass(kind, MOMENTS) for kind in types):
        return "date"
    if all(issubclass(kind, Real | Decimal) and not issubclass(kind, bool) for kind in types):
        return "number"
    return "category"


def _complex(name: str) -> ColumnTypeError:
    return ColumnTypeError(f"column {name!r}: Complex data not supported; give the real and the imaginary part a column each")
