"""The hypernetwork and what it does for a task.

Read hypernetwork.py with block.py and batch.py (the paper in code), weave.py (tokens become plain layers), views.py and rows.py (what it
reads), single.py and loom.py (one pass), then pool.py, families.py, compare.py, assemble.py and fit.py (choosing, averaging, merging).
"""

from netloom.loom.loom import Loom

__all__ = ["Loom"]
