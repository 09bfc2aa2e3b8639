"""What is written again and again - a refined network, an updated pair of files, a training checkpoint - on a disk that fails, by a
process that is killed: the old state or the new one is there, whole, and nothing that was finished is lost."""

import errno
import itertools
import os
import random
import signal
import time

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from netloom import TargetNetwork, Task
from netloom.cli import app
from netloom.errors import FileError
from netloom.loom.hypernetwork import Hypernetwork
from netloom.refine import Memory
from netloom.refine.files import memory_path, update_file
from netloom.toolkit.adamw import AdamW
from netloom.training.checkpoint import State, load_run, save_run

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
KILLS = [15, pytest.param(1000, marks=pytest.mark.slow)]
PATIENCE = 40  # times as many kills until one of the few has met the middle of a write
BATCH, LEARNED = 4, 40  # rows of an update; rows learned before


def fail_at(patch, call, at, code=errno.ENOSPC):
    """The ``at``-th call of os.fsync or os.replace, and every later one, fails."""
    given, count = getattr(os, call), itertools.count(1)

    def failing(*args, **options):
        if next(count) >= at:
            raise OSError(code, os.strerror(code))
        return given(*args, **options)

    patch.setattr(os, call, failing)


def kill_at_random(work, wait, rng):
    """Fork a process that does ``work(0)``, ``work(1)``, ...; kill -9 it at a random moment after the first; how many it had finished."""
    done, tell = os.pipe()
    child = os.fork()
    if child == 0:  # nothing but the work: no pytest in here
        try:
            os.close(done)
            for i in itertools.count():
                work(i)
                os.write(tell, b".")
        finally:
            os._exit(1)
    os.close(tell)
    os.read(done, 1)  # on a busy machine a child may not have begun for long
    time.sleep(rng.uniform(0, wait))
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])  # it had not failed by itself
    finished = 1
    while part := os.read(done, 4096):
        finished += len(part)
    os.close(done)
    return finished


# ------------------------------------------------------------------------------------------ refine


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_network_that_was_refined(place, monkeypatch, call):
    before = (place / "good.netloom").read_bytes()
    (place / "old.netloom").write_bytes(before)
    words = "refine good.netloom new.csv --until steps=1 --folds 2 --out old.netloom --quiet"
    with monkeypatch.context() as patch:
        fail_at(patch, call, 1)
        result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 4 and result.stderr.startswith("netloom: old.netloom: no space left"), result.output
    assert result.stderr.count("\n") == 1 and (place / "old.netloom").read_bytes() == before
    assert sorted(os.listdir()) == ["classes.netloom", "good.netloom", "new.csv", "old.netloom"]


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.slow)])
@needs_fork
def test_a_refinement_that_is_killed_leaves_a_whole_network(place, kills):
    """It is killed anywhere: while it reads, weaves its folds, takes steps or writes."""
    words = [f"refine good.netloom new.csv --until steps={steps} --folds 2 --out old.netloom --quiet" for steps in (0, 1)]

    def refine(i):
        assert CliRunner().invoke(app, words[i % 2].split()).exit_code == 0

    rng, known = random.Random(0), set()
    started = time.perf_counter()
    for i in range(2):
        refine(i)
        known.add((place / "old.netloom").read_bytes())
    once = (time.perf_counter() - started) / 2
    assert len(known) == 2
    before, finished = (place / "good.netloom").read_bytes(), 0
    for _ in range(kills):
        finished += kill_at_random(refine, 2 * once, rng)
        assert (place / "old.netloom").read_bytes() in known and (place / "good.netloom").read_bytes() == before
        for name in set(os.listdir()) - {"classes.netloom", "good.netloom", "new.csv", "old.netloom"}:
            assert name.startswith(".old.netloom.") and name.endswith(".tmp")
            (place / name).unlink()
    assert finished >= kills


# ------------------------------------------------------------------------------------------ update


@pytest.fixture(scope="session")
def pair(woven):
    """A network's file and its memory after one update; the rows it was given; a function i -> rows that are new."""
    frame = pd.read_csv(woven / "new.csv", parse_dates=["day"])

    def rows(i):
        part = frame[LEARNED + BATCH : LEARNED + 2 * BATCH].reset_index(drop=True)
        return Task.from_frame(part.assign(size=part["size"] + 0.01 * i), target="y", kind="regression")

    folder = woven.parent / "pair"
    folder.mkdir()
    (folder / "m.netloom").write_bytes((woven / "good.netloom").read_bytes())
    learned, first = frame[:LEARNED], frame[LEARNED : LEARNED + BATCH]
    learned, first = (Task.from_frame(part, target="y", kind="regression") for part in (learned, first))
    update_file(folder / "m.netloom", first, learned=learned, reweave="never")
    return {name: (folder / name).read_bytes() for name in ("m.netloom", "m.netloom.memory")}, rows


@pytest.fixture
def beside(pair, tmp_path):
    """A copy of the pair, written again whenever called."""

    def write():
        for name, content in pair[0].items():
            (tmp_path / name).write_bytes(content)
        return tmp_path / "m.netloom"

    return write


