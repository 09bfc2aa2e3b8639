"""Layers that are mostly zeros: links say and learn what matrices would, for any mixture of layers in a batch."""

import numpy as np
import pytest
import torch

from netloom.refine import layout
from netloom.refine.mirror import MOVED, Mirror, view_features
from netloom.refine.train import Examples, Recipe, steps
from netloom.target.weights import Layer, View, Weights, is_sparse

D, ROWS = 12, 80


def matrix(rng, rows, columns, each=0):
    """Random numbers; with ``each`` only so many in a column, the rest zeros."""
    made = rng.normal(size=(rows, columns))
    if each:
        made *= rng.random((rows, columns)).argsort(axis=0) < each
    return made.astype(np.float16).astype(np.float32)


def network(layers, seed, outputs=2):
    """A network of layers (width, inputs of the view, earlier layers, inputs of those), 0 inputs for all and None for none at all."""
    rng = np.random.default_rng(seed)
    view = View(np.arange(D), np.zeros(D), np.ones(D), np.zeros(0, dtype=int), np.zeros((0, 4)), cells=False)
    made = []
    for width, each, earlier, onto in layers:
        weight = np.zeros((D, width), np.float32) if each is None else matrix(rng, D, width, each)
        before = sum(made[e].width for e in earlier)
        made.append(Layer(0, weight, matrix(rng, 1, width)[0], earlier, matrix(rng, before, width, onto) if earlier else None))
    p = D + sum(layer.width for layer in made)
    readout, intercept = matrix(rng, p, outputs), matrix(rng, 1, outputs)[0]
    return Weights((view,), tuple(made), readout, intercept, np.zeros(outputs), np.ones(outputs))


CUTS, RULES = (60, 1, (), 0), (30, None, (0,), 3)
NETWORKS = {
    "cuts and rules": [CUTS, RULES],
    "dense ones before": [(7, 0, (), 0), (60, 1, (), 0), (30, None, (1,), 3), (5, 0, (0,), 0)],
    "rules of both": [(40, 0, (), 0), (60, 1, (), 0), (30, None, (0, 1), 3)],
    "rules of rules": [CUTS, RULES, (40, 1, (0, 1), 2)],
    "a dense layer reads cuts": [CUTS, (4, 0, (0,), 0), (30, None, (0,), 3)],
    "a dense layer reads rules": [CUTS, RULES, (4, 0, (1,), 0)],
    "few rules": [(3, 1, (), 0), (2, None, (0,), 2), (2, 0, (), 0)],
    "sparse, no rules": [(60, 1, (), 0)],
    "dense alone": [(9, 0, (), 0), (5, 0, (0,), 0)],
    "none": [],
}


def inputs(weights, seed=0, n=ROWS):
    X = np.random.default_rng(seed).normal(size=(n, D))
    return X, view_features(weights, X)


def taught(weights, X, count, dropout=0.0):
    """What a batch of networks is after some steps."""
    rng = np.random.default_rng(5)
    examples = [Examples(X, rng.normal(size=(len(X), 2)).astype(np.float32), np.ones(len(X))) for _ in weights]
    mirror = Mirror(weights, [view_features(w, X) for w in weights], [1.0 + b for b in range(len(weights))])
    for step in steps(mirror, examples, "gaussian", Recipe(dropout=dropout, batch=32)):
        if step == count:
            return [mirror.weights(b) for b in range(len(weights))]


@pytest.mark.parametrize("name", NETWORKS)
def test_links_say_what_the_network_says_and_give_it_back(name):
    weights = network(NETWORKS[name], seed=1)
    X, features = inputs(weights)
    mirror = Mirror([weights], [features])
    said = mirror(mirror.standardise(0, features)[None])[0].detach().numpy()
    expected = weights.forward(X)
    np.testing.assert_allclose(said, expected, atol=1e-5 * np.abs(expected).max())
    back = mirror.weights(0)
    for old, new in zip(weights.layers, back.layers, strict=True):
        np.testing.assert_allclose(new.weight, old.weight, rtol=1e-3)
        np.testing.assert_allclose(new.bias, old.bias, atol=1e-4)
        if old.onto is not None:
            np.testing.assert_allclose(new.onto, old.onto, rtol=1e-3)


