"""What a task is: a table, its target, and how its columns become numbers.

Read frames.py (the door), task.py, targets.py and labels.py, then schema.py with columns/ (one file per kind of column) and rows.py
(one row, fast), at last tables.py and delimited.py (files).
"""

from netloom.tasks.columns import Column, Feature
from netloom.tasks.labels import labels_from_json, labels_to_json
from netloom.tasks.schema import Schema
from netloom.tasks.tables import read_table, write_table
from netloom.tasks.task import Task

__all__ = ["Column", "Feature", "Schema", "Task", "labels_from_json", "labels_to_json", "read_table", "write_table"]
