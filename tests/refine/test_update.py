"""New rows: exact, judged on what nobody has learned, woven anew when the error says so; the memory survives its file."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from netloom.errors import ConfigError, DataError, FileError
from netloom.refine import Memory, task_for, update
from netloom.refine.memory import thinned
from netloom.refine.prequential import Prequential
from netloom.refine.prior import prior_scales
from netloom.refine.readout import RowSums, features_of, targets_for
from netloom.target.weights import read_rows
from netloom.tasks import Task

HEADS = [
    ("values", "gaussian"),
    ("three classes", "ridge"),
    ("two classes", "logistic"),
    ("three classes", "logistic"),
    ("two classes", "svm"),
]


def together(*tasks):
    """Rows of several tasks as one."""
    import pandas as pd

    frame = pd.concat([t.frame for t in tasks], ignore_index=True)
    return replace(tasks[0], frame=frame, y=np.concatenate([t.y for t in tasks]))


def solved(memory, network):
    """The readout on all rows of a memory, from the rows themselves."""
    A = memory.readout.rows(features_of(network.weights, memory.X))
    return memory.readout.solve(A=A, targets=targets_for(network, memory.y), weight=memory.weight)


@pytest.mark.parametrize("kind, head", HEADS)
def test_the_network_is_the_solution_on_the_rows_it_learned(woven, kind, head):
    network, task = woven(kind, head)
    memory = Memory.begin(network, task)
    again = memory.readout.weights(solved(memory, network), network.weights)
    X = memory.X
    np.testing.assert_allclose(again.forward(X), network.weights.forward(X), atol=1e-4 * max(1, network.weights.scale.max()))


@pytest.mark.parametrize("kind, head", HEADS)
def test_rows_in_parts_equal_all_rows_at_once(woven, task_of, kind, head):
    network, task = woven(kind, head)
    memory = Memory.begin(network, task)
    parts = [task_of(kind, n, seed) for n, seed in ((20, 5), (31, 6), (14, 7))]
    kept, now = memory, network
    for part in parts:
        done = update(now, part, kept, reweave="never")
        now, kept = done.network, done.memory
    once = update(network, together(*parts), memory, reweave="never").memory
    assert kept.rows == once.rows == task.n + 65
    theta, other = solved(kept, network), solved(once, network)
    A, targets = memory.readout.rows(features_of(network.weights, once.X)), targets_for(network, once.y)
    closed = head in ("gaussian", "ridge")
    said, at_once = (_without_common_shift(A @ t, head) for t in (theta, other))
    np.testing.assert_allclose(said, at_once, atol=1e-6 if closed else 2e-3)
    if closed:
        np.testing.assert_allclose(said, A @ _least_squares(memory.readout, A, targets), atol=1e-6)
    else:  # convex: where the slope is 0, nothing is lower
        assert _slope(memory.readout, A, targets, theta) < 1e-3 * _slope(memory.readout, A, targets, memory.readout.start)
    if kept.sums is not None:
        np.testing.assert_allclose(kept.sums.gram, RowSums.of(A, targets, once.weight).gram, rtol=1e-9, atol=1e-9)


def _without_common_shift(logits, head):
    return logits - logits.mean(1, keepdims=True) if head == "logistic" and logits.shape[1] > 1 else logits


def _least_squares(readout, A, targets):
    """The minimiser by an orthogonal factorisation: the prior as more rows."""
    hold = np.append(np.full(A.shape[1] - 1, readout.penalty), 0)[:, None]
    assert np.abs(readout.gradient[-1]).max() < 1e-4 * len(A)  # the intercept is free, and at its optimum
    goal = readout.start + np.divide(readout.gradient, hold, where=hold > 0, out=np.zeros_like(readout.gradient))
    rows = np.concatenate([A, np.sqrt(hold) * np.eye(len(hold))])
    return np.linalg.lstsq(rows, np.concatenate([targets, np.sqrt(hold) * goal]), rcond=None)[0]


def _slope(readout, A, targets, theta):
    """Length of the objective's gradient at theta, the objective written down once more and differentiated by torch."""
    t = torch.tensor(theta, requires_grad=True)
    T, outputs = torch.tensor(targets), torch.tensor(A) @ t
    if readout.head == "svm":
        loss = (1 - T * outputs).clamp(min=0).square().sum()
    elif outputs.shape[1] == 1:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(outputs, T, reduction="sum")
    else:
        loss = -(T * torch.log_softmax(outputs, 1)).sum()
    away = t - torch.tensor(readout.start)
    loss = loss + 0.5 * readout.penalty * away[:-1].square().sum() - (torch.tensor(readout.gradient) * away).sum()
    loss.backward()
    return float(t.grad.norm())


