"""Conditions read from a time series: a recurrent pass, its last state and its mean over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netloom.errors import ToolkitError
from netloom.toolkit.check import check_numbers
from netloom.toolkit.conditioning.mlp import mlp

__all__ = ["Series"]


class Series(nn.Module):
    """A condition (C,) from a series of any length.

    Parameters
    ----------
    channels : numbers per step
    size : C
    hidden : of the recurrent layer
    """

    def __init__(self, channels: int, size: int, hidden: int = 64) -> None:
        super().__init__()
        self.size = size
        self.recurrent = nn.GRU(channels, hidden, batch_first=True)
        self.after = nn.Sequential(nn.LayerNorm(2 * hidden), mlp(2 * hidden, hidden, size), nn.LayerNorm(size))

    def forward(self, series: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Conditions (B, C) of series (B, steps, channels); lengths (B,) where they are padded at the end."""
        check_numbers("series", series, "B, steps, channels", self.recurrent.input_size, next(self.parameters()))
        if series.shape[1] == 0:
            raise ToolkitError(f"series must be (B, steps, channels) with at least one step, not {tuple(series.shape)}")
        states, _ = self.recurrent(series)  # (B, steps, hidden): a step only knows those before it, so padding changes none that count
        if lengths is None:
            return self.after(torch.cat([states[:, -1], states.mean(1)], -1))
        if lengths.shape != series.shape[:1] or int(lengths.min()) < 1 or int(lengths.max()) > series.shape[1]:
            raise ToolkitError(f"lengths must be {len(series)} numbers from 1 to {series.shape[1]}")
        real = torch.arange(series.shape[1], device=series.device) < lengths[:, None]  # (B, steps)
        mean = (states * real[..., None]).sum(1) / lengths[:, None]
        last = states[torch.arange(len(series), device=series.device), lengths - 1]
        return self.after(torch.cat([last, mean], -1))
