"""The hypernetwork and what it does for a task.

Read hypernetwork.py with block.py and batch.py (the paper in code), weave.py (tokens become plain layers), views.py and rows.py
(what it reads), single.py and loom.py (one pass), then pool.py, rules.py, families.py, compare.py, assemble.py and fit.py (choosing, averaging,
merging).
`Loom` is imported when first used: the hypernetwork alone needs torch and numpy only, so that a bare machine can train it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netloom.loom.loom import Loom

__all__ = ["Loom"]


def __getattr__(name: str) -> Any:
    if name != "Loom":
        raise AttributeError(f"module 'netloom.loom' has no attribute '{name}'")
    from netloom.loom.loom import Loom

    globals()[name] = Loom
    return Loom
