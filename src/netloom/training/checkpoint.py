"""What is written: one file that holds a whole run (safetensors with JSON in its header), and weights that the product can load.

Every file is written beside its place and moved there, so that an interrupt leaves the old one whole. Nothing is pickled.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from netloom.errors import ConfigError, FileError
from netloom.loom.hypernetwork import Hypernetwork, shape_of
from netloom.toolkit.adamw import AdamW

__all__ = ["FORMAT", "State", "atomically", "build_loom", "load_run", "save_run", "save_weights"]

FORMAT = 1
RUN, WEIGHTS, REPORT = "run.safetensors", "loom.safetensors", "run.json"


@dataclass
class State:
    """Where a run is. seconds of training over all starts; tasks seen; groups and steps that were left out as they were not finite."""

    step: int = 0
    seconds: float = 0.0
    tasks: int = 0
    skipped_groups: int = 0
    skipped_steps: int = 0
    best: float = float("inf")
    best_step: int = -1
    validation: dict[str, float] = field(default_factory=dict)


def build_loom(path: str, width: int, neurons: int, copies: int, rounds: int) -> Hypernetwork:
    """A hypernetwork of the given shape (0: as in the file, or the default), with the weights of the file if one is named.

    Raises
    ------
    FileError : no such file, or no weights of a loom;  ConfigError : the file has another shape than was asked for
    """
    if not path:
        return Hypernetwork(width or 64, neurons or 12, copies or 8, rounds or 1)
    state = _tensors(path)
    try:
        shape = dict(zip(("width", "neurons", "copies", "rounds"), shape_of(state), strict=True))
    except (KeyError, ValueError):
        raise FileError(f"{path}: holds no weights of a loom; give a .safetensors file of meta-training") from None
    for name, asked in (("width", width), ("neurons", neurons), ("copies", copies), ("rounds", rounds)):
        if asked and asked != shape[name]:
            raise ConfigError(f"{name} = {asked}: {path} has {shape[name]}; give that or 0, or start without init")
    loom = Hypernetwork(*shape.values())
    _load(loom, state, path)
    return loom


def save_run(folder: Path, loom: Hypernetwork, average: list[Tensor], optimizer: AdamW, state: State, settings: dict[str, Any]) -> None:
    """Write the whole run, its averaged weights for the product, and a report for people."""
    tensors: dict[str, Tensor] = {}
    for (name, value), mean in zip(loom.named_parameters(), average, strict=True):
        tensors[f"loom/{name}"], tensors[f"average/{name}"] = value.detach(), mean
    for (name, _), first, second in zip(loom.named_parameters(), optimizer.first, optimizer.second, strict=True):
        tensors[f"first/{name}"], tensors[f"second/{name}"] = first, second
    header = {"format": FORMAT, "optimizer_steps": optimizer.steps, "state": asdict(state), "settings": settings}
    _write_tensors(folder / RUN, tensors, header)
    save_weights(folder / WEIGHTS, loom, average, state)
    atomically(folder / REPORT, lambda path: path.write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8"))


def save_weights(path: Path, loom: Hypernetwork, average: list[Tensor], state: State) -> None:
    """The averaged weights alone."""
    names = [name for name, _ in loom.named_parameters()]
    header = {"format": FORMAT, "step": state.step, "tasks": state.tasks, "validation": state.validation}
    _write_tensors(path, dict(zip(names, average, strict=True)), header)


def load_run(folder: Path, loom: Hypernetwork, average: list[Tensor], optimizer: AdamW) -> State | None:
    """Put the run in ``folder`` into loom, average and optimizer, and return its state; None if there is none.

    Raises
    ------
    FileError : a file that is cut, newer or of another shape
    """
    path = folder / RUN
    if not path.exists():
        return None
    tensors = _tensors(str(path))
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["netloom"])
        state, steps = State(**header["state"]), int(header["optimizer_steps"])
        if header["format"] != FORMAT:
            raise FileError(f"{path}: format {header['format']} is not {FORMAT}; it is from another version of netloom")
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path}: is not a run of netloom pretrain; give another out") from None
    _load(loom, {key.removeprefix("loom/"): value for key, value in tensors.items() if key.startswith("loom/")}, str(path))
    if any(f"{kind}/{name}" not in tensors for kind in ("average", "first", "second") for name, _ in loom.named_parameters()):
        raise FileError(f"{path}: lacks moments of the optimiser; give another out, and its loom.safetensors as init")
    for i, (name, _) in enumerate(loom.named_parameters()):
        for kind, place in (("average", average), ("first", optimizer.first), ("second", optimizer.second)):
            place[i].copy_(tensors[f"{kind}/{name}"])
    optimizer.steps = steps
    return state


def atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """``write`` a file beside ``path``, then move it there.

    Raises
    ------
    FileError : no space, no permission; what was at ``path`` is still whole
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(beside)
        os.chmod(beside, 0o644)  # safetensors makes files that nobody else may read
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        reason = "no space left; make room and start again" if full else getattr(error, "strerror", None) or str(error)
        raise FileError(f"{path}: cannot be written: {reason}; the last checkpoint is whole") from None
    finally:
        beside.unlink(missing_ok=True)


def _write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    whole = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    atomically(path, lambda beside: save_file(whole, beside, {"netloom": json.dumps(header)}))


def _tensors(path: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise FileError(f"{path}: not found; give a .safetensors file") from None
    except (OSError, SafetensorError) as error:
        raise FileError(f"{path}: cannot be read ({str(error).splitlines()[0][:100]}); give a whole .safetensors file") from None


def _load(loom: Hypernetwork, state: dict[str, Tensor], path: str) -> None:
    try:
        loom.load_state_dict(state)
    except RuntimeError as error:
        line = next((part.strip() for part in str(error).splitlines()[1:]), str(error))
        raise FileError(f"{path}: weights of another shape ({line[:120]}); give another out or init") from None
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise FileError(f"{path}: holds NaN or infinite numbers; give another file")
