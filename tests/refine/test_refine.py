"""Refining: only what held-out folds like is kept, criteria end it, an interrupt keeps the best so far."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

import netloom
from netloom import Budget, Loom, TargetNetwork
from netloom.errors import ConfigError, DataError
from netloom.refine import NoImprovement, Recipe, Score, Seconds, Steps, refine, refine_many
from netloom.refine.again import rows_of, weave_again
from netloom.refine.judge import Judge

SHORT = Recipe(rates=(0.015,), cycle=4)
STILL = Recipe(rates=(0.015,), cycle=8, dropout=0.0)
BOLD = Recipe(rates=(0.05,), readout_rate=1.0, cycle=16)


@pytest.mark.parametrize(
    "kind, head", [("values", None), pytest.param("three classes", "svm", marks=pytest.mark.slow), ("two classes", "ridge")]
)
def test_what_comes_back_is_better_on_held_out_rows_or_the_same(woven, kind, head):
    network, task = woven(kind, head)
    done = refine_many([network], [task], Steps(12), recipe=SHORT, folds=2)[0]
    assert done.taken == 12 and done.curve[0][0] == 0 and done.steps_per_second > 0
    note = done.network.metrics["refined"]
    assert note["kept"] is done.kept and note["gain"] == pytest.approx(done.gain, rel=1e-3)
    if done.kept:
        assert done.gain > done.error and done.steps > 0 and "better by" in done.why
        assert done.network.provenance["version"] == 2
    else:
        assert done.network.weights is network.weights and "left as woven" in done.why
    lowest = min(done.curve, key=lambda point: point[1])
    assert done.steps == lowest[0]


@pytest.mark.parametrize("kind", ["values", "three classes"])
def test_the_refined_network_is_saved_and_loaded_without_loss(stiff, tmp_path, kind):
    network, task = stiff(kind)
    done = refine_many([network], [task], Steps(16), recipe=BOLD)[0]
    assert done.kept and done.steps > 0
    done.network.save(tmp_path / "m.netloom")
    np.testing.assert_array_equal(TargetNetwork.load(tmp_path / "m.netloom").predict(task.frame), done.network.predict(task.frame))
    assert not np.array_equal(done.network.decision_function(task.frame), network.decision_function(task.frame))
    if kind == "values":
        assert done.scores_after["rmse"] < done.scores_before["rmse"]
        assert done.network.weights.extra["interval_quantiles"].shape == (99, 1)
    else:
        assert done.network.metrics["log_loss"] < done.scores_before["log_loss"]


def test_an_interrupt_keeps_the_best_so_far(stiff):
    network, task = stiff("values")
    seen = []

    def interrupt(share, message):
        seen.append(message)
        if message.startswith("step") and len([m for m in seen if m.startswith("step")]) == 2:
            raise KeyboardInterrupt

    done = refine_many([network], [task], Steps(10_000), recipe=BOLD, folds=2, progress=interrupt)[0]
    assert done.kept and 0 < done.steps <= done.taken == 16 and "interrupted" in done.why
    assert any("/s, rmse" in message for message in seen)


def test_folds_are_woven_without_their_held_out_rows(woven):
    network, task = woven("values")
    judge = Judge.of(network, task, netloom.Loom.pretrained(), 3)
    assert sorted(np.concatenate([test for _, test in judge.folds])) == list(range(judge.tried.n))
    for (train, test), examples in zip(judge.folds, judge.examples(), strict=False):
        assert not set(train) & set(test) and len(examples.X) == len(train)
        seen = {row.tobytes() for row in examples.X}
        assert not any(row.tobytes() in seen for row in judge.tried.X[test])
    assert len(judge.networks) == 4 and judge.networks[-1] is network.weights


def test_rows_that_recur_are_judged_as_often_as_they_do(woven):
    network, task = woven("values")
    often = task.rows(np.repeat(np.arange(task.n), 1 + np.arange(task.n) % 2))
    once, twice = (Judge.of(network, given, netloom.Loom.pretrained(), 3) for given in (task, often))
    assert once.tried.n == once.rows.n == twice.rows.n == task.n and twice.tried.n == often.n
    for train, test in twice.folds:
        assert len({row.tobytes() for row in twice.tried.X[test]}) == len(test) and len(train) + len(test) == often.n


def test_a_harmful_recipe_is_refused(woven):
    network, task = woven("two classes", "logistic")
    done = refine_many([network], [task], Steps(16), recipe=Recipe(rates=(5.0,), readout_rate=5.0, cycle=8))[0]
    assert not done.kept and done.network.weights is network.weights


def test_many_tasks_in_one_batch_each_stop_on_their_own(woven):
    pairs = [woven("values"), woven("two classes"), woven("values", "gaussian")]
    done = refine_many([n for n, _ in pairs], [t for _, t in pairs], Steps(4), recipe=STILL, folds=2)
    assert [d.taken for d in done] == [4, 4, 4]
    assert [d.network.target_names for d in done] == [("y",)] * 3 and done[1].network.classes is not None
    alone = refine_many([pairs[0][0]], [pairs[0][1]], Steps(4), recipe=STILL, folds=2)[0]
    assert done[0].before == alone.before
    assert done[0].curve[-1][1] == pytest.approx(alone.curve[-1][1], rel=0.05)


def test_the_folds_choose_among_rates(stiff):
    network, task = stiff("values")
    done = refine_many([network], [task], Steps(8), recipe=Recipe(rates=(1e-6, 0.05), readout_rate=1.0, cycle=8))[0]
    assert done.kept and done.network.metrics["refined"]["rate"] == 0.05
    assert done.curve[-1][1] < 0.99 * done.curve[0][1]


@pytest.mark.parametrize(
    "until, taken",
    [(Steps(0), 0), (Score("rmse", 1e9), 0), (Score("rmse", 0.0) | Steps(9), 9), (Seconds(0), 0), (NoImprovement(0) | Steps(50), 0)],
    ids=str,
)
def test_criteria_end_it(woven, until, taken):
    network, task = woven("values")
    done = refine_many([network], [task], until, folds=2)[0]
    assert done.taken == taken
    if not taken:
        assert done.network.weights is network.weights and "before the first step" in done.why


def test_the_call_is_the_module(woven):
    network, task = woven("values")
    made = netloom.refine(network, task, until=Steps(0), folds=2)
    assert isinstance(made, TargetNetwork) and made.metrics["refined"]["kept"] is False
    importlib.import_module("netloom.refine.guarded")  # the folder of the same name
    assert netloom.refine(network, task, until=Steps(0), folds=2).weights is network.weights


def test_too_few_rows_to_judge_are_left_as_woven(task_of):
    task = task_of("values", 8, seed=0)
    done = refine_many([netloom.Loom.pretrained().weave(task)], [task], Steps(5))[0]
    assert not done.kept and "8 rows are too few to judge by" in done.why


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda n, t, o: refine(n, t, until=Score("accuracy", 0.9)), ConfigError, "a regression network has rmse and r2"),
        (lambda n, t, o: refine(n, t, until=200), ConfigError, "200: is no criterion"),
        (lambda n, t, o: refine(n, t, folds=1), ConfigError, "folds = 1"),
        (lambda n, t, o: refine_many([n], [t, t]), ConfigError, "1 networks but 2 tasks"),
        (lambda n, t, o: refine(n, o), DataError, "the network predicts numbers"),
        (lambda n, t, o: refine(n, t, recipe=Recipe(dropout=1.0)), ConfigError, "recipe dropout = 1.0"),
    ],
)
def test_mistakes_are_named(woven, call, error, message):
    network, task = woven("values")
    _, other = woven("two classes")
    with pytest.raises(error, match=message):
        call(network, task, other)


@pytest.mark.parametrize("kind", ["values", "two classes", "three classes"])
def test_a_network_of_one_pass_woven_again_on_its_own_rows_is_itself(task_of, kind):
    """Penalties are said in the units that families have, whatever those are in which they were searched."""
    task = task_of(kind, 90, seed=1)
    network = Loom.pretrained().weave(task, Budget(max_bytes=None))
    again = replace(network, weights=weave_again(network, rows_of(network, task), Loom.pretrained()))
    given, expected = (n.predict(task.frame) if kind == "values" else n.predict_proba(task.frame) for n in (again, network))
    np.testing.assert_allclose(given, expected, rtol=2e-3, atol=2e-3)
