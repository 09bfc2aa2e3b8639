"""What is asked of a network: inputs, one or several targets, how much each row counts."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import pandas as pd

from netloom.errors import ConfigError, DataError
from netloom.tasks.columns.column import shorten
from netloom.tasks.frames import as_frame, close_matches
from netloom.tasks.targets import Kind, Target, as_targets, check_weight, classify, measure, tell_kind


@dataclass(frozen=True, eq=False)
class Task:
    """A labelled table. Make one with `from_frame`, `from_arrays` or `from_groups`.

    Which kind of task: unless ``kind`` says so, targets that are text, categories, booleans or dates are classes; so are whole
    numbers with at most ``max(2, min(20, n // 20))`` distinct values in n rows. All else is regression, as are several targets.

    Attributes
    ----------
    frame : DataFrame of n rows, the input columns as they came, index 0 to n - 1
    y : classification: int64 (n,), which of ``classes``; regression: float64 (n, O)
    kind : "classification" or "regression"
    classes : labels in their own dtype, sorted; None for regression
    target_names : one name per target
    weight : float64 (n,), how much each row counts, >= 0; None if all count the same. Whole multiples of the lightest are counts of rows
    named : False if the inputs came as an array without names; columns then are matched by position
    dropped : rows left out because their target was missing
    """

    frame: pd.DataFrame
    y: np.ndarray
    kind: Kind
    classes: np.ndarray | None
    target_names: tuple[str, ...]
    weight: np.ndarray | None = None
    named: bool = True
    dropped: int = 0

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.frame)

    @property
    def outputs(self) -> int:
        """O: number of classes or targets."""
        return len(self.target_names) if self.classes is None else len(self.classes)

    def rows(self, index: Any) -> Task:
        """The task of these rows: positions or a boolean mask. All classes are kept, even those that no row has."""
        index = np.asarray(index)
        index = np.nonzero(index)[0] if index.dtype == bool else index.astype(np.intp)
        weight = None if self.weight is None else self.weight[index]
        return replace(self, frame=self.frame.iloc[index].reset_index(drop=True), y=self.y[index], weight=weight, dropped=0)

    @classmethod
    def from_frame(cls, frame: Any, target: Any, *, kind: Kind | None = None, weight: Any = None) -> Task:
        """A task from a table that holds its target; rows whose target is missing are left out and counted in ``dropped``.

        Parameters
        ----------
        frame : DataFrame, or what `netloom.tasks.frames.as_frame` reads
        target : name of a column, list of names (regression of several targets at once), or an array of n values or (n, O)
        kind : "classification" or "regression"; None to tell by the target
        weight : name of a column or n numbers >= 0

        Raises
        ------
        DataError : if the target is absent, has missing values only, one class or infinite values; for fewer than two rows
        """
        frame, named = as_frame(frame)
        taken: list[Hashable] = []
        if isinstance(weight, Hashable) and weight is not None:
            taken.append(weight)
            weight = _column(frame, weight, "weight")
        names = _target_names(frame, target)
        if names is None:
            targets = as_targets(target)
        else:
            targets = [Target(str(name), _column(frame, name, "target")) for name in names]
            if set(taken) & set(names):
                raise DataError(f"column {taken[0]!r} is both the target and the weight; give two columns")
            taken += names
        keep = [not any(name == other for other in taken) for name in frame.columns.tolist()] if taken else slice(None)
        return _make(cls, frame.loc[:, keep], targets, kind, weight, named, drop=True)

    @classmethod
    def from_arrays(cls, X: Any, y: Any, *, kind: Kind | None = None, weight: Any = None) -> Task:
        """A task from inputs and targets apart: ``X`` a table or an array (n, d), ``y`` an array (n,) or (n, O) without missing values."""
        frame, named = as_frame(X)
        return _make(cls, frame, as_targets(y), kind, weight, named, drop=False)

    @classmethod
    def from_groups(cls, frame: Any, target: Any, by: Hashable, *, kind: Kind | None = None, minimum: int = 2) -> dict[Any, Task]:
        """A task per group of rows with the same value of the column ``by`` (a user, a device), which is not an input.

        The kind is told by the whole table; each group has its own classes. Groups of fewer than ``minimum`` rows or with one
        class, and rows without a group, are left out and named in one warning.
        """
        if minimum < 2:
            raise ConfigError(f"minimum = {minimum}: a task needs at least 2 rows")
        frame, _ = as_frame(frame)
        groups = _column(frame, by, "group")
        names = _target_names(frame, target)
        if names is None or by in names:
            raise DataError("the targets of groups must be columns of the table, other than the one of the groups")
        whole = cls.from_frame(frame, target, kind=kind)
        rest = frame.loc[:, [name != by for name in frame.columns.tolist()]]
        tasks, left_out = {}, []
        for label, rows in groups.reset_index(drop=True).groupby(groups.to_numpy(), sort=True, observed=True).indices.items():
            part = rest.iloc[rows]
            label = label.item() if isinstance(label, np.generic) else label
            if part[names].notna().all(axis=1).sum() < minimum:
                left_out.append(f"{label!r} (too few rows)")
            elif whole.classes is not None and part[names[0]].nunique() < 2:
                left_out.append(f"{label!r} (one class)")
            else:
                tasks[label] = cls.from_frame(part, target, kind=whole.kind)
        if groups.isna().any():
            left_out.append(f"{int(groups.isna().sum())} rows without a group")
        if left_out:
            more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
            warnings.warn(f"groups by {by!r} left out: {', '.join(left_out[:5])}{more}", stacklevel=2)
        return tasks


def _make(cls: type[Task], frame: pd.DataFrame, targets: list[Target], kind: Any, weight: Any, named: bool, drop: bool) -> Task:
    """Check everything and put the task together."""
    n = len(frame)
    if kind is not None and kind not in get_args(Kind):
        raise ConfigError(f"kind = {kind!r}: must be 'classification', 'regression' or None")
    for name, values, _ in targets:
        if len(values) != n:
            raise DataError(f"target {name!r} has {len(values)} values, the table has {n} rows; one per row is needed")
    if n == 0:
        raise DataError("the table is empty; training needs at least 2 rows")
    missing = np.zeros(n, dtype=bool)
    for name, values, _ in targets:
        absent = values.isna().to_numpy(dtype=bool)
        if absent.all():
            raise DataError(f"target {name!r} is missing in all {n} rows; fill it in or name another column as target")
        if absent.any() and not drop:
            row = int(np.argmax(absent))
            raise DataError(f"target {name!r}: row {row} is missing (NaN), {absent.sum()} of {n} in all; leave those rows out")
        missing |= absent
    weights = None if weight is None else check_weight(weight, n, missing)
    keep = ~missing
    if keep.sum() < 2:
        rows = "1 row (n_samples=1)" if keep.sum() else "no row"
        raise DataError(f"the table has {rows} with a target; training needs at least 2")
    if missing.any():
        frame = frame.loc[keep]
        targets = [target._replace(values=target.values[keep]) for target in targets]
    names = tuple(target.name for target in targets)
    kind = kind or ("regression" if len(targets) > 1 else tell_kind(targets[0].name, targets[0].values))
    classes = None
    if kind == "classification":
        if len(targets) > 1:
            first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            raise DataError(f"{len(targets)} targets at once ({first}) must be numbers; classify one at a time")
        classes, y = classify(targets[0])
    else:
        y = np.column_stack([measure(target.name, target.values) for target in targets])
    return cls(frame.reset_index(drop=True), y, kind, classes, names, weights, named, int(missing.sum()))


def _target_names(frame: pd.DataFrame, target: Any) -> list[Hashable] | None:
    """Names of the target columns; None if the target is values, not names."""
    present = frame.columns.tolist()
    if isinstance(target, Hashable) and (not isinstance(target, tuple) or target in present):
        return [target]
    if not isinstance(target, list | tuple) or not target or not all(isinstance(name, Hashable) for name in target):
        return None
    named = all(name in present for name in target) or (len(target) != len(frame) and all(isinstance(name, str) for name in target))
    if len(set(target)) < len(target) and named and len(target) != len(frame):
        raise DataError(f"a target is named twice in {shorten(list(target))}; name each once")
    return list(target) if named and len(set(target)) == len(target) else None


def _column(frame: pd.DataFrame, name: Hashable, role: str) -> pd.Series:
    return frame.iloc[:, place_of(name, frame.columns.tolist(), role)].reset_index(drop=True)


def place_of(name: Hashable, names: list[Any], role: str) -> int:
    """Where among the names of a table's columns the one of this ``role`` ("target", "weight") is; DataError unless it is there once."""
    if names.count(name) == 1:
        return names.index(name)
    if name in names:
        raise DataError(f"{role} {name!r} is the name of {names.count(name)} columns; rename all but one")
    held = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
    raise DataError(f"{role} {name!r} is not a column of the table{close_matches(str(name), names)}; it holds {held or 'no column'}")
