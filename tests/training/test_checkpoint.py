"""Checkpoints: what was written comes back, and what is damaged, full or of another shape is told in one line."""

import errno
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from netloom.errors import ConfigError, FileError
from netloom.loom import Loom
from netloom.loom.hypernetwork import Hypernetwork
from netloom.toolkit.adamw import AdamW
from netloom.training import checkpoint
from netloom.training.checkpoint import State, build_loom, load_run, save_run


@pytest.fixture
def run(tmp_path):
    """A loom after two steps of its optimiser, its average and its state, saved in tmp_path."""
    torch.manual_seed(0)
    loom = Hypernetwork(16, 2, 2, 2)
    optimizer = AdamW(list(loom.parameters()), (0.9, 0.98), 0.01)
    for _ in range(2):
        optimizer.step([2 * w.detach() for w in loom.parameters()], 1e-3)
    average = [w.detach() * 0.5 for w in loom.parameters()]
    state = State(step=2, seconds=1.5, tasks=9, validation={"loss": 0.5})
    save_run(tmp_path, loom, average, optimizer, state, {"lr": 1e-3})
    return tmp_path, loom, average, optimizer, state


def empty():
    loom = Hypernetwork(16, 2, 2, 2)
    return loom, [torch.zeros_like(w) for w in loom.parameters()], AdamW(list(loom.parameters()), (0.9, 0.98), 0.01)


def test_a_run_comes_back_whole(run):
    folder, loom, average, optimizer, state = run
    again, mean, moments = empty()
    assert load_run(folder, again, mean, moments) == state
    assert moments.steps == optimizer.steps == 2
    for i, ((name, w), other) in enumerate(zip(loom.named_parameters(), again.parameters(), strict=True)):
        assert torch.equal(w, other) and torch.equal(average[i], mean[i]), name
        assert torch.equal(optimizer.first[i], moments.first[i]) and torch.equal(optimizer.second[i], moments.second[i])


def test_the_averaged_weights_are_a_loom_of_the_product(run):
    folder, _, average, _, _ = run
    loom = Loom.from_file(folder / "loom.safetensors")
    assert all(torch.equal(w, mean) for w, mean in zip(loom.parameters(), average, strict=True))
    assert json.loads((folder / "run.json").read_text())["state"]["step"] == 2


def test_no_space_leaves_the_last_checkpoint_whole(run, monkeypatch):
    folder, loom, average, optimizer, state = run
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(tensors, path, metadata):
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(FileError, match="no space left; make room and start again; the last checkpoint is whole"):
        save_run(folder, loom, average, optimizer, state, {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "newer", "not a run", "other shape", "nan"])
def test_damaged_runs_are_refused(run, damage):
    folder, loom, average, optimizer, state = run
    path = folder / "run.safetensors"
    whole, tensors = path.read_bytes(), load_file(path)
    header = {"format": 1, "state": {"step": 1}, "settings": {}, "optimizer_steps": 1}
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage in ("empty", "text"):
        path.write_bytes(b"" if damage == "empty" else b"hello")
    elif damage == "newer":
        save_file(tensors, path, {"netloom": json.dumps(header | {"format": 99})})
    elif damage == "not a run":
        save_file(tensors, path)
    elif damage == "other shape":
        other = Hypernetwork(24, 2, 2)
        weights = [w.detach().clone() for w in other.parameters()]
        save_run(folder, other, weights, AdamW(weights, (0.9, 0.98), 0.01), state, {})
    else:
        tensors["loom/column0"][0] = float("nan")
        save_file(tensors, path, {"netloom": json.dumps(header)})
    with pytest.raises(FileError) as caught:
        load_run(folder, *empty())
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_init_takes_any_loom_and_refuses_another_shape(run, tmp_path):
    folder = run[0]
    loom = build_loom(str(folder / "loom.safetensors"), 0, 0, 0, 0)
    assert (loom.D, loom.H, loom.copies, loom.rounds) == (16, 2, 2, 2)
    with pytest.raises(ConfigError, match="width = 64: .* has 16"):
        build_loom(str(folder / "loom.safetensors"), 64, 0, 0, 0)
    with pytest.raises(ConfigError, match="rounds = 1: .* has 2"):
        build_loom(str(folder / "loom.safetensors"), 0, 0, 0, 1)
    with pytest.raises(FileError, match="not found"):
        build_loom(str(folder / "gone.safetensors"), 0, 0, 0, 0)
    save_file({"x": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(FileError, match="no weights of a loom"):
        build_loom(str(tmp_path / "other.safetensors"), 0, 0, 0, 0)