def whole(path, new_rows):
    """The pair can be read and be updated; how many rows it had learned of or kept."""
    TargetNetwork.load(path)
    done = update_file(path, new_rows, reweave="never")
    memory, network = Memory.load(memory_path(path)), TargetNetwork.load(path)
    memory.check(network)
    assert done.memory.rows == memory.rows and not os.path.exists(f"{path}.next")
    return memory.rows - BATCH


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("call, at", [("fsync", 1), ("fsync", 3), ("replace", 1), ("replace", 2), ("replace", 3)])
def test_a_disk_that_fails_within_an_update_leaves_a_whole_pair(pair, beside, monkeypatch, call, at, code):
    """fsync: of the next network and its folder, then of the memory; replace: of these, then the network's move into place."""
    contents, rows = pair
    path = beside()
    moved = 0
    for i in range(6):  # some of these wait, some change the network
        path = beside()
        for j in range(i):
            update_file(path, rows(j), reweave="never")
        with monkeypatch.context() as patch:
            fail_at(patch, call, at, code)
            try:
                update_file(path, rows(90), reweave="never")
            except FileError as error:
                assert "\n" not in str(error)
                moved += 1
        assert not [name for name in os.listdir(path.parent) if name.endswith(".tmp")]
        seen = Memory.load(memory_path(path)).rows  # an update whose memory was written has happened
        assert seen in (LEARNED + BATCH * (i + 1), LEARNED + BATCH * (i + 2))
        assert whole(path, rows(91)) == seen
    assert moved


@pytest.mark.parametrize("kills", KILLS)
@needs_fork
def test_an_update_that_is_killed_leaves_a_whole_pair_and_loses_nothing(pair, beside, kills):
    rows, rng, torn = pair[1], random.Random(0), 0
    tasks = [rows(i) for i in range(200)]
    for kill in range(PATIENCE * kills):
        if kill >= kills and torn > kill / 100:
            break
        path = beside()
        finished = kill_at_random(lambda i, path=path: update_file(path, tasks[i], reweave="never"), 0.06, rng)
        left = {name for name in os.listdir(path.parent) if name not in pair[0]}
        assert all(name == "m.netloom.next" or (name.startswith(".m.netloom.") and name.endswith(".tmp")) for name in left)
        torn += bool(left)
        assert whole(path, rows(999)) - LEARNED - BATCH in (BATCH * finished, BATCH * (finished + 1))
        for name in set(os.listdir(path.parent)) - set(pair[0]):
            (path.parent / name).unlink()
    assert torn > kill / 100  # it was the middle of a write that was met


# ------------------------------------------------------------------------------------------ training


def a_run(step):
    """Everything of a run that has come to ``step``; its numbers say which."""
    loom = Hypernetwork(16, 2, 2)
    with torch.no_grad():
        for weight in loom.parameters():
            weight.fill_(step)
    optimizer = AdamW(list(loom.parameters()), (0.9, 0.98), 0.01)
    optimizer.steps = step
    return loom, [weight.detach().clone() for weight in loom.parameters()], optimizer, State(step=step), {"lr": 1e-3}


def read(folder):
    """The step of the run that is there: all of its numbers say the same."""
    loom, average, optimizer, _, _ = a_run(-1)
    state = load_run(folder, loom, average, optimizer)
    assert all(bool((value == state.step).all()) for value in [*loom.parameters(), *average]) and optimizer.steps == state.step
    return state.step


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("at", [1, 2, 3])  # the run, the weights, the report
def test_a_disk_that_fails_within_a_checkpoint_leaves_a_whole_run(tmp_path, monkeypatch, call, at):
    save_run(tmp_path, *a_run(1))
    with monkeypatch.context() as patch, pytest.raises(FileError, match="no space left; make room and start again"):
        fail_at(patch, call, at)
        save_run(tmp_path, *a_run(2))
    assert read(tmp_path) == (1 if at == 1 else 2)
    assert sorted(os.listdir(tmp_path)) == ["loom.safetensors", "run.json", "run.safetensors"]
    save_run(tmp_path, *a_run(3))
    assert read(tmp_path) == 3


@pytest.mark.parametrize("kills", KILLS)
@needs_fork
def test_a_checkpoint_that_is_killed_leaves_a_whole_run(tmp_path, kills):
    rng, runs, torn = random.Random(0), [a_run(step) for step in range(100)], 0
    for kill in range(PATIENCE * kills):
        if kill >= kills and torn > kill / 100:
            break
        finished = kill_at_random(lambda i: save_run(tmp_path, *runs[1 + i]), 0.15, rng)
        assert read(tmp_path) in (finished, finished + 1)
        left = set(os.listdir(tmp_path)) - {"loom.safetensors", "run.json", "run.safetensors"}
        torn += bool(left)
        for name in left:
            assert name.startswith((".run.", ".loom.", ".tmp"))  # the last are of safetensors, which moves its files into place too
            (tmp_path / name).unlink()
    assert torn > kill / 100
