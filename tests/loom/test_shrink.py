"""A smaller network that says the same: by the definition, where it is known what can go, and within budgets."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from netloom import Budget, fit
from netloom.loom.assemble import Member, features_of, merge, readout_of, solved_alone
from netloom.loom.compare import moments
from netloom.loom.families import FAMILIES
from netloom.loom.pool import weave_pool
from netloom.loom.rows import canonical_rows
from netloom.loom.shrink import HELD, LEAST_ROWS, QUICK_LEAST, SAME, Large, _imitate, shrink
from netloom.target.calibration import log_chances
from netloom.target.prune import bytes_of, keep_neurons, preparation_bytes, tidy
from netloom.target.weights import read_rows
from netloom.tasks import Schema, Task

KINDS = pytest.mark.parametrize("kind", ["classification", "regression"])


@pytest.fixture(scope="module")
def large(loom, make):
    """By kind: a network of all cells, random neurons and rules, and the rows it has learned."""

    def made(kind, n=150):
        task = make(kind, n=n)
        rows = canonical_rows(Schema.learn(task.frame).encode(task.frame), task)
        member = Member("cells + random + rules", FAMILIES["cells + random + rules"], 0.1, 1.0)
        pool = weave_pool(loom, rows, parts=set(member.parts))
        blocks = features_of(pool.weights, rows)
        head = "logistic" if kind == "classification" else "gaussian"
        alone = readout_of(pool, rows, member, head, blocks, *moments(blocks, rows.weight))
        return merge(pool, [member], [alone]), rows

    return made


@KINDS
def test_what_is_left_says_the_same(large, kind):
    weights, rows = large(kind)
    small, apart = shrink(weights, rows, lambda _: True, chances=kind == "classification")
    assert apart <= 1.1 * SAME
    assert bytes_of(small) < 0.9 * bytes_of(tidy(weights))
    fresh = rows.X[:-1] / 2 + rows.X[1:] / 2  # rows that were not imitated
    np.testing.assert_allclose(small.forward(fresh), weights.forward(fresh), atol=0.15 * weights.forward(fresh).std())


def test_only_quick_leaves_what_fits_as_it_is(large, monkeypatch):
    weights, rows = large("classification")
    imitated = []
    monkeypatch.setattr(Large, "of", classmethod(lambda cls, *args, of=Large.of: imitated.append(len((made := of(*args))[0].X)) or made))
    quick, apart = shrink(weights, rows, lambda _: True, chances=True, quick=True)
    assert apart == 0 and not imitated
    np.testing.assert_array_equal(quick.readout, tidy(weights).readout)
    shrink(weights, rows, lambda _: True, chances=True, same=0.0)
    assert imitated == [LEAST_ROWS]
    half = bytes_of(tidy(weights)) // 2
    small, _ = shrink(weights, rows, lambda w: bytes_of(w) <= half, chances=True, quick=True)
    assert imitated == [LEAST_ROWS, QUICK_LEAST] and bytes_of(small) <= half


@KINDS
def test_how_far_apart_is_the_definition(large, kind):
    weights, rows = large(kind, n=60)
    chances = kind == "classification"
    imitated, _ = Large.of(weights, rows, chances)
    other = replace(weights, readout=0.9 * weights.readout)
    said, heard = (w.features(imitated.X).astype(np.float64) @ w.readout + w.intercept for w in (weights, other))
    expected = 0.0
    for one, two, share in zip(said, heard, imitated.share, strict=True):
        if chances:
            p, q = (np.exp(v) / np.exp(v).sum() for v in (one, two))
            expected += share * sum(a * (np.log(a) - np.log(b)) for a, b in zip(p, q, strict=True))
        else:
            expected += share * np.mean((one - two) ** 2)
    assert imitated.apart(other) == pytest.approx(expected, rel=1e-6)
    assert imitated.apart(weights) == 0


def test_made_up_rows_are_two_rows_and_half_the_weight(large):
    weights, rows = large("regression", n=60)
    imitated, _ = Large.of(weights, rows, chances=False)
    assert len(imitated.X) == 2000 and imitated.share[:60].sum() == pytest.approx(0.5)
    np.testing.assert_array_equal(imitated.X[:60], rows.X)
    made = imitated.X[60:].copy()
    many = [j for j in range(rows.X.shape[1]) if len(np.unique(rows.X[:, j])) > 2]
    assert 0 < len(many) < rows.X.shape[1]
    mean = np.average(rows.X, axis=0, weights=rows.weight)[many]
    made[::3, many] = (made[::3, many] + mean) / 2  # every third lies twice as far out
    nearest = np.abs(made[:, None] - rows.X).min(axis=1)
    np.testing.assert_allclose(nearest, 0, atol=1e-9)
    most = np.isclose(made[:, None], rows.X, atol=1e-9).sum(axis=2).max(axis=1)  # columns in common with the nearest real row
    assert 0.3 < (most == rows.X.shape[1]).mean() < 0.9 and most.mean() > 0.85 * rows.X.shape[1]


@pytest.mark.parametrize(("n", "real", "whole"), [(60, 60, 2000), (2000, 2000, 2000), (2001, 2001, 4002), (9000, 4000, 8000)])
def test_with_many_rows_as_many_are_made_up(large, n, real, whole):
    weights, rows = large("regression", n=60)
    imitated, _ = Large.of(weights, rows.take(np.arange(n) % rows.n), chances=False)
    assert len(imitated.X) == whole
    assert imitated.share[:real].sum() == pytest.approx(0.5 if whole > real else 1) and imitated.share.sum() == pytest.approx(1)


def test_new_rows_of_many_words_are_answered_alike(loom):
    """Real rows alone can be answered alike by features that answer others ten times as far from the large network."""
    rng = np.random.default_rng(0)

    def drawn(n):
        return pd.DataFrame({name: rng.choice(list("pqrs"), n) for name in "abcdefgh"})

    frame = drawn(2500)
    no = (frame.a == "p") | (frame.b == "q") & (frame.c != "r")
    yes = (frame.d == "p") & (frame.e != "q") | (frame.g == "s") & (frame.h == "p")
    task = Task.from_frame(frame, target=np.where(no, "no", np.where(yes, "yes", "maybe")))
    schema = Schema.learn(task.frame)
    rows = canonical_rows(schema.encode(task.frame), task)
    member = Member("woven + random + boosted", FAMILIES["woven + random + boosted"], 0.01, 1.0)
    pool = weave_pool(loom, rows, parts=set(member.parts))
    weights = merge(pool, [member], solved_alone(pool, rows, [member], "logistic"))
    small, _ = shrink(weights, rows, lambda _: True, chances=True)
    fresh = schema.encode(drawn(2000))
    said, heard = (log_chances(w.forward(fresh)) for w in (weights, small))
    assert (np.exp(said) * (said - heard)).sum(axis=1).mean() < 3 * SAME


def test_columns_of_a_wide_table_do_not_stand_in_for_neurons(loom):
    """As many columns as rows that are imitated say anything of these rows: moved, they were .73 nats from the large network on others."""
    rng = np.random.default_rng(0)

    def drawn(n):
        return (rng.random((n, 2000)) < 0.3).astype(float)

    X = drawn(150)
    task = Task.from_arrays(X, np.where(X[:, 0] > 0, "no", np.where(X[:, 1] + X[:, 2] > 0, "yes", "maybe")))
    schema = Schema.learn(task.frame)
    rows = canonical_rows(schema.encode(task.frame), task)
    member = Member("cells + random + rules", FAMILIES["cells + random + rules"], 0.01, 1.0)
    pool = weave_pool(loom, rows, parts=set(member.parts))
    weights = merge(pool, [member], solved_alone(pool, rows, [member], "logistic"))
    room = preparation_bytes(weights) + 10_000
    small, _ = shrink(weights, rows, lambda smaller: bytes_of(smaller) <= room, chances=True)
    assert bytes_of(small) <= room
    fresh = schema.encode(pd.DataFrame(drawn(1000), columns=task.frame.columns))
    said, heard = (log_chances(w.forward(fresh)) for w in (weights, small))
    assert (np.exp(said) * (said - heard)).sum(axis=1).mean() < 0.2


@pytest.mark.parametrize("n", [60, 2500], ids=["fewer rows than features", "more"])
def test_what_a_feature_moves_is_what_its_loss_costs(large, n):
    """Without feature j, the penalised error of the best imitation grows by its weight squared over [H^-1]_jj: solved twice, in numpy."""
    weights, rows = large("regression", n=n)
    imitated, _ = Large.of(weights, rows, chances=False)
    solved, apart, told = _imitate(tidy(weights), imitated, tidy(weights).features(imitated.X), torch.float64)
    _, moves = told()
    assert apart == pytest.approx(imitated.apart(solved), rel=1e-9)
    F = solved.features(imitated.X).astype(np.float64)
    deviation = np.sqrt(imitated.heed @ np.square(F) - np.square(imitated.heed @ F))
    read = np.flatnonzero(read_rows(solved.readout))
    scale = np.maximum(deviation[read], 2e-2)
    A = (F[:, read] - imitated.heed @ F[:, read]) / scale * np.sqrt(imitated.heed)[:, None]
    H = A.T @ A + HELD * np.eye(len(read))
    for j in (0, 3, 30):  # of the views: what they move is not passed on by later neurons
        weight = solved.readout[read[j]] * scale[j]
        others = np.delete(np.arange(len(read)), j)
        # dropping j moves the others by -H_oo^-1 H_oj w_j; what remains of the quadratic form is its Schur complement
        left = H[j, j] - H[j, others] @ np.linalg.solve(H[np.ix_(others, others)], H[others, j])
        assert moves[read[j]] ** 2 == pytest.approx(left * float(weight @ weight), rel=1e-3)


@KINDS
@pytest.mark.parametrize("share", [0.5, 0.25])
def test_a_budget_is_kept_and_imitation_beats_cutting(large, kind, share):
    weights, rows = large(kind)
    chances = kind == "classification"
    limit = share * bytes_of(tidy(weights))
    small, apart = shrink(weights, rows, lambda w: bytes_of(w) <= limit, chances=chances)
    assert bytes_of(small) <= limit
    first, mean = sum(v.width for v in weights.views), weights.features(rows.X).mean(axis=0)
    strength = np.linalg.norm(weights.readout[first:], axis=1)
    for drop in range(0, len(strength) + 1, 10):
        kept = np.argsort(np.argsort(strength)) >= drop
        cut = tidy(keep_neurons(weights, kept, mean))
        if bytes_of(cut) <= limit:
            break
    assert apart < 0.5 * Large.of(weights, rows, chances)[0].apart(cut)


def test_a_linear_model_always_stays(large):
    weights, rows = large("regression")
    small, _ = shrink(weights, rows, lambda _: False, chances=False)
    assert not small.layers and len(small.views) == 1 and not small.views[0].cells
    assert read_rows(small.readout).all() and len(small.readout) == rows.X.shape[1]


@KINDS
def test_a_network_says_what_it_imitates(make, kind):
    network = fit(make(kind, n=60), budget=Budget(max_bytes=30_000))
    imitated = network.architecture["imitates"]
    assert imitated["bytes"] > network.n_bytes and 0 <= imitated["apart"] < 0.05
    assert f"imitates   their average, {imitated['bytes'] / 1000:.0f} kB" in network.summary()
