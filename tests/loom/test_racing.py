"""Families race through the folds: one that is behind beyond doubt is not made again, and would have had no weight anyway."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from netloom import Task, fit
from netloom.loom import compare as module
from netloom.loom.compare import Candidate, compare, weigh
from netloom.loom.families import FAMILIES
from netloom.loom.pool import LIGHTLY, weave_pool
from netloom.loom.rows import canonical_rows
from netloom.tasks import Schema

KINDS = pytest.mark.parametrize("kind, head", [("classification", "logistic"), ("regression", "gaussian")])
RACERS = {name: FAMILIES[name] for name in ("cells + rules", "linear", "random")}


def rows_of(task):
    return canonical_rows(Schema.learn(task.frame, named=task.named).encode(task.frame), task)


def bent(kind, n=500):
    """Nothing that a line sees."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc"))
    signal = np.abs(frame["a"]) + 0.05 * rng.normal(size=n)
    return Task.from_frame(frame, target=np.asarray(signal if kind == "regression" else signal > 0.7), kind=kind)


@KINDS
def test_what_is_far_behind_is_given_up_after_a_fold(loom, monkeypatch, kind, head):
    rows, made, told = rows_of(bent(kind)), [], []
    first = module.weave_pool

    def seen(loom, rows, *, parts, **options):
        made.append(parts)
        return first(loom, rows, parts=parts, **options)

    monkeypatch.setattr(module, "weave_pool", seen)
    raced = compare(loom, rows, RACERS, head, progress=lambda share, message: told.append((share, message)))
    assert "linear" not in [c.family for c in raced] and sum("linear" in message for _, message in told) == 1
    assert [share for share, _ in told] == sorted(share for share, _ in told) and told[-1][0] == 1
    everybody = compare(loom, rows, RACERS, head, doubt=np.inf)
    assert {c.family for c in everybody} == set(RACERS)
    members, others = weigh(raced, rows), weigh(everybody, rows)
    assert [c.family for c, _ in members] == [c.family for c, _ in others]
    assert [share for _, share in members] == pytest.approx([share for _, share in others])
    np.testing.assert_array_equal(raced[0].held_out, everybody[0].held_out)
    assert made[0] == {"cells", "rules", "values", "random"} and len(made) == 6


@KINDS
def test_parts_that_only_losers_read_are_not_made_again(loom, monkeypatch, kind, head):
    made = []
    first = module.weave_pool
    monkeypatch.setattr(module, "weave_pool", lambda *given, parts, **named: made.append(parts) or first(*given, parts=parts, **named))
    compare(loom, rows_of(bent(kind)), {"cells": ("cells",), "linear": ("values",)}, head)
    assert made == [{"cells", "values"}, {"cells"}, {"cells"}]


@KINDS
def test_nobody_is_given_up_where_there_is_nothing_to_learn(loom, kind, head):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("abc"))
    noise = rng.normal(size=200)
    rows = rows_of(Task.from_frame(frame, target=noise if kind == "regression" else noise > 0, kind=kind))
    assert {c.family for c in compare(loom, rows, RACERS, head)} == set(RACERS)


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("seed", range(5))
def test_behind_is_what_a_loop_over_rows_says(kind, seed):
    rng = np.random.default_rng(seed)
    task = bent(kind, n=120)
    rows = rows_of(Task.from_frame(task.frame, target=task.y, kind=kind, weight=rng.uniform(0.5, 2, task.n)))
    judged = np.sort(rng.permutation(rows.n)[:80])
    best = rng.gamma(2.0, 0.2, 80)
    candidates = {"first": Candidate("first", rows=best + 9), "ahead": Candidate("ahead", rows=best), "unsolved": Candidate("unsolved")}
    for i, shift in enumerate((0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.9)):
        candidates[f"by {i}"] = Candidate(f"by {i}", rows=best + rng.normal(shift, 0.3, 80))
    expected = []
    for name, candidate in candidates.items():
        if candidate.rows is None or name == "first":
            continue
        total = sum(rows.weight[j] for j in judged)
        gap = [float(r - b) for r, b in zip(candidate.rows, best, strict=True)]
        middle = sum(gap) / len(gap)
        error = (sum((g - middle) ** 2 for g in gap) / len(gap) / len(gap)) ** 0.5
        least = sum(g * rows.weight[j] for g, j in zip(gap, judged, strict=True)) / total - 3 * error
        if kind == "regression":
            lead = sum(b * rows.weight[j] for b, j in zip(best, judged, strict=True)) / total
            least = 0.5 * np.log((lead + max(least, 0)) / lead)
        if np.exp(-min(60, rows.n / 5) * least) < 0.03:  # the weight that `weigh` would give it beside the leader, at best
            expected.append(name)
    assert module._behind(candidates, rows, judged, 3.0) == expected
    assert 0 < len(expected) < 7


def test_why_says_how_many_were_given_up(monkeypatch):
    import netloom.loom.fit as fitting

    monkeypatch.setattr(fitting, "compare", partial(compare, doubt=0.5))
    assert "more were given up on the way" in fit(bent("regression"), families="no trees").architecture["why"]


def test_woven_lightly_has_the_same_neurons_at_a_tenth_of_their_scale(loom, make):
    rows = rows_of(make(n=80))
    pool = weave_pool(loom, rows, parts={"woven", "woven lightly"})
    alone = weave_pool(loom, rows, parts={"woven lightly"})
    cells = pool.weights.widths[0]
    np.testing.assert_array_equal(pool.parts["woven lightly"], pool.parts["woven"])
    np.testing.assert_array_equal(pool.priors["woven lightly"][:cells], pool.priors["woven"][:cells])
    np.testing.assert_allclose(pool.priors["woven lightly"][cells:], LIGHTLY * pool.priors["woven"][cells:])
    np.testing.assert_array_equal(alone.priors["woven lightly"], pool.priors["woven lightly"])
    np.testing.assert_array_equal(alone.weights.features(rows.X), pool.weights.features(rows.X))