@pytest.mark.parametrize("kind, head", HEADS[:3])
def test_features_that_are_not_read_stay_unread(woven, task_of, kind, head):
    network, task = woven(kind, head)
    readout = network.weights.readout.copy()
    readout[5:9] = 0
    network = replace(network, weights=replace(network.weights, readout=readout))
    done = update(network, task_of(kind, 60, 5), Memory.begin(network, task), reweave="never")
    assert done.action == "added"
    now = read_rows(done.network.weights.readout)
    assert not now[5:9].any() and (now == read_rows(readout)).all()
    assert (done.network.weights.readout != readout).any()


def test_an_updated_network_says_nothing_of_what_the_old_one_imitated(woven, task_of):
    network, task = woven("values", "gaussian")
    assert "imitates" in network.architecture and "imitates" in network.summary()
    done = update(network, task_of("values", 60, 5), Memory.begin(network, task), reweave="always")
    assert done.action in ("added", "rewoven")
    assert "imitates" not in done.network.architecture and "imitates" not in done.network.summary()
    assert [layer["neurons"] for layer in done.network.architecture["layers"]] == [a.width for a in done.network.weights.layers]


def test_for_one_ridge_the_problem_is_that_ridge_on_all_rows(woven, task_of):
    """Rows added to a network of one family give what that family's ridge gives on all rows: the textbook formula."""
    network, task = woven("values", "ridge", families="cells")
    assert [m["weight"] for m in network.architecture["members"]] == [1.0]
    memory = Memory.begin(network, task)
    more = task_of("values", 40, 8)
    theta = solved(update(network, more, memory, reweave="never").memory, network)
    rows = together(task, more)
    F = features_of(network.weights, network.schema.encode(rows.frame))
    base = features_of(network.weights, network.schema.encode(task.frame))
    scaled = (F - base.mean(0)) / np.maximum(base.std(0), 0.02) / np.sqrt(F.shape[1])
    Y = (rows.y - network.weights.centre) / network.weights.scale
    Z, T = scaled - scaled.mean(0), Y - Y.mean(0)
    coef = np.linalg.solve(Z.T @ Z + network.architecture["members"][0]["penalty"] * np.eye(Z.shape[1]), Z.T @ T)
    said = memory.readout.rows(F) @ theta
    np.testing.assert_allclose(said, Z @ coef + Y.mean(0), atol=2e-4)


def test_more_rows_are_added_and_make_the_network_better(woven, task_of):
    network, task = woven("values")
    done = network.update(task_of("values", 300, 11), Memory.begin(network, task), reweave="never")
    test = task_of("values", 500, 12)
    assert done.action == "added" and done.version == 2 and done.gain > 0 and done.memory.pending == 0
    assert np.square(done.network.predict(test.frame) - test.y[:, 0]).mean() < np.square(network.predict(test.frame) - test.y[:, 0]).mean()
    assert done.network.provenance["rows"] == 390 and done.network.metrics["prequential"]["rows"] == 300
    assert all(a is b for a, b in zip(done.network.weights.layers, network.weights.layers, strict=True))
    assert not np.array_equal(done.network.weights.extra["interval_quantiles"], network.weights.extra["interval_quantiles"])


def test_rows_of_noise_leave_the_network_as_it_is(woven, task_of):
    network, task = woven("values")
    noise = task_of("values", 60, 11)
    rng = np.random.default_rng(0)
    done = update(network, replace(noise, y=50 * rng.standard_cauchy(noise.y.shape)), Memory.begin(network, task), reweave="never")
    if done.gain <= 0:
        assert done.network is network and done.action == "kept" and "version 1 stays" in done.why and done.memory.pending == 60
    assert (done.network is network) == (done.gain <= 0)


