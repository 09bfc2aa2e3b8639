"""netloom reads a labelled table and generates a small neural network for it.

Where to begin: `Task` (what is asked), `fit` (the whole job), `TargetNetwork` (what comes out), or the scikit-learn face,
`NetloomClassifier` and `NetloomRegressor`. Names are imported when first used: predicting with a woven network needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netloom.errors import NetloomError
    from netloom.estimators import NetloomClassifier, NetloomRegressor
    from netloom.loom import Loom
    from netloom.loom.fit import fit
    from netloom.refine.guarded import refine
    from netloom.refine.regenerate import update
    from netloom.target.budget import Budget
    from netloom.target.handle import NetworkHandle
    from netloom.target.network import TargetNetwork
    from netloom.tasks.task import Task

__version__ = "0.1.0"
__all__ = [
    "Budget",
    "Loom",
    "NetloomClassifier",
    "NetloomError",
    "NetloomRegressor",
    "NetworkHandle",
    "TargetNetwork",
    "Task",
    "__version__",
    "fit",
    "refine",
    "update",
]

_HOMES = {
    "Budget": "netloom.target.budget",
    "Loom": "netloom.loom",
    "NetloomClassifier": "netloom.estimators",
    "NetloomError": "netloom.errors",
    "NetloomRegressor": "netloom.estimators",
    "NetworkHandle": "netloom.target.handle",
    "TargetNetwork": "netloom.target.network",
    "Task": "netloom.tasks.task",
    "fit": "netloom.loom.fit",
    "refine": "netloom.refine",
    "update": "netloom.refine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netloom' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
