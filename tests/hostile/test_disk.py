"""A disk that is full or fails, a process killed while it writes: the file there is the old one or the new one, whole."""

import errno
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from netloom import TargetNetwork
from netloom.cli import app
from netloom.errors import FileError
from netloom.target import file

WRITERS = {  # command, the file it would replace, what that may hold before
    "predict": ("predict good.netloom new.csv --out old.csv", "old.csv", b"mine\n"),
    "predict gz": ("predict good.netloom new.csv --out old.csv.gz", "old.csv.gz", b"mine\n"),
    "report": ("report good.netloom --out old.html", "old.html", b"<!doctype html>mine"),
    "export": ("export good.netloom old.py", "old.py", b"mine"),
    "export C": ("export good.netloom old.h", "old.h", b"mine"),
}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(place, monkeypatch, writer, call, code):
    words, name, before = WRITERS[writer]
    (place / name).write_bytes(before)
    there = sorted(os.listdir())

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 4 and result.stderr.startswith("netloom: ") and result.stderr.count("\n") == 1, result.output
    assert (place / name).read_bytes() == before and sorted(os.listdir()) == there


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_file_size_limit_leaves_the_old_network(place):
    """A real short write: the system stops the process's files at 1,000 bytes."""
    before = (place / "good.netloom").read_bytes()
    code = """
import resource, signal, sys
from netloom import TargetNetwork
from netloom.errors import FileError
network = TargetNetwork.load("good.netloom")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    network.save("good.netloom")
except FileError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr == "" and run.stdout.startswith("good.netloom: cannot be written (File too large)")
    assert (place / "good.netloom").read_bytes() == before and sorted(os.listdir()) == ["classes.netloom", "good.netloom", "new.csv"]


def kill_while_saving(place, kills, seed):
    """Fork a process that saves two networks in turn, kill -9 it at a random moment, load; returns how many kills met a save half done.

    A fork per kill: starting Python anew would take most of the time.
    """
    both = [file.read(place / name) for name in ("good.netloom", "classes.netloom")]
    known = {(place / name).read_bytes() for name in ("good.netloom", "classes.netloom")}
    target = place / "swapped.netloom"
    target.write_bytes((place / "good.netloom").read_bytes())
    rng, halves = random.Random(seed), 0
    for _ in range(kills):
        begun, begin = os.pipe()
        child = os.fork()
        if child == 0:  # nothing but saves: no pytest in here
            try:
                i = 0
                while True:
                    file.write(target, *both[i % 2])
                    if i == 0:
                        os.write(begin, b"!")
                    i += 1
            finally:
                os._exit(1)
        os.read(begun, 1)  # on a busy machine a child may not have begun for long
        os.close(begun)
        os.close(begin)
        time.sleep(rng.uniform(0.0, 0.005))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert target.read_bytes() in known  # byte for byte one of the two
        TargetNetwork.load(target)
        left = [name for name in os.listdir(place) if name.endswith(".tmp")]
        halves += bool(left)
        for name in left:  # what a kill may leave behind has a name of its own, and never the network's
            assert name.startswith(".swapped.netloom.")
            (place / name).unlink()
    return halves


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_killed_while_it_saves_leaves_a_whole_network(place):
    kill_while_saving(place, 60, seed=0)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_thousands_of_kills_leave_a_whole_network(place):
    assert kill_while_saving(place, 3000, seed=1) > 100


def test_a_save_that_fails_many_times_leaves_nothing_behind(place, monkeypatch):
    network = TargetNetwork.load(place / "good.netloom")
    before = (place / "good.netloom").read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for _ in range(50):
        with pytest.raises(FileError, match="no space left on the disk"):
            network.save(place / "good.netloom")
    assert (place / "good.netloom").read_bytes() == before and len(os.listdir()) == 3
