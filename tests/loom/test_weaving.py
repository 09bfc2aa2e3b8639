"""What must not change a network: order of rows, columns and classes, units, repeated rows instead of weights, the batch around a task."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netloom import Budget, Task
from netloom.errors import BudgetError, ConfigError, DataError, NotWovenError
from netloom.loom import Loom

FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = pytest.mark.parametrize("kind", ["classification", "regression"])


def answers(network, frame):
    """Chances by label, or values: in an order that does not depend on the network."""
    if network.classes is None:
        return network.predict(frame)
    return network.predict_proba(frame)[:, np.argsort(network.classes)]


@KINDS
@FEW
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_and_columns_does_not_matter(loom, make, kind, seed):
    task = make(kind, n=50)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(task.n), rng.permutation(task.frame.shape[1])
    moved = task.rows(rows)
    moved = Task.from_frame(moved.frame.iloc[:, columns], target=moved.y if kind == "regression" else task.classes[moved.y], kind=kind)
    a, b = loom.weave(task), loom.weave(moved)
    np.testing.assert_allclose(answers(a, task.frame), answers(b, task.frame), rtol=1e-3, atol=1e-3)


@FEW
@given(seed=st.integers(0, 10_000))
def test_the_names_of_classes_do_not_matter(loom, make, seed):
    task = make(n=60)
    names = np.random.default_rng(seed).permutation(["p", "q", "r"])
    renamed = Task.from_frame(task.frame, target=names[task.y])
    a, b = loom.weave(task).predict_proba(task.frame), loom.weave(renamed).predict_proba(task.frame)
    where = [list(renamed.classes).index(name) for name in names]
    np.testing.assert_allclose(a, b[:, where], rtol=1e-3, atol=1e-3)


@KINDS
@FEW
@given(factor=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3), column=st.integers(0, 4))
def test_the_unit_of_a_column_does_not_matter(loom, make, kind, factor, shift, column):
    task = make(kind, n=50)
    frame = task.frame.copy()
    frame.iloc[:, column] = frame.iloc[:, column] * factor + shift * factor
    other = Task.from_frame(frame, target=task.y if kind == "regression" else task.classes[task.y], kind=kind)
    np.testing.assert_allclose(answers(loom.weave(task), task.frame), answers(loom.weave(other), other.frame), rtol=5e-3, atol=5e-3)


@KINDS
@FEW
@given(seed=st.integers(0, 10_000))
def test_a_weight_of_two_is_a_row_that_occurs_twice(loom, make, kind, seed):
    task = make(kind, n=40)
    weight = np.random.default_rng(seed).integers(1, 4, task.n)
    labels = task.y if kind == "regression" else task.classes[task.y]
    weighted = Task.from_frame(task.frame, target=labels, kind=kind, weight=weight)
    repeated = Task.from_frame(task.frame.loc[np.repeat(np.arange(task.n), weight)], target=np.repeat(labels, weight, axis=0), kind=kind)
    first, second = answers(loom.weave(weighted), task.frame), answers(loom.weave(repeated), task.frame)
    np.testing.assert_allclose(first, second, rtol=1e-2, atol=1e-2)  # a sum in another order may round a weight's half precision up


def test_many_tasks_together_equal_each_alone(loom, make):
    tasks = [make(kind, n=n, d=d, seed=n) for kind, n, d in [("classification", 30, 3), ("regression", 55, 6), ("classification", 42, 4)]]
    budget = Budget(max_bytes=60_000)  # by default weave keeps room for a summary of the rows, weave_many does not
    for task, network in zip(tasks, loom.weave_many(tasks, budget), strict=True):
        np.testing.assert_allclose(answers(network, task.frame), answers(loom.weave(task, budget), task.frame), rtol=5e-3, atol=5e-3)


def test_groups_woven_on_two_threads_equal_those_on_one(loom, make, monkeypatch):
    from threading import Barrier, get_ident

    import torch

    import netloom.loom.single as single

    tasks = [make(kind, n=n, seed=n) for kind, n in [("classification", 20), ("regression", 60), ("classification", 150)]]  # three groups
    alone = loom.weave_many(tasks)
    both, on, first = Barrier(2, timeout=60), set(), single.weave_layers

    def weave_layers(*given, **named):
        if get_ident() not in on:
            on.add(get_ident())
            both.wait()  # passes only where two threads are here at once
        return first(*given, **named)

    monkeypatch.setattr(single, "weave_layers", weave_layers)
    torch.set_num_threads(2)
    try:
        together = loom.weave_many(tasks)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert len(on) == 2
    for task, one, two in zip(tasks, alone, together, strict=True):
        np.testing.assert_array_equal(answers(one, task.frame), answers(two, task.frame))


@pytest.mark.parametrize("kind, blocks", [("classification", 1), ("regression", 3)])
def test_how_many_blocks_are_woven_by_default(loom, make, kind, blocks):
    task = make(kind, n=80)
    network = loom.weave(task)
    assert len(network.weights.layers) == blocks and len(loom.weave(task, blocks=2).weights.layers) == 2
    np.testing.assert_array_equal(answers(network, task.frame), answers(loom.weave(task, blocks=blocks), task.frame))


@pytest.mark.parametrize("blocks", [0, -1])
def test_less_than_a_block_is_refused(loom, make, blocks):
    with pytest.raises(ConfigError, match=rf"^blocks = {blocks}: must be 1 or more, or None"):
        loom.weave_many([make()], blocks=blocks)


def test_tables_of_one_width_are_grouped_again_once_their_categories_are_columns(loom, monkeypatch):
    import netloom.loom.single as single

    together, first = [], single.weave_layers
    monkeypatch.setattr(
        single, "weave_layers", lambda loom, samples, **named: together.append(len(samples)) or first(loom, samples, **named)
    )
    monkeypatch.setattr(single, "TOGETHER", 2000)
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame({"word": rng.choice(list("abcdefghijklmnop")[:levels], 200), "x": rng.normal(size=200)}) for levels in (2, 16)]
    tasks = [Task.from_frame(frame, target=np.where(frame["x"] > 0, "above", "below")) for frame in frames]
    networks = loom.weave_many(tasks)
    assert together == [1, 1]  # 200 rows of 2 columns each, then 200 of 3 and 200 of 17
    for task, network in zip(tasks, networks, strict=True):
        assert (network.predict(task.frame) == task.classes[task.y]).mean() > 0.9


def test_weaving_sees_what_a_linear_model_cannot(loom, make):
    from sklearn.linear_model import LogisticRegression

    ahead = []
    for seed in range(0, 16, 2):
        task, fresh = make(n=200, classes=2, seed=seed), make(n=1000, classes=2, seed=seed + 1)
        right = (loom.weave(task).predict(fresh.frame) == fresh.classes[fresh.y]).mean()
        ahead.append(right - LogisticRegression().fit(task.frame, task.y).score(fresh.frame, fresh.y))
    assert np.mean(ahead) > 0.05


@pytest.mark.parametrize("budget", [Budget(max_parameters=2000), Budget(max_bytes=12_000)], ids=["parameters", "bytes"])
def test_a_budget_holds(loom, make, budget):
    network = loom.weave(make(n=120), budget)
    assert network.n_parameters <= (budget.max_parameters or np.inf)
    assert network.n_bytes <= (budget.max_bytes or np.inf)
    assert network.n_parameters < loom.weave(make(n=120)).n_parameters


def test_an_impossible_budget_says_how_much_is_needed(loom, make):
    with pytest.raises(BudgetError, match=r"max_parameters = 3: without neurons this network needs \d+; allow more"):
        loom.weave(make(), Budget(max_parameters=3))


def test_one_class_left_by_weights_is_refused(loom, make):
    task = make(classes=2)
    task = Task.from_frame(task.frame, target=task.classes[task.y], weight=(task.y == 0).astype(float))
    with pytest.raises(DataError, match="single class"):
        loom.weave(task)


def test_damaged_weights_are_refused(tmp_path, loom):
    import torch
    from safetensors.torch import save_file

    state = {name: value.clone() for name, value in loom.state_dict().items()}
    state["column0"][0] = torch.nan
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(NotWovenError, match="NaN"):
        Loom.from_file(tmp_path / "nan.safetensors")
    del state["column0"]
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(NotWovenError, match="not the weights of a loom"):
        Loom.from_file(tmp_path / "less.safetensors")
