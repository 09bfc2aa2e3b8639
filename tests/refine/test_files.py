"""A network's file and its memory change together: whatever is cut where, the next one finds a whole pair."""

import os

import pytest

from netloom import NetworkHandle, TargetNetwork
from netloom.errors import ConfigError, FileError
from netloom.refine import Memory
from netloom.refine.files import memory_path, update_file
from netloom.refine.memory import readout_print


@pytest.fixture
def path(woven, tmp_path):
    woven("values")[0].save(tmp_path / "m.netloom")
    return tmp_path / "m.netloom"


def test_the_first_update_needs_the_rows_that_were_learned(woven, task_of, path):
    with pytest.raises(ConfigError, match="there is no memory of what the network learned"):
        update_file(path, task_of("values", 60, 5))
    handle = NetworkHandle(path)
    first = update_file(path, task_of("values", 300, 5), learned=woven("values")[1], reweave="never")
    second = update_file(path, task_of("values", 200, 6), reweave="never")
    assert first.action == "added" and second.memory.rows == 590
    assert sorted(os.listdir(path.parent)) == ["m.netloom", "m.netloom.memory"]
    assert handle.version == second.version and os.stat(path).st_mode == os.stat(memory_path(path)).st_mode


@pytest.mark.parametrize("cut", ["next", "memory", "move"])
def test_a_crash_leaves_a_whole_pair(woven, task_of, path, monkeypatch, cut):
    """The process dies while it writes the next network, then the memory, then moves the network into place."""
    learned = woven("values")[1]
    before = path.read_bytes()
    name = {"next": "netloom.target.network.TargetNetwork.save", "memory": "netloom.refine.memory.Memory.save"}
    name["move"] = "netloom.refine.files._move"
    with monkeypatch.context() as patch:

        def die(*args, **options):
            raise KeyboardInterrupt

        patch.setattr(name[cut], die)
        with pytest.raises(KeyboardInterrupt):
            update_file(path, task_of("values", 300, 5), learned=learned, reweave="never")
    assert path.read_bytes() == before
    assert os.path.exists(memory_path(path)) == (cut == "move")
    again = {"learned": learned} if cut != "move" else {}
    done = update_file(path, task_of("values", 100, 6), reweave="never", **again)
    rows = 490 if cut == "move" else 190  # what had reached the memory is not lost, what had not is not there
    assert done.memory.rows == rows and not os.path.exists(f"{path}.next")
    memory, network = Memory.load(memory_path(path)), TargetNetwork.load(path)
    memory.check(network)
    assert readout_print(network) == readout_print(done.network)


def test_a_damaged_memory_changes_nothing(woven, task_of, path):
    update_file(path, task_of("values", 40, 5), learned=woven("values")[1], reweave="never")
    before = path.read_bytes()
    with open(memory_path(path), "r+b") as file:
        file.truncate(500)
    with pytest.raises(FileError, match="cut short"):
        update_file(path, task_of("values", 40, 6))
    assert path.read_bytes() == before
