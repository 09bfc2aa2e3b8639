"""Neurons that a budget leaves: sizes by arithmetic equal those of the networks themselves."""

from dataclasses import replace

import numpy as np
import pytest

from netloom.target.budget import Budget
from netloom.target.prune import bytes_of, cost_of_neurons, importance, keep_neurons, keep_within
from netloom.target.weights import Layer, View, Weights


def network(widths=(5, 4, 6), d=3, outputs=2, seed=0):
    """Three layers, each reading the cells and all layers before it."""
    rng = np.random.default_rng(seed)
    view = View(np.arange(d), np.zeros(d), np.ones(d), np.arange(d - 1), np.zeros((d - 1, 4), np.float32))
    layers = []
    for t, H in enumerate(widths):
        onto = rng.normal(size=(sum(widths[:t]), H)) if t else None
        layers.append(Layer(0, rng.normal(size=(view.width, H)), rng.normal(size=H), tuple(range(t)), onto))
    readout = rng.normal(size=(view.width + sum(widths), outputs))
    return Weights((view,), tuple(layers), readout, np.zeros(outputs), np.zeros(outputs), np.ones(outputs))


@pytest.mark.parametrize("seed", range(3))
def test_as_few_neurons_are_dropped_as_the_budget_asks(seed):
    weights, rng = network(seed=seed), np.random.default_rng(seed)
    important = rng.normal(size=15)
    order, mean = np.argsort(important), np.zeros(len(weights.readout))
    for drop in range(16):
        kept = np.ones(15, dtype=bool)
        kept[order[:drop]] = False
        smaller = keep_neurons(weights, kept, mean)  # the slow truth: build it and count
        by_count = keep_within(weights, important, Budget(max_parameters=smaller.n_parameters, max_bytes=None), 0)
        by_bytes = keep_within(weights, important, Budget(max_bytes=bytes_of(smaller) + 100), 100)
        np.testing.assert_array_equal(by_count, kept)
        np.testing.assert_array_equal(by_bytes, kept)


def test_none_stays_where_nothing_helps():
    assert not keep_within(network(), np.arange(15.0), Budget(max_parameters=1), 0).any()


def test_a_neuron_that_only_others_read_is_important():
    weights = network()
    first = sum(v.width for v in weights.views)
    strength = np.zeros(len(weights.readout))
    strength[first + 9 :] = 1.0  # only the last layer is read
    found = importance(weights, strength, np.ones(len(weights.readout)))
    assert (found[:9] > 0).all() and (found[9:] == 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_neuron_costs_what_is_saved_without_it(seed):
    weights = network(seed=seed)
    weights = replace(weights, readout=weights.readout.astype(np.float16).astype(np.float32))
    cost = cost_of_neurons(weights)
    for i in range(15):
        kept = np.arange(15) != i
        assert bytes_of(weights) - bytes_of(keep_neurons(weights, kept, np.zeros(len(weights.readout)))) == cost[i]


def test_features_that_the_readout_does_not_read_take_nothing():
    weights = network(d=9)
    readout = weights.readout.astype(np.float16).astype(np.float32)
    whole = bytes_of(replace(weights, readout=readout))
    readout[20:60] = 0
    assert bytes_of(replace(weights, readout=readout)) < whole
    assert replace(weights, readout=readout).n_parameters == weights.n_parameters - 80
    assert bytes_of(replace(weights, readout=readout / 3)) > bytes_of(replace(weights, readout=readout))  # a third is no half number
