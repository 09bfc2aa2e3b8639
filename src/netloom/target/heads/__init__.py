"""What turns features into outputs; each head is a module with the same three functions.

Read `path` (what a head returns), `ridge` (solved), `gaussian` (ridge that knows how sure it is), then `design` (features as products) and
`newton` (a convex loss for all penalties at once), which `logistic` and `svm` are made of.

    fit_path(F, Y, penalties, weight=None, start=None) -> Path(coef (L, p, O), intercept (L, O))
    walk(F, Y, penalties, weight=None) -> the same path penalty by penalty, from the largest down, each solved when it is asked for
    leave_one_out(F, Y, path, penalties, weight=None) -> held-out outputs (L, n, O)
"""

from types import ModuleType

from netloom.target.heads import gaussian, logistic, ridge, svm
from netloom.target.heads.path import Path, outputs_of

__all__ = ["HEADS", "Path", "outputs_of"]

HEADS: dict[str, ModuleType] = {"ridge": ridge, "logistic": logistic, "svm": svm, "gaussian": gaussian}
