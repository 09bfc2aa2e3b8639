"""Make a woven network better: gradient steps until satisfied, and new rows as they come. ``netloom.refine`` is also the call itself.

Read until.py (when to stop), layout.py, links.py and mirror.py (networks as one batch of tensors), losses.py and train.py (the steps),
again.py and judge.py (held-out folds), guarded.py (all of it); then readout.py (rows add up), prequential.py, memory.py (what is kept),
regenerate.py, files.py, door.py (rows for a network that exists).
"""

import sys
from types import ModuleType
from typing import Any

from netloom.refine.door import task_for
from netloom.refine.guarded import Refined, refine, refine_many
from netloom.refine.memory import Memory
from netloom.refine.regenerate import Updated, update
from netloom.refine.train import Recipe
from netloom.refine.until import NoImprovement, Score, Seconds, Steps, Until, parse_until

__all__ = [
    "Memory",
    "NoImprovement",
    "Recipe",
    "Refined",
    "Score",
    "Seconds",
    "Steps",
    "Until",
    "Updated",
    "parse_until",
    "refine",
    "refine_many",
    "task_for",
    "update",
]


class _Callable(ModuleType):
    """So that ``netloom.refine(network, task)`` works whether or not the folder of the same name was imported before."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return refine(*args, **options)


sys.modules[__name__].__class__ = _Callable
