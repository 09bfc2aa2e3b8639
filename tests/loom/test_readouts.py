"""Readouts of woven networks: solved together or alone they are the same, in whatever company."""

from dataclasses import dataclass

import numpy as np
import pytest

from netloom.loom import readouts as module
from netloom.loom.families import Selection
from netloom.loom.readouts import readouts
from netloom.loom.rows import Rows, canonical_rows
from netloom.tasks import Schema


@dataclass(frozen=True)
class Asked:
    rows: Rows
    head: str
    blocks: list
    chosen: Selection


def question(task, seed=0):
    """Random features of a task's rows, scaled as a loom might."""
    rng = np.random.default_rng(seed)
    rows = canonical_rows(Schema.learn(task.frame).encode(task.frame), task)
    features = np.tanh(rows.X @ rng.normal(size=(rows.X.shape[1], 40))).astype(np.float32)
    mean = rows.weight @ features / rows.weight.sum()
    chosen = Selection(np.arange(40), mean, rng.uniform(0.2, 0.6, 40))
    return Asked(rows, "gaussian" if rows.codes is None else "logistic", [features], chosen)


def test_together_equals_alone_in_any_company(make, monkeypatch):
    kinds = [("regression", 3, 40), ("classification", 3, 60), ("classification", 2, 33), ("classification", 3, 45), ("regression", 3, 70)]
    asked = [question(make(kind, n=n, classes=classes, seed=n)) for kind, classes, n in kinds]
    together = readouts(asked)
    monkeypatch.setattr(module, "SMALL", 0)
    for q, mine, alone in zip(asked, together, readouts(asked), strict=True):
        scaled = q.chosen.of(q.blocks[0].astype(np.float64))
        assert mine.penalty == alone.penalty
        np.testing.assert_allclose(scaled @ mine.coef + mine.intercept, scaled @ alone.coef + alone.intercept, rtol=1e-2, atol=1e-2)
        np.testing.assert_allclose(mine.left_out, alone.left_out, rtol=2e-2, atol=3e-2)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_cutting_a_group_changes_nothing(make, kind, monkeypatch):
    asked = [question(make(kind, n=n, seed=n)) for n in (30, 31, 50)]
    whole = readouts(asked)
    monkeypatch.setattr(module, "AT_ONCE", 1)
    for a, b in zip(whole, readouts(asked), strict=True):
        assert a.penalty == b.penalty
        np.testing.assert_allclose(a.coef, b.coef, rtol=1e-4, atol=1e-4)
