"""Make a woven network better: gradient steps until satisfied, and new rows as they come. ``netloom.refine`` is also the call itself.

Read until.py (when to stop), mirror.py (networks as one batch of tensors), losses.py and train.py (the steps), again.py and judge.py (held-out
folds), guarded.py (all of it).
"""

import sys
from types import ModuleType
from typing import Any

from netloom.refine.guarded import Refined, refine, refine_many
from netloom.refine.train import Recipe
from netloom.refine.until import NoImprovement, Score, Seconds, Steps, Until, parse_until

__all__ = ["NoImprovement", "Recipe", "Refined", "Score", "Seconds", "Steps", "Until", "parse_until", "refine", "refine_many"]


class _Callable(ModuleType):
    """So that ``netloom.refine(network, task)`` works whether or not the folder of the same name was imported before."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return refine(*args, **options)


sys.modules[__name__].__class__ = _Callable