def test_few_rows_wait_until_they_say_enough(woven, task_of):
    network, task = woven("two classes")
    memory, now = Memory.begin(network, task), network
    for k, n in enumerate((5, 6, 30)):
        done = update(now, task_of("two classes", n, 20 + k), memory, reweave="never")
        now, memory = done.network, done.memory
        assert (done.action == "waiting") == (k < 2)
    assert memory.rows == task.n + 41 and memory.pending in (0, 41)


def test_a_changed_world_is_woven_anew(woven, task_of):
    network, task = woven("values", "gaussian")
    done = update(network, task_of("values", 240, 30, other=True), Memory.begin(network, task))
    assert done.broken and done.prequential > 2 * done.promised
    assert done.action == "rewoven" and done.network.provenance["rewoven"] == 1 and done.version == 2
    test = task_of("values", 300, 31, other=True)
    error = [np.square(n.predict(test.frame) - test.y[:, 0]).mean() / test.y.var() for n in (network, done.network)]
    assert error[1] < 0.3 * error[0]
    again = update(done.network, task_of("values", 60, 32, other=True), done.memory)  # the new memory fits the new network
    assert not again.broken and again.memory.rows == 390


def test_the_memory_survives_its_file(woven, task_of, tmp_path):
    for kind, head in HEADS[:3]:
        network, task = woven(kind, head)
        memory = update(network, task_of(kind, 20, 5), Memory.begin(network, task), reweave="never").memory
        memory.save(tmp_path / "m.memory")
        back = Memory.load(tmp_path / "m.memory")
        for name in ("features", "readouts", "pending", "rows", "woven", "dropped", "seen"):
            assert getattr(back, name) == getattr(memory, name)
        np.testing.assert_array_equal(back.X, memory.X)
        np.testing.assert_array_equal(solved(back, network), solved(memory, network))
        assert back.errors.mean == memory.errors.mean
        if memory.sums is not None:
            np.testing.assert_allclose(back.sums.gram, memory.sums.gram, rtol=1e-12)


