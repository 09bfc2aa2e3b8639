"""Sparse layers in a file: whole again after loading, and refused in one line where their places make no sense."""

import numpy as np
import pytest

from netloom.errors import FileError
from netloom.target import file, store
from netloom.target.network import TargetNetwork
from netloom.target.weights import Layer, is_sparse


@pytest.fixture
def path(make_network, tmp_path):
    """A network whose first layer reads one feature per neuron."""
    network, _ = make_network(neurons=40)
    layers = list(network.weights.layers)
    weight = np.zeros_like(layers[0].weight)
    weight[np.arange(40) % len(weight), np.arange(40)] = np.float16(0.3)
    layers[0] = Layer(layers[0].view, weight, layers[0].bias, layers[0].earlier, layers[0].onto)
    assert is_sparse(weight)
    object.__setattr__(network.weights, "layers", tuple(layers))
    network.save(tmp_path / "m.netloom")
    return tmp_path / "m.netloom"


def test_a_sparse_layer_is_whole_again(path):
    tensors, _ = file.read(path)
    assert tensors["layer0.weight"].shape == tensors["layer0.weight.at"].shape == (40,)
    weight = TargetNetwork.load(path).weights.layers[0].weight
    assert np.count_nonzero(weight) == 40 and weight[3, 3] == np.float16(0.3)


def out_of_range(tensors, header):
    tensors["layer0.weight.at"][-1] = 2**30


def twice(tensors, header):
    tensors["layer0.weight.at"][1] = tensors["layer0.weight.at"][0]


def negative(tensors, header):
    tensors["layer0.weight.at"][0] = -5


def too_few(tensors, header):
    tensors["layer0.weight.at"] = tensors["layer0.weight.at"][:-1]


def a_matrix(tensors, header):
    tensors["layer0.weight.at"] = tensors["layer0.weight.at"].reshape(2, 20)


def other_inputs(tensors, header):
    header["layers"][0]["inputs"] = 10**9


def no_inputs(tensors, header):
    del header["layers"][0]["inputs"]


@pytest.mark.parametrize("forge", [out_of_range, twice, negative, too_few, a_matrix, other_inputs, no_inputs])
def test_forged_places_are_refused_in_one_line(path, forge):
    tensors, header = file.read(path)
    forge(tensors, header)
    file.write(path, tensors, header)
    with pytest.raises(FileError) as caught:
        TargetNetwork.load(path)
    assert "\n" not in str(caught.value) and "damaged or forged" in str(caught.value)


def test_a_small_file_cannot_ask_for_a_huge_matrix(path, monkeypatch):
    monkeypatch.setattr(store, "LARGEST_SPARSE", 100)
    with pytest.raises(FileError, match="would hold"):
        TargetNetwork.load(path)
