"""Hand a network over: one file per format, each a function from a network to the bytes of a file, which needs no netloom to be used.

Read plan.py (numbers and codes in, outputs out: what all formats write down), describe.py (what travels with it), then a format:
python.py with standalone.py, onnx.py, torch.py, keras.py, c.py. A new format is one new file and one entry in `FORMATS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import PurePath

from netloom.errors import ConfigError
from netloom.target.file import write_bytes
from netloom.target.network import TargetNetwork

__all__ = ["FORMATS", "export"]

# ending -> module with write(network, name of the file, ...) -> bytes; imported when asked for, as each needs its own packages
FORMATS: dict[str, str] = {
    ".onnx": "netloom.export.onnx",
    ".pt2": "netloom.export.torch",
    ".keras": "netloom.export.keras",
    ".py": "netloom.export.python",
    ".h": "netloom.export.c",
}


def export(network: TargetNetwork, path: str | os.PathLike[str], ending: str | None = None, *, grouped: bool = False) -> int:
    """Write a network in the format that the ending of ``path`` (or ``ending``) names, atomically; returns its size in bytes.

    Parameters
    ----------
    grouped : ONNX with one input per kind of column, not per column

    Raises
    ------
    ConfigError : for an unknown ending, inputs of another format to be grouped, or a format whose package is not installed
    FileError : if the file cannot be written
    """
    name = PurePath(os.fsdecode(path)).name
    ending = ending or PurePath(name).suffix.lower()
    if ending not in FORMATS:
        raise ConfigError(f"{name!r}: the ending says the format and must be one of {', '.join(FORMATS)}")
    if grouped and ending != ".onnx":
        raise ConfigError(f"{name!r}: only .onnx has inputs that can be grouped; leave it out")
    try:
        write: Callable[..., bytes] = import_module(FORMATS[ending]).write
    except ModuleNotFoundError as error:
        raise ConfigError(f"the package {error.name} is not installed; pip install 'netloom[{ending[1:]}]'") from None
    data = write(network, name, grouped=True) if grouped else write(network, name)
    write_bytes(path, data)
    return len(data)
