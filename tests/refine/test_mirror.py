"""The torch mirror says what the numpy network says, takes any mix of shapes, and gives back what a file can hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from netloom.refine.mirror import Mirror, view_features
from netloom.refine.readout import targets_for
from netloom.refine.train import Examples, Recipe, coslog, steps

CASES = [("values", None), ("two classes", "logistic"), ("three classes", None)]


def pieces(woven, kind, head):
    network, task = woven(kind, head)
    X = network.schema.encode(task.frame)
    return network, task, X, view_features(network.weights, X)


def as_float32(weights):
    """The network without the target's own unit."""
    return replace(weights, centre=np.zeros_like(weights.centre), scale=np.ones_like(weights.scale))


@pytest.mark.parametrize("kind, head", CASES)
def test_the_mirror_and_what_comes_back_equal_the_network(woven, kind, head):
    network, _, X, features = pieces(woven, kind, head)
    mirror = Mirror([network.weights], [features])
    said = mirror(mirror.standardise(0, features)[None])[0].detach().numpy()
    np.testing.assert_allclose(said, as_float32(network.weights).forward(X), atol=2e-4)
    back = mirror.weights(0)
    np.testing.assert_allclose(back.forward(X), network.weights.forward(X), rtol=1e-5, atol=2e-5 * network.weights.scale.max())
    for old, new in zip(network.weights.layers, back.layers, strict=True):
        np.testing.assert_array_equal(new.weight, new.weight.astype(np.float16).astype(np.float32))
        np.testing.assert_allclose(new.weight, old.weight, rtol=1e-3)


def test_networks_of_other_shapes_share_a_batch_and_nothing_else(woven):
    small, _, X, features = pieces(woven, "values", None)
    large, _, _, others = pieces(woven, "values", "gaussian")
    alone = Mirror([small.weights], [features])
    both = Mirror([large.weights, small.weights], [others, features])
    S = torch.stack([both.standardise(0, others), both.standardise(1, features)])
    np.testing.assert_allclose(both(S)[1].detach(), alone(alone.standardise(0, features)[None])[0].detach(), atol=1e-5)
    (both(S)[0].square().sum()).backward()
    assert all(float(p.grad[1].abs().max()) == 0 for p in both.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind, head", CASES)
def test_steps_lower_the_training_loss_and_move_every_kind_of_weight(woven, kind, head):
    network, task, X, features = pieces(woven, kind, head)
    targets = task.y if network.classes is not None else targets_for(network, task.y).astype(np.float32)
    mirror = Mirror([network.weights], [features])
    head = network.architecture["head"]
    for step in steps(mirror, [Examples(X, targets, np.ones(len(X)))], head, Recipe(dropout=0.0, decay=0.0, cycle=16)):
        if step == 48:
            break
    made = mirror.weights(0)
    hot = targets_for(network, task.y)

    def loss(weights):
        said = as_float32(weights).forward(X)
        if network.classes is None:
            return np.square(said - hot).mean()
        if said.shape[1] == 1:
            return np.mean(np.logaddexp(0, said) - hot * said)
        return np.mean(np.log(np.exp(said).sum(axis=1)) - (hot * said).sum(axis=1))

    assert loss(made) < loss(network.weights)
    assert not np.array_equal(made.readout, network.weights.readout)
    for old, new in zip(network.weights.layers, made.layers, strict=True):
        assert not np.array_equal(old.weight, new.weight) and not np.array_equal(old.bias, new.bias)
        assert old.onto is None or not np.array_equal(old.onto, new.onto)


def test_rules_move_and_stay_sparse(woven):
    network, task = woven("values", "gaussian", families="cells + rules")
    X = network.schema.encode(task.frame)
    mirror = Mirror([network.weights], [view_features(network.weights, X)])
    np.testing.assert_allclose(mirror.weights(0).forward(X), network.weights.forward(X), rtol=1e-4, atol=2e-4 * network.weights.scale.max())
    for step in steps(mirror, [Examples(X, targets_for(network, task.y).astype(np.float32), np.ones(len(X)))], "gaussian", Recipe()):
        if step == 8:
            break
    (cuts, leaves), (new_cuts, new_leaves) = network.weights.layers[-2:], mirror.weights(0).layers[-2:]
    for old, new in ((cuts.weight, new_cuts.weight), (leaves.weight, new_leaves.weight), (leaves.onto, new_leaves.onto)):
        np.testing.assert_array_equal(new != 0, old != 0)
    assert not np.array_equal(cuts.weight, new_cuts.weight) and not np.array_equal(leaves.onto, new_leaves.onto)


def test_padding_never_moves(woven):
    network, task, X, features = pieces(woven, "values", None)
    other, _, _, others = pieces(woven, "values", "gaussian")
    mirror = Mirror([network.weights, other.weights], [features, others])
    examples = [Examples(X, targets_for(n, task.y).astype(np.float32), np.ones(len(X))) for n in (network, other)]
    for step in steps(mirror, examples, "gaussian", Recipe()):
        if step == 3:
            break
    for name in ("reading", "onto", "link", "bias", "readout"):
        dead = getattr(mirror, f"{name}_gain") == 0
        assert not (mirror.weight_of(name) * dead).any()


def test_the_same_seed_takes_the_same_steps(woven):
    network, task, X, features = pieces(woven, "two classes", "logistic")

    def run(seed):
        torch.manual_seed(np.random.default_rng().integers(1000))
        mirror = Mirror([network.weights], [features])
        for step in steps(mirror, [Examples(X, task.y, np.ones(len(X)))], "logistic", Recipe(seed=seed, batch=32)):
            if step == 5:
                return mirror.weights(0).readout

    np.testing.assert_array_equal(run(0), run(0))
    assert not np.array_equal(run(0), run(1))


def test_each_cycle_of_the_schedule_ends_low_and_is_twice_as_long():
    rates = np.array([coslog(step, 32) for step in range(480)])
    assert rates[[31, 95, 223, 479]].max() < 0.01 and rates.max() > 0.99
    assert [int(np.argmax(rates[a:b])) + a for a, b in ((0, 32), (32, 96), (96, 224))] == pytest.approx([13, 58, 148], abs=3)


def test_divergence_is_named(woven):
    network, _, _, features = pieces(woven, "values", None)
    mirror = Mirror([network.weights], [features])
    with torch.no_grad():
        mirror.readout[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="diverged"):
        mirror.weights(0)
