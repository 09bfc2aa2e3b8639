"""Heads that are solved, not generated: features (..., n, p) and targets (..., n, O) in, a readout out, gradients through the solution.

Read `readout`, `ridge`, then `implicit` (how `logistic` and `svm` get their gradients), `gaussian`.
"""

from netloom.toolkit.heads.gaussian import Gaussian, gaussian
from netloom.toolkit.heads.logistic import logistic
from netloom.toolkit.heads.readout import Readout
from netloom.toolkit.heads.ridge import ridge
from netloom.toolkit.heads.svm import svm

__all__ = ["HEADS", "Gaussian", "Readout", "gaussian", "logistic", "ridge", "svm"]

HEADS = {"ridge": ridge, "logistic": logistic, "svm": svm, "gaussian": gaussian}
