"""Classes of any type: found in a target, and to JSON and back with their dtype."""

from __future__ import annotations

import datetime
import math
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from netloom.errors import ColumnTypeError, FileError
from netloom.tasks.columns.category import as_text
from netloom.tasks.columns.column import shorten

DTYPES = r"bool|u?int(8|16|32|64)|float(16|32|64)|datetime64\[(Y|M|W|D|h|m|s|ms|us|ns)\]|str|object"
PLAIN = (str, bool, int, float)  # what JSON holds as it is
TOO_NESTED = (list, dict, set, tuple, frozenset, np.ndarray)


def find_classes(labels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The distinct labels, sorted, and for each row which it is.

    Parameters
    ----------
    labels : array (n,) without missing values
    name : of the target, for errors

    Returns
    -------
    classes : array in the labels' own dtype, as by np.unique; labels of mixed types sorted by their text. Labels that are not
        strings, numbers, booleans or dates (intervals, bytes) become their text.
    codes : int64 (n,)
    """
    if labels.dtype.kind in "biufUM":
        classes, codes = np.unique(labels, return_inverse=True)
        return classes, codes.astype(np.int64).ravel()
    plain = [_plain_label(label, name) for label in labels.astype(object)]
    distinct = list({(type(label) is bool, label): label for label in plain}.values())  # 1 and True are two labels
    try:
        distinct.sort(key=_by_text if len({type(label) is bool for label in distinct}) > 1 else None)
    except TypeError:  # text beside numbers, dates with and without a zone
        distinct.sort(key=_by_text)
    code = {(type(label) is bool, label): i for i, label in enumerate(distinct)}
    classes = np.empty(len(distinct), dtype=object)
    classes[:] = distinct
    return classes, np.array([code[type(label) is bool, label] for label in plain], dtype=np.int64)


def labels_to_json(classes: np.ndarray) -> dict:
    """Classes as plain JSON: ``{"dtype": ..., "values": [...]}``, dates as ISO text."""
    kind = classes.dtype.kind
    if kind == "M":
        return {"dtype": classes.dtype.name, "values": [str(value) for value in classes]}
    if kind == "O":
        return {"dtype": "object", "values": [_value_to_json(value) for value in classes]}
    return {"dtype": "str" if kind == "U" else classes.dtype.name, "values": classes.tolist()}


def labels_from_json(content: Any) -> np.ndarray:
    """The inverse of `labels_to_json`; FileError on anything unexpected."""
    if not isinstance(content, dict) or set(content) != {"dtype", "values"} or not isinstance(content["values"], list):
        raise FileError("classes: must hold 'dtype' and 'values'; the file is damaged")
    dtype, values = content["dtype"], content["values"]
    if not isinstance(dtype, str) or not re.fullmatch(DTYPES, dtype):
        raise FileError(f"classes: dtype {shorten(dtype)} is unknown")
    try:
        classes = _classes_from_json(dtype, values)
    except (TypeError, ValueError, OverflowError):
        raise FileError(f"classes: the values {shorten(values)} are not of dtype {dtype}") from None
    if len({(type(label) is bool, label) for label in classes.tolist()}) < len(values) or not values:
        raise FileError(f"classes: {shorten(values)} are none, or some are the same")
    return classes


def _classes_from_json(dtype: str, values: list) -> np.ndarray:
    if dtype == "object":
        classes = np.empty(len(values), dtype=object)
        classes[:] = [_value_from_json(value) for value in values]
        return classes
    expected = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float)}.get(np.dtype(dtype).kind, (str,))
    if any(type(value) not in expected or value in (math.inf, -math.inf) for value in values):
        raise TypeError
    if np.dtype(dtype).kind in "iu" and not np.iinfo(dtype).min <= min(values, default=0) <= max(values, default=0) <= np.iinfo(dtype).max:
        raise OverflowError
    with np.errstate(over="ignore"):
        classes = np.array(values, dtype=dtype)
    if dtype != "str" and labels_to_json(classes)["values"] != values:  # rounded, or no such date
        raise ValueError
    return classes


def _value_to_json(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, datetime.date):
        return {"date": value.isoformat()}
    return value


def _value_from_json(value: Any) -> Any:
    if type(value) in PLAIN and (type(value) is not float or math.isfinite(value)):
        return value
    if isinstance(value, dict) and len(value) == 1:
        (kind, text), *_ = value.items()
        if kind in ("date", "datetime"):
            return getattr(datetime, kind).fromisoformat(text)
    raise TypeError


def _plain_label(label: Any, name: str) -> Any:
    """A label as str, bool, int, float, date or datetime; its text if it is none of them."""
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, Decimal):
        return float(label)
    if type(label) in PLAIN:
        return label
    if isinstance(label, TOO_NESTED):
        raise ColumnTypeError(f"target {name!r} holds {shorten(label)}, a {type(label).__name__}; a label must be a single value")
    if isinstance(label, pd.Timestamp):
        return label.to_pydatetime(warn=False)
    return label if isinstance(label, datetime.date) else as_text(label)


def _by_text(label: Any) -> tuple[str, str]:
    return str(label), type(label).__name__