@pytest.mark.parametrize("names", [[name] for name in NETWORKS if name != "none"] + [list(NETWORKS)])
def test_links_learn_what_matrices_learn(names, monkeypatch):
    """The reference: every layer as a dense matrix whose zeros stay."""
    weights = [network(NETWORKS[name], seed=b) for b, name in enumerate(names)]
    X, _ = inputs(weights[0])
    sparse = taught(weights, X, 6)
    monkeypatch.setattr(layout, "are_linked", lambda w: (False,) * len(w.layers))
    dense = taught(weights, X, 6)
    for before, one, other in zip(weights, sparse, dense, strict=True):
        np.testing.assert_allclose(one.forward(X), other.forward(X), rtol=1e-3, atol=1e-3 * np.abs(other.forward(X)).max())
        for old, a, b in zip(before.layers, one.layers, other.layers, strict=True):
            np.testing.assert_allclose(a.weight, b.weight, rtol=2e-3, atol=1e-4)
            np.testing.assert_allclose(a.bias, b.bias, rtol=1e-3, atol=1e-4)
            for was, now, same in ((old.weight, a.weight, b.weight), (old.onto, a.onto, b.onto)):
                if was is not None and is_sparse(was):
                    np.testing.assert_array_equal(now != 0, was != 0)
                    np.testing.assert_allclose(now, same, rtol=2e-3, atol=1e-4)
                    assert not was.any() or not np.array_equal(now, was), "it has learned"


def test_networks_of_a_batch_share_no_link():
    weights = [network(NETWORKS[name], seed=b) for b, name in enumerate(("cuts and rules", "rules of rules", "dense ones before"))]
    X, _ = inputs(weights[0])
    mirror = Mirror(weights, [view_features(w, X) for w in weights])
    S = torch.stack([mirror.standardise(b, view_features(w, X)) for b, w in enumerate(weights)])
    mirror(S)[1].square().sum().backward()
    for name in MOVED:
        gradient = getattr(mirror, name).grad
        assert not gradient[[0, 2]].any(), name
        assert name in ("reading", "onto") or bool(gradient[1].any()), name


@pytest.mark.parametrize(
    "name, linked",
    [
        ("cuts and rules", (True, True)),
        ("few rules", (True, True, False)),
        ("sparse, no rules", (True,)),
        ("dense ones before", (False, True, True, False)),
        ("a dense layer reads cuts", (False, False, True)),
        ("a dense layer reads rules", (False, False, False)),  # and so what these read
    ],
)
def test_what_a_dense_layer_reads_is_dense(name, linked):
    assert layout.are_linked(network(NETWORKS[name], seed=0)) == linked


@pytest.mark.parametrize("name, moves", [("cuts and rules", False), ("dense ones before", True), ("sparse, no rules", True)])
def test_dropout_leaves_cuts_and_rules_alone(name, moves):
    weights = [network(NETWORKS[name], seed=0)]
    X, features = inputs(weights[0])
    mirror = Mirror(weights, [features])
    S = mirror.standardise(0, features)[None]
    plain, dropped, again = (mirror(S, p, torch.Generator().manual_seed(0)).detach() for p in (0.0, 0.5, 0.5))
    torch.testing.assert_close(again, dropped, rtol=0, atol=0)
    assert torch.equal(plain, dropped) != moves


@pytest.mark.parametrize("name", ["dense ones before", "few rules", "sparse, no rules"])
def test_cuts_and_rules_move_slowly_and_nothing_else_does(name):
    weights = network(NETWORKS[name], seed=0)
    X, features = inputs(weights)
    mirror = Mirror([weights], [features])
    read = {e for layer in weights.layers if layer.is_rules for e in layer.earlier}
    for t, layer in enumerate(weights.layers):
        speed = layout.RIGID if layer.is_rules or t in read else 1.0
        mine = mirror.plans[0].slots[t]
        assert mirror.bias_gain[0, mine].numpy() == pytest.approx(speed)
        links = np.isin(mirror.links[0].target, mine)
        inputs_of = np.bincount(mirror.links[0].target[links], minlength=mirror.H)[mirror.links[0].target[links]]
        np.testing.assert_allclose(mirror.link_gain[0].numpy()[links], speed / np.sqrt(inputs_of), rtol=1e-6)
