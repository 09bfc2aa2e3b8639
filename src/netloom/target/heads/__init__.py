"""What turns features into outputs; each head is a module with the same two functions, read in this order.

`path` (what a head returns), `ridge` (solved), `logistic` (Newton).

    fit_path(F, Y, penalties, weight=None, start=None) -> Path(coef (L, p, O), intercept (L, O))
    leave_one_out(F, Y, path, penalties, weight=None) -> held-out outputs (L, n, O)
"""

from types import ModuleType

from netloom.target.heads import logistic, ridge
from netloom.target.heads.path import Path, outputs_of

__all__ = ["HEADS", "Path", "outputs_of"]

HEADS: dict[str, ModuleType] = {"ridge": ridge, "logistic": logistic}
