"""A network that is replaced while it is read: readers always hold a whole one, the old or the new."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import numpy as np

from netloom.errors import FileError
from netloom.target.network import TargetNetwork

__all__ = ["NetworkHandle"]

TICK = 10_000_000  # nanoseconds: within a tick of the clock two files in a row may look the same, so a file this new is read again


class NetworkHandle:
    """The network in a file, read again whenever another process or thread has replaced the file.

    Files are replaced in one move (`TargetNetwork.save`), and a network is never changed once loaded: whoever took ``handle.network``
    goes on with that one. Asking costs one look at the file's identity. If a new file cannot be read, the last good network stays and
    ``error`` tells.

    Parameters
    ----------
    path : a ``.netloom`` file

    Raises
    ------
    FileError : if there is no readable network there to begin with
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.error: FileError | None = None
        self._lock = threading.Lock()
        self._held = self._load()

    @property
    def network(self) -> TargetNetwork:
        """The newest whole network."""
        try:
            now: tuple[int, ...] | None = _identity(self.path)
        except OSError:
            now = None  # gone for now: the last one stays
        if now is not None and now != self._held[0]:
            with self._lock:
                if now != self._held[0]:
                    try:
                        self._held = self._load()
                        self.error = None
                    except FileError as error:
                        self._held, self.error = (now, self._held[1]), error
        return self._held[1]

    @property
    def version(self) -> int:
        """The version its provenance states; 1 for a network that was never updated."""
        return int(self.network.provenance.get("version", 1))

    def swap(self, network: TargetNetwork) -> None:
        """Replace the file, and so what every reader sees from now on."""
        network.save(self.path)

    def predict(self, table: Any) -> np.ndarray:
        """`TargetNetwork.predict` of the newest network."""
        return self.network.predict(table)

    def predict_row(self, values: Any) -> Any:
        """`TargetNetwork.predict_row` of the newest network."""
        return self.network.predict_row(values)

    def _load(self) -> tuple[tuple[int, ...], TargetNetwork]:
        """Identity and content of one and the same file: looked at before and after reading."""
        for _ in range(100):
            try:
                before = _identity(self.path)
                network = TargetNetwork.load(self.path)
                if _identity(self.path) == before:
                    fresh = abs(time.time_ns() - before[2]) < TICK
                    return (() if fresh else before), network
            except OSError as error:
                raise FileError(f"{self.path}: cannot be read ({error.strerror}); give a .netloom file") from None
        return (), network  # replaced a hundred times while it was read: whole all the same, and read again when next asked


def _identity(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns
