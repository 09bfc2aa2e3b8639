"""Data parallel by hand: every process weaves its own groups, gradients are summed once a step (torchrun starts the processes)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor, distributed

from netloom.errors import NetloomError

__all__ = ["LostWorkerError", "Processes"]


class LostWorkerError(NetloomError, RuntimeError):
    """Another process of the run is gone."""

    exit_code = 1


class Processes:
    """This process among all; alone unless torchrun says otherwise."""

    def __init__(self, device: torch.device) -> None:
        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if self.count > 1 and not distributed.is_initialized():
            # several processes keep one GPU busy where a step is bound by the many small kernels it starts; nccl wants a GPU for each
            alone = device.type == "cuda" and int(os.environ.get("LOCAL_WORLD_SIZE", self.count)) <= torch.cuda.device_count()
            distributed.init_process_group("nccl" if alone else "gloo")

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one message.

        Raises
        ------
        LostWorkerError : if a process does not answer
        """
        if self.count == 1:
            return
        flat = torch.cat([t.flatten() for t in tensors])
        if distributed.get_backend() == "gloo":
            flat = flat.cpu()
        try:
            distributed.all_reduce(flat)
        except RuntimeError as error:
            reason = str(error).splitlines()[0][:100]
            raise LostWorkerError(f"a process of this run was lost ({reason}); the last checkpoint is whole, start the run again") from None
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def end(self) -> None:
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
