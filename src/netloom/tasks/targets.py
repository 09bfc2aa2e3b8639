"""Targets, one or several: what their values are, classes or measures, and how much each row counts."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from netloom.errors import ColumnTypeError, DataError
from netloom.tasks.columns.column import shorten
from netloom.tasks.columns.kinds import kind_of
from netloom.tasks.columns.number import floats
from netloom.tasks.labels import find_classes

Kind = Literal["classification", "regression"]
LARGEST_TARGET = 1e100  # beyond, squares summed over rows leave float64


class Target(NamedTuple):
    """A name, n values, and the dtype of the array they came from, if it was one."""

    name: str
    values: pd.Series
    dtype: np.dtype | None = None


def as_targets(y: Any) -> list[Target]:
    """The targets in an array, list, Series or frame of values."""
    if isinstance(y, pd.DataFrame):
        return [Target(str(name), y.iloc[:, j].reset_index(drop=True)) for j, name in enumerate(y.columns)]
    if isinstance(y, pd.Series | pd.Index):
        return [Target("y" if y.name is None else str(y.name), pd.Series(y).reset_index(drop=True))]
    if isinstance(y, pd.api.extensions.ExtensionArray):
        return [Target("y", pd.Series(y))]
    if hasattr(y, "toarray") and hasattr(y, "nnz"):
        raise ColumnTypeError("the target is sparse, which is not supported; use y.toarray()")
    if isinstance(y, list | tuple | range) and not any(isinstance(value, list | tuple | np.ndarray) for value in y):
        return [Target("y", pd.Series(list(y), dtype=object))]
    try:
        values = np.asarray(y)
    except ValueError:
        raise DataError("the target is a list of rows of different lengths; one value per row is needed") from None
    if values.dtype.kind in "biufcMm":
        values = values.astype(np.float64 if values.dtype == np.longdouble else values.dtype.newbyteorder("="), copy=False)
    if values.ndim == 1:
        return [Target("y", pd.Series(values), values.dtype)]
    if values.ndim == 2 and values.shape[1] > 0:
        names = ["y"] if values.shape[1] == 1 else [f"y{j}" for j in range(values.shape[1])]
        return [Target(name, pd.Series(values[:, j]), values.dtype) for j, name in enumerate(names)]
    raise DataError(f"the target has shape {values.shape}; one value per row is needed, or one column per target")


def tell_kind(name: str, values: pd.Series) -> Kind:
    """By the rule in the docstring of `Task`."""
    if kind_of(values, name) != "number":
        return "classification"
    numbers = floats(values, name)
    few = max(2, min(20, len(numbers) // 20))
    whole = np.isfinite(numbers).all() and (numbers == np.floor(numbers)).all()
    return "classification" if whole and len(np.unique(numbers)) <= few else "regression"


def classify(target: Target) -> tuple[np.ndarray, np.ndarray]:
    """Classes and int64 codes (n,)."""
    name, values, dtype = target
    kind_of(values, name)  # nested and complex labels end here
    labels = values.to_numpy(dtype=object) if dtype is not None and dtype.kind == "O" else _as_labels(values)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError(f"target {name!r}: row {values.index[np.argmin(np.isfinite(labels))]} is infinite; a label must be finite")
    classes, codes = find_classes(labels, name)
    if len(classes) < 2:
        raise DataError(f"target {name!r} has only one class, {shorten(classes.tolist()[0])}; telling classes apart needs at least 2")
    return classes.astype(str) if dtype is not None and dtype.kind == "U" else classes, codes


def _as_labels(values: pd.Series) -> np.ndarray:
    """The labels as numpy holds them best: objects only where no dtype can hold them."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _as_labels(values.astype(dtype.categories.dtype))
    if isinstance(dtype, np.dtype):
        return values.to_numpy(dtype=object) if dtype.kind == "m" else values.infer_objects().to_numpy()
    if dtype.kind in "biuf":
        return values.to_numpy(dtype=getattr(dtype, "numpy_dtype", None))
    return values.to_numpy(dtype=object)


def measure(name: str, values: pd.Series) -> np.ndarray:
    """Regression target, float64 (n,)."""
    if kind_of(values, name) not in ("number", "boolean"):
        example = shorten(values.iloc[0])
        raise DataError(f"target {name!r} holds {example}, but regression needs numbers; convert it, or use kind='classification'")
    numbers = floats(values, name)
    bad = ~(np.abs(numbers) <= LARGEST_TARGET)
    if bad.any():
        first = int(np.argmax(bad))
        what = "is infinite (infinity)" if np.isinf(numbers[first]) else f"holds {numbers[first]:g}, more than {LARGEST_TARGET:g}"
        raise DataError(f"target {name!r}: row {values.index[first]} {what}; leave the row out or rescale the target")
    return numbers


def check_weight(weight: Any, n: int, missing: np.ndarray) -> np.ndarray:
    """Weights of the rows whose target is there, float64."""
    values = weight.reset_index(drop=True) if isinstance(weight, pd.Series) else pd.Series(np.asarray(weight).ravel())
    name = f"weight {values.name}" if isinstance(weight, pd.Series) and values.name is not None else "weight"
    if len(values) != n:
        raise DataError(f"{name}: {len(values)} values for {n} rows; give one per row")
    if kind_of(values, name) not in ("number", "boolean"):
        raise DataError(f"{name}: holds {shorten(values.iloc[0])}; weights must be numbers")
    weights = floats(values, name)
    bad = ~((weights >= 0) & (weights <= LARGEST_TARGET))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{name}: row {row} holds {weights[row]:g}; weights must be finite and not negative")
    weights = weights[~missing]
    if not weights.any():
        raise DataError(f"{name}: all are 0, so no row counts; give at least one that is above 0")
    return weights
