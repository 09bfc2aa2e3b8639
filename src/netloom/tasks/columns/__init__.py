"""One learner and encoder per kind of column: a new kind is one new file and one entry in `KINDS`.

Read column.py (what all kinds share), number.py, boolean.py, category.py, date.py, constant.py, then kinds.py (which kind a column is).
"""

from netloom.tasks.columns.column import LARGEST, Column, Feature
from netloom.tasks.columns.kinds import KINDS, kind_of

__all__ = ["KINDS", "LARGEST", "Column", "Feature", "kind_of"]