def test_a_damaged_memory_is_one_line(woven, tmp_path):
    network, task = woven("values", "gaussian")
    Memory.begin(network, task).save(tmp_path / "m.memory")
    data = (tmp_path / "m.memory").read_bytes()
    network.save(tmp_path / "net.netloom")
    for name, content in (("cut", data[: len(data) // 2]), ("empty", b""), ("text", b"a,b\n1,2\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError) as error:
            Memory.load(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(FileError, match="not the memory of a network"):
        Memory.load(tmp_path / "net.netloom")


def test_kept_rows_are_bounded_and_keep_their_weight(woven, task_of, monkeypatch):
    network, task = woven("two classes")
    memory = Memory.begin(network, task)
    monkeypatch.setattr("netloom.refine.memory.ROWS", 60)
    less = thinned(memory)
    assert len(less.X) == 60 and less.dropped == task.n - 60 and less.weight.sum() == pytest.approx(memory.weight.sum())
    np.testing.assert_array_equal(less.X[-30:], memory.X[-30:])


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda n, m, t, o: update(n, t, m, reweave="maybe"), ConfigError, "reweave = 'maybe'"),
        (lambda n, m, t, o: update(n, m_rows(t), m), DataError, "added before"),
        (lambda n, m, t, o: update(o[0], t, m), DataError, "belongs to another network"),
        (lambda n, m, t, o: update(n, replace(t, classes=np.array(["no", "maybe"])), m), DataError, "the class 'maybe' is unknown"),
    ],
    ids=["option", "twice", "network", "class"],
)
def test_mistakes_are_named(woven, task_of, call, error, message):
    network, task = woven("two classes", "ridge")
    with pytest.raises(error, match=message):
        call(network, Memory.begin(network, task), task_of("two classes", 20, 5) if "before" not in message else task, woven("two classes"))


def m_rows(task):
    return task


def test_classes_come_in_any_order_and_not_all_of_them(woven, task_of):
    network, task = woven("three classes", "ridge")
    more = task_of("three classes", 40, 5)
    only = Task.from_arrays(more.frame.iloc[:20], np.where(np.arange(20) % 2, "middle", "high"), kind="classification")
    done = update(network, only, Memory.begin(network, task), reweave="never")
    assert set(done.memory.y[-20:].tolist()) == {network.classes.tolist().index("middle"), network.classes.tolist().index("high")}


def test_prequential_error_breaks_only_when_it_is_clearly_more_than_promised():
    rng = np.random.default_rng(0)
    fine = Prequential(0.3, 0.4, 200).add(0.3 + 0.4 * rng.normal(size=100))
    assert not fine.broken and fine.rows == 100
    assert fine.add(np.full(100, 0.9)).broken
    assert not Prequential(0.3, 0.4, 200).add(np.full(20, 0.9)).broken  # too few
    unknown = Prequential().add(np.full(40, 0.5))
    assert unknown.promised == 0.5 and not unknown.broken
    assert unknown.add(np.full(40, 0.9) + rng.normal(size=40) * 0.01).broken
    many = Prequential(0.3, 0.4, 200)
    for _ in range(10):
        many = many.add(rng.random(100), rng.random((100, 2)))
    assert len(many.losses) == 300 and many.residuals.shape == (300, 2) and many.rows == 1000


def test_a_feature_of_a_small_family_moves_little(woven):
    from netloom.loom.assemble import Member

    network, task = woven("values", "gaussian", families="cells")
    w = network.weights
    deviation = features_of(w, network.schema.encode(task.frame)).std(0)
    k = len(w.views[0].columns)
    one = prior_scales(w, [Member("cells", ("cells",), 0.5, 1.0)], deviation)
    np.testing.assert_allclose(one, 1 / np.maximum(deviation, 0.02) / np.sqrt(len(one)) / np.sqrt(0.5))
    both = prior_scales(w, [Member("linear", ("values",), 0.5, 0.96), Member("cells", ("cells",), 0.5, 0.04)], deviation)
    assert (both[:k] > one[:k]).all() and np.allclose(both[k:], 0.2 * one[k:])


def test_rules_are_told_from_the_cuts_that_they_are_made_of(woven):
    from netloom.loom.assemble import Member

    network, task = woven("values", "gaussian", families="cells + rules")
    w = network.weights
    deviation = features_of(w, network.schema.encode(task.frame)).std(0)
    scales = prior_scales(w, [Member("cells + rules", ("cells", "rules"), 0.5, 1.0)], deviation)
    cuts, leaves = w.layers[-2:]
    read = len(scales) - cuts.width  # features of the family: views that are not ranked, and the leaves
    read -= sum(v.width for v in w.views if v.knots is not None)
    np.testing.assert_allclose(scales[-leaves.width :], 1 / np.maximum(deviation[-leaves.width :], 0.02) / np.sqrt(read) / np.sqrt(0.5))
    assert (scales[-leaves.width - cuts.width : -leaves.width] == scales.min()).all()


def test_rows_for_a_network_may_be_one_of_one_class(woven, task_of):
    network, task = woven("three classes", "ridge")
    frame = task.frame.assign(y=network.classes[task.y])
    one = task_for(network, frame.iloc[[3]])
    assert one.n == 1 and one.y.tolist() == [task.y[3]]
    assert update(network, one, Memory.begin(network, task)).action == "waiting"
    some = task_for(network, frame.assign(y=frame["y"].where(frame.index > 4), w=2.0)[["w", "y", "c", "b", "a"]], weight="w")
    assert some.n == len(frame) - 5 and some.dropped == 5 and (some.weight == 2).all() and list(some.frame.columns) == ["c", "b", "a"]
    np.testing.assert_array_equal(some.y, task.y[5:])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda f: f.drop(columns="y"), "target 'y' is not a column of the table; it holds "),
        (lambda f: f.assign(y=None), "missing in all 90 rows"),
        (lambda f: f.assign(y="other"), "the class 'other' is unknown to the network, which has"),
        (lambda f: f.assign(y=[{"a": 1}] * len(f)), "column 'y' holds {'a': 1}, a dict; give each of its parts a column of its own"),
        (lambda f: f.assign(y=[["a"]] * len(f)), "column 'y' holds \\['a'\\], a list"),
    ],
)
def test_rows_without_a_known_target_are_named(woven, change, message):
    network, task = woven("three classes", "ridge")
    with pytest.raises(DataError, match=message):
        task_for(network, change(task.frame.assign(y=network.classes[task.y])))
