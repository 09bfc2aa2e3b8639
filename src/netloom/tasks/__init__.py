"""What a task is: a table, its target, and how its columns become numbers.

Read frames.py (the door), task.py, targets.py and labels.py, then schema.py with columns/ (one file per kind of column) and rows.py
(one row, fast), then tables.py and delimited.py (files), at last priors/ (synthetic tasks) and real.py (tasks made of tables at hand).
Names are imported when first used: priors/ needs torch and nothing else, so that a bare machine can train.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netloom.tasks.columns import Column, Feature
    from netloom.tasks.labels import labels_from_json, labels_to_json
    from netloom.tasks.schema import Schema
    from netloom.tasks.tables import read_table, write_table
    from netloom.tasks.task import Task

__all__ = ["Column", "Feature", "Schema", "Task", "labels_from_json", "labels_to_json", "read_table", "write_table"]

_HOMES = {
    "Column": "netloom.tasks.columns",
    "Feature": "netloom.tasks.columns",
    "Schema": "netloom.tasks.schema",
    "Task": "netloom.tasks.task",
    "labels_from_json": "netloom.tasks.labels",
    "labels_to_json": "netloom.tasks.labels",
    "read_table": "netloom.tasks.tables",
    "write_table": "netloom.tasks.tables",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netloom.tasks' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
