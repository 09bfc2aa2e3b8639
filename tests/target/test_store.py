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


@pytest.fixture
def gaps(make_network, tmp_path):
    """A network whose readout reads nine of its features, in numbers that half precision holds."""
    network, _ = make_network(neurons=40)
    readout = np.zeros_like(network.weights.readout)
    readout[3:30:3] = np.float16(0.3)
    object.__setattr__(network.weights, "readout", readout)
    network.save(tmp_path / "m.netloom")
    return tmp_path / "m.netloom", readout


def test_a_readout_with_gaps_is_whole_again(gaps):
    path, readout = gaps
    tensors, _ = file.read(path)
    assert tensors["readout"].dtype == np.float16 and tensors["readout"].shape == (9, readout.shape[1])
    np.testing.assert_array_equal(TargetNetwork.load(path).weights.readout, readout)


def test_a_readout_that_halves_do_not_hold_is_kept_in_single_precision(make_network, tmp_path):
    network, _ = make_network(neurons=40)
    network.save(tmp_path / "m.netloom")
    assert file.read(tmp_path / "m.netloom")[0]["readout"].dtype == np.float32
    np.testing.assert_array_equal(TargetNetwork.load(tmp_path / "m.netloom").weights.readout, network.weights.readout)


@pytest.mark.parametrize(
    "places",
    [lambda at: at[:-1], lambda at: at[::-1].copy(), lambda at: at - 4, lambda at: at + 10**6, lambda at: at.reshape(3, 3)],
    ids=["too few", "out of order", "negative", "beyond", "a matrix"],
)
def test_a_readout_of_features_out_of_place_is_refused(gaps, tmp_path, places):
    path, _ = gaps
    tensors, header = file.read(path)
    tensors["readout.at"] = places(tensors["readout.at"])
    file.write(tmp_path / "forged.netloom", tensors, header)
    with pytest.raises(FileError, match="readout .*damaged or forged"):
        TargetNetwork.load(tmp_path / "forged.netloom")
