"""Update a network's file: the network and its memory change together, and no reader, crash or second writer ever sees half of it.

The new network is written as ``m.netloom.next``, then the memory (the commit), then the network is moved into place. Whoever comes after
a crash finds either the old pair, or a memory that belongs to ``.next`` and moves it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from netloom.errors import ConfigError, FileError
from netloom.refine.memory import Memory, feature_print, readout_print
from netloom.refine.regenerate import Updated, update
from netloom.target.network import TargetNetwork
from netloom.tasks import Task
from netloom.tasks.replacing import pointed_at

__all__ = ["memory_path", "update_file"]


def memory_path(path: str | os.PathLike[str]) -> str:
    """Where the memory of a network's file is kept."""
    return os.fspath(path) + ".memory"


def update_file(path: str | os.PathLike[str], task: Task, *, learned: Task | None = None, **options: Any) -> Updated:
    """Add rows to the network in a file, see `netloom.update`; readers (`netloom.NetworkHandle`) see the old or the new network, whole.

    Parameters
    ----------
    path : a ``.netloom`` file; its memory is ``path`` + ``.memory``
    task : the new rows
    learned : the rows that the network was woven from; needed once, and again after it was refitted or refined
    options : as for `netloom.refine.update`

    Raises
    ------
    ConfigError : if there is no memory and ``learned`` is not given
    FileError : if a file cannot be read or written
    DataError : if rows or memory are not the network's
    """
    try:
        path = pointed_at(os.fspath(path))  # the memory lies beside the file, not beside a link to it
    except OSError as error:
        raise FileError(f"{os.fspath(path)}: cannot be read ({error.strerror}); check the path") from None
    with _alone(path):
        _finish(path)
        network = TargetNetwork.load(path)
        if learned is not None:
            memory = Memory.begin(network, learned)
        elif os.path.exists(memory_path(path)):
            memory = Memory.load(memory_path(path))
        else:
            raise ConfigError(f"{memory_path(path)}: there is no memory of what the network learned; give those rows once (--table)")
        updated = update(network, task, memory, **options)
        _commit(path, network, updated)
    return updated


def _commit(path: str, network: TargetNetwork, updated: Updated) -> None:
    """Write what has changed, in the order that a crash can be read from."""
    if updated.network is network:
        updated.memory.save(memory_path(path))
        return
    updated.network.save(path + ".next")
    try:
        updated.memory.save(memory_path(path))
    except BaseException:  # a full disk, an interrupt: the old pair stays
        with contextlib.suppress(OSError):
            os.unlink(path + ".next")
        raise
    _move(path)


def _finish(path: str) -> None:
    """What a crash left: move a network whose memory was written, drop one whose memory was not."""
    left = path + ".next"
    if not os.path.exists(left):
        return
    try:
        network, memory = TargetNetwork.load(left), Memory.load(memory_path(path))
        whole = memory.features == feature_print(network) and memory.readouts[-1] == readout_print(network)
    except FileError:
        whole = False
    if whole:
        _move(path)
    else:
        os.unlink(left)


def _move(path: str) -> None:
    try:
        with contextlib.suppress(OSError):
            os.chmod(path + ".next", os.stat(path).st_mode & 0o7777)
        os.replace(path + ".next", path)
    except OSError as error:
        raise FileError(f"{path}: cannot be replaced ({error.strerror}); its next version is {path}.next") from None


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """One update at a time among the files of a folder, where the system can lock; the lock goes with the process."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        handle = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    try:
        with contextlib.suppress(OSError):  # a disk that cannot lock
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
