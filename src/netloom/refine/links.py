"""Layers that are mostly zeros, of a batch of networks: the few inputs of each neuron, summed in one call.

A cut reads one feature and a rule a few cuts. As matrices these are thousands of numbers wide and high, of which some in a thousand count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Level", "Links", "level_of"]


@dataclass(frozen=True, eq=False)
class Links:
    """Of one network, sorted by neuron: the neuron (E,) that each link goes to, the row (E,) that it comes from (a view's feature, or a
    neuron behind these), its weight in standardised units (E,) and its gain (E,).
    """

    target: np.ndarray
    source: np.ndarray
    weight: np.ndarray
    gain: np.ndarray


@dataclass(frozen=True, eq=False)
class Level:
    """The links of B networks to neurons that are equally deep: places (E,) in the batch's link weights, rows (E,) of what they read, and
    where the links of each of the B * width neurons begin.
    """

    places: Tensor
    rows: Tensor
    begins: Tensor
    width: int

    def sums(self, weights: Tensor, told: Tensor) -> Tensor:
        """Weighted sums (B, width, m) of link weights (B, E) and what there is to read (B, rows, m)."""
        B, _, m = told.shape
        given = weights.flatten()[self.places]
        return F.embedding_bag(self.rows, told.reshape(-1, m), self.begins, mode="sum", per_sample_weights=given).view(B, self.width, m)


def level_of(networks: Sequence[Links], start: int, stop: int, rows: int) -> Level:
    """The links to the neurons from ``start`` to ``stop``, which read ``rows`` rows of each network."""
    most = max(len(links.target) for links in networks)
    places, read, counts = [], [], []
    for b, links in enumerate(networks):
        mine = np.flatnonzero((links.target >= start) & (links.target < stop))
        places.append(b * most + mine)
        read.append(b * rows + links.source[mine])
        counts.append(np.bincount(links.target[mine] - start, minlength=stop - start))
    begins = np.concatenate([[0], np.cumsum(np.concatenate(counts))[:-1]])
    return Level(_whole(np.concatenate(places)), _whole(np.concatenate(read)), _whole(begins), stop - start)


def _whole(numbers: np.ndarray) -> Tensor:
    return torch.as_tensor(numbers, dtype=torch.int64)
