"""Rows for a network that exists: one row will do, and not every class need be there, since the network knows its target."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from netloom.errors import DataError
from netloom.target.network import TargetNetwork
from netloom.tasks import Task
from netloom.tasks.columns.column import shorten
from netloom.tasks.columns.kinds import kind_of
from netloom.tasks.frames import as_frame
from netloom.tasks.targets import check_weight, measure
from netloom.tasks.task import place_of

__all__ = ["task_for"]


def task_for(network: TargetNetwork, table: Any, *, weight: Hashable | None = None) -> Task:
    """The rows of a table that holds the network's target; rows without a target are left out.

    Parameters
    ----------
    table : whatever `netloom.Task.from_frame` takes
    weight : name of a column that says how much each row counts

    Raises
    ------
    DataError : if the target or weight is absent, no row has a target, or a class is unknown to the network
    ColumnTypeError : for sparse, complex and nested targets
    """
    frame, named = as_frame(table)
    names = [str(name) for name in frame.columns.tolist()]
    wanted = [*network.target_names] + ([] if weight is None else [str(weight)])
    targets = frame.iloc[:, [place_of(name, names, "target") for name in network.target_names]].reset_index(drop=True)
    weighed = None if weight is None else place_of(str(weight), names, "weight")
    known = targets.notna().all(axis=1).to_numpy(copy=True)
    if not known.any():
        raise DataError(f"target {network.target_names[0]!r} is missing in all {len(frame)} rows; new rows need their target")
    counts = None if weighed is None else check_weight(frame.iloc[:, weighed], len(frame), ~known)
    rest = frame.loc[:, [name not in wanted for name in names]].loc[known].reset_index(drop=True)
    kind: Any = network.kind
    if network.classes is None:
        y = np.column_stack([measure(name, targets.iloc[:, o][known]) for o, name in enumerate(network.target_names)])
    else:
        y = _codes(network, targets.iloc[:, 0][known])
    return Task(rest, y, kind, network.classes, network.target_names, counts, named, int((~known).sum()))


def _codes(network: TargetNetwork, given: pd.Series) -> np.ndarray:
    """Which of the network's classes each label is, by its value or its text."""
    assert network.classes is not None
    kind_of(given, network.target_names[0])  # nested and complex labels end here
    labels = given.tolist()
    classes = network.classes.tolist()
    values = {(type(label) is bool, label): code for code, label in enumerate(classes)}
    texts = {str(label): code for code, label in enumerate(classes)}
    codes = np.array([values.get((type(label) is bool, label), texts.get(str(label), -1)) for label in labels], dtype=np.int64)
    if (codes < 0).any():
        label = labels[int(np.argmax(codes < 0))]
        held = shorten(classes)
        raise DataError(f"target {network.target_names[0]!r}: the class {label!r} is unknown to the network, which has {held}; fit it anew")
    return codes
