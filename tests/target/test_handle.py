"""A network replaced while it is read: readers see whole networks only, in order."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from netloom import Loom, NetworkHandle, TargetNetwork
from netloom.errors import FileError
from netloom.tasks import Task

WRITER = """
import sys, time
from dataclasses import replace
import numpy as np
from netloom import TargetNetwork

path, swaps = sys.argv[1], int(sys.argv[2])
network = TargetNetwork.load(path)
print("ready", flush=True)
sys.stdin.readline()
for version in range(2, swaps + 2):
    intercept = np.full_like(network.weights.intercept, version)
    weights = replace(network.weights, readout=np.zeros_like(network.weights.readout), intercept=intercept)
    made = replace(network, weights=weights, provenance=network.provenance | {"version": version, "padding": "x" * (version % 7 * 100)})
    made.save(path)
    time.sleep(0.002)
print("done", flush=True)
"""


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=40), "y": rng.normal(size=40)})
    made = Loom.pretrained().weave(Task.from_frame(frame, target="y"))
    weights = replace(made.weights, centre=np.zeros(1), scale=np.ones(1))
    return replace(made, weights=weights, provenance=made.provenance | {"version": 1})


@pytest.mark.parametrize("reads, swaps", [(1000, 20), pytest.param(10_000, 100, marks=pytest.mark.slow)])
def test_readers_never_see_half_a_network(network, tmp_path, reads, swaps):
    """Each version answers its own number, so an answer shows which network was whole; versions never go back."""
    path = tmp_path / "m.netloom"
    network.save(path)
    handle = NetworkHandle(path)
    first = float(network.predict_row([0.5]))
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(swaps)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "ready\n"
        writer.stdin.write("go\n")
        writer.stdin.flush()
        seen, done = [], 0
        while done < reads or writer.poll() is None:
            now = handle.network
            version = now.provenance["version"]
            assert now.predict_row([0.5]) == pytest.approx(first if version == 1 else version, abs=1e-5)
            assert now.provenance.get("padding", "") == "x" * (0 if version == 1 else version % 7 * 100)
            seen.append(version)
            done += 1
        assert writer.wait() == 0
    assert handle.error is None and done >= reads
    assert seen == sorted(seen) and len(set(seen)) > 2
    assert handle.version == swaps + 1


def test_a_handle_follows_its_file_and_keeps_the_last_good_network(network, tmp_path):
    path = tmp_path / "m.netloom"
    network.save(path)
    handle = NetworkHandle(path)
    before = handle.network
    assert handle.version == 1
    handle.swap(replace(network, provenance=network.provenance | {"version": 2}))
    assert handle.version == 2 and before.provenance["version"] == 1
    path.write_bytes(b"cut")
    assert handle.version == 2 and isinstance(handle.error, FileError)
    os.unlink(path)
    assert handle.version == 2
    handle.swap(replace(network, provenance=network.provenance | {"version": 3}))
    assert handle.version == 3 and handle.error is None
    assert handle.predict_row([0.1]) == TargetNetwork.load(path).predict_row([0.1])


def test_unchanged_files_are_read_once(network, tmp_path, monkeypatch):
    path = tmp_path / "m.netloom"
    network.save(path)
    os.utime(path, (1, 1))  # not new
    handle = NetworkHandle(path)
    monkeypatch.setattr(TargetNetwork, "load", lambda path: pytest.fail("read again"))
    assert handle.network is handle.network


def test_without_a_network_there_is_no_handle(tmp_path):
    with pytest.raises(FileError, match="no such file|cannot be read"):
        NetworkHandle(tmp_path / "none.netloom")
