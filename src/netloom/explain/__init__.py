"""How a network and its table behave: what needs labelled rows, where `netloom.target.explain` needs none.

Read findings.py (what a warning is), checks.py (a labelled table: ids, leaks), drift.py (a later table against the training one),
losses.py (scores on labelled rows, and what is lost when a column is shuffled).
"""

from netloom.explain.checks import check_task
from netloom.explain.drift import Drift, drift
from netloom.explain.findings import Finding
from netloom.explain.losses import Losses, has_target, losses

__all__ = ["Drift", "Finding", "Losses", "check_task", "drift", "has_target", "losses"]
