"""What is minimised: the loss on query rows after every block, in units that put classes and values on one scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from netloom.loom.hypernetwork import Hypernetwork
from netloom.training.feed import Fed

__all__ = ["deep_loss", "identities", "query_losses"]


def query_losses(loom: Hypernetwork, fed: Fed, columns: Tensor, outputs: Tensor, blocks: int) -> Tensor:
    """Loss (blocks,) after each block: cross-entropy over the logarithm of the number of classes, or squared error in deviations."""
    woven = loom(fed.batch, columns, outputs, blocks=blocks)
    given = woven.outputs(fed.cells, fed.beside)
    if fed.outputs:
        return torch.stack([F.cross_entropy(out.flatten(0, 1), fed.targets.flatten()) for out in given]) / math.log(fed.outputs)
    return torch.stack([F.mse_loss(out, fed.targets) for out in given])


def deep_loss(losses: Tensor, earlier: float = 0.3) -> Tensor:
    """The last block counts 1, each before it ``earlier``: every block must pay for itself."""
    return (losses[-1] + earlier * losses[:-1].sum()) / (1 + earlier * (len(losses) - 1))


def identities(fed: Fed, D: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random vectors (B, d, D), (B, O, D) that tell columns and outputs apart; drawn anew at every step."""
    device = fed.cells.device
    columns = torch.randn(*fed.batch.columns.shape, D, generator=generator, device=device)
    return columns, torch.randn(*fed.batch.outputs.shape, D, generator=generator, device=device)
