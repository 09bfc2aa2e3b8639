"""The loom as people use it: pretrained, weaving one task or many in one pass."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import torch
from safetensors.torch import load

from netloom.errors import ConfigError, FileError, NotWovenError
from netloom.loom.hypernetwork import Hypernetwork, shape_of
from netloom.loom.single import weave_tasks
from netloom.target.budget import Budget
from netloom.target.network import TargetNetwork
from netloom.tasks import Task

__all__ = ["Loom"]


class Loom(Hypernetwork):
    """The hypernetwork: it reads a task's data and emits a network, architecture and weights, in one pass.

    ``Loom.pretrained()`` is the one that comes with netloom; ``netloom.fit`` also chooses among families by folds.
    """

    @classmethod
    def pretrained(cls) -> Loom:
        """The loom inside the package, on the CPU, in evaluation mode; the same object each time.

        Raises
        ------
        NotWovenError : if the installed weights are missing or damaged
        """
        return _pretrained()

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Loom:
        """A loom from a safetensors file of its weights, as meta-training writes it.

        Raises
        ------
        FileError : if the file cannot be read;  NotWovenError : if it holds other weights
        """
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise FileError(f"{path}: cannot be read ({error.strerror}); give a .safetensors file") from None
        return _from_bytes(data, str(path))

    def weave(self, task: Task, budget: Budget | None = None, *, blocks: int | None = None, seed: int = 0) -> TargetNetwork:
        """One network in one pass: woven neurons under a readout whose penalty is chosen by (approximate) leave-one-out.

        Parameters
        ----------
        task : at most about a thousand of its rows are read by the loom, all by the readout
        budget : limits on the network's size
        blocks : how many blocks of neurons; by default `netloom.loom.single.BLOCKS`: one for classes, three for values
        seed : of the identities that tell columns and classes apart

        Raises
        ------
        DataError : if the task holds one class or fewer than two different rows
        ConfigError : for less than one block
        """
        return self._weave([task], budget, blocks, seed, summary=True)[0]

    def weave_many(
        self, tasks: Sequence[Task], budget: Budget | None = None, *, blocks: int | None = None, seed: int = 0
    ) -> list[TargetNetwork]:
        """A network for each of many tasks, tasks of similar size woven together in padded batches.

        Other than `weave`, it spends no time on summaries of the rows: to explain these networks, give ``explain`` a background.
        """
        return self._weave(tasks, budget, blocks, seed, summary=False)

    def _weave(self, tasks: Sequence[Task], budget: Budget | None, blocks: int | None, seed: int, summary: bool) -> list[TargetNetwork]:
        if blocks is not None and blocks < 1:
            raise ConfigError(f"blocks = {blocks}: must be 1 or more, or None for what is best in one pass")
        return weave_tasks(self, tasks, budget, blocks=blocks, seed=seed, fingerprint=self.fingerprint(), summary=summary)

    def fingerprint(self) -> str:
        """Twelve hex digits that change with any weight."""
        digest = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def _pretrained() -> Loom:
    place = files("netloom") / "weights" / "loom.safetensors"
    try:
        data = place.read_bytes()
    except OSError as error:
        raise NotWovenError(f"the pretrained loom is missing ({error}); install netloom again") from None
    return _from_bytes(data, "the pretrained loom")


def _from_bytes(data: bytes, name: str) -> Loom:
    """A loom of the shape that the tensors tell, frozen."""
    try:
        state: dict[str, Any] = load(data)
        loom = Loom(*shape_of(state))
        loom.load_state_dict(state)
    except Exception as error:  # safetensors raises its own type, load_state_dict RuntimeError
        raise NotWovenError(f"{name}: not the weights of a loom ({str(error).splitlines()[0][:100]}); use a meta-trained file") from None
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise NotWovenError(f"{name}: holds NaN or infinite numbers; give another file")
    return loom.eval().requires_grad_(False)
