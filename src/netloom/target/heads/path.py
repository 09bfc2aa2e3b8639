"""What every head returns, and how features reach it: one tensor of rows, or a sequence of blocks of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netloom.errors import ConfigError
from netloom.target.solve import positive

__all__ = ["Features", "Path", "blocks_of", "in_order", "outputs_of", "penalties_of"]

Features = Tensor | Sequence[Tensor]  # (n, p), or blocks (n_i, p) that together are (n, p)


@dataclass(frozen=True, eq=False)
class Path:
    """One readout per penalty: ``F @ coef[l] + intercept[l]``."""

    coef: Tensor  # (L, p, O)
    intercept: Tensor  # (L, O)


def in_order(walked: Iterable[Path], penalties: Tensor | Sequence[float]) -> Path:
    """Readouts that were found one by one, from the largest penalty down, in the order of the penalties (L,)."""
    paths, back = list(walked), torch.argsort(torch.argsort(torch.as_tensor(penalties), descending=True))
    return Path(torch.cat([path.coef for path in paths])[back], torch.cat([path.intercept for path in paths])[back])


def blocks_of(F: Features) -> list[Tensor]:
    """The features as blocks of rows."""
    blocks = [F] if isinstance(F, Tensor) else list(F)
    if not blocks or any(block.ndim != 2 or block.shape[1] != blocks[0].shape[1] for block in blocks):
        raise ConfigError("features must be (n, p), or blocks (n_i, p) that share p")
    return blocks


def penalties_of(penalties: Tensor | Sequence[float], like: Tensor) -> Tensor:
    """The penalties (L,) like the features; ConfigError unless positive."""
    return positive(torch.as_tensor(penalties, dtype=like.dtype).reshape(-1), like)


def outputs_of(F: Features, path: Path) -> Tensor:
    """Outputs (L, n, O) of all readouts on all rows."""
    L, p, O = path.coef.shape  # noqa: E741  O outputs, everywhere
    flat = path.coef.permute(1, 0, 2).reshape(p, L * O)  # (p, L*O)
    rows = torch.cat([block @ flat.to(block.dtype) for block in blocks_of(F)]).to(path.coef.dtype)  # (n, L*O)
    return rows.unflatten(1, (L, O)).transpose(0, 1) + path.intercept[:, None]
