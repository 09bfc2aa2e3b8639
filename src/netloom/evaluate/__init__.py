"""How good a network is, and how good others are on the same rows.

Read in this order: scores.py (what is measured), splits.py (on which rows), baselines.py (the others), holdout.py (one table),
suite.py (many tables), summary.py and plots.py (what they say).
"""

from netloom.evaluate.baselines import BASELINES, fit_baseline
from netloom.evaluate.holdout import Report, compare
from netloom.evaluate.scores import score, standard_errors

__all__ = ["BASELINES", "Report", "compare", "fit_baseline", "score", "standard_errors"]
