"""Neurons turn toward what is still wrong: the candidate training of cascade-correlation (Fahlman & Lebiere 1990), a few steps of it.

A token knows its task through D numbers; which of a hundred columns go with what is wrong *on the rows where this neuron fires* does not
fit in there. So each neuron declares an aim, a direction over the outputs, and looks at the data again: the correlation of every cell with
its aim's error on the rows where it is on is the gradient of the covariance that cascade-correlation climbs, and what a tree looks at
before it cuts. How far to turn, and from which correlation on, every neuron's token says.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netloom.target.cells import K
from netloom.toolkit.generators.neurons import inner_products, normalise_rows

__all__ = ["Aim"]

TURNS = 2
TINY = 1e-4
FIRING = 4.0  # how steeply a neuron is on or off
SATED = 0.5  # correlations of this length turn a neuron half as far as it would go


class Aim(nn.Module):
    """``TURNS`` turns of H new neurons, each given by its key (B, H, D)."""

    def __init__(self, D: int) -> None:
        super().__init__()
        self.output_key = nn.Linear(D, D, bias=False)
        self.size = nn.Linear(D, TURNS)  # log of how far
        self.gate = nn.Linear(D, 3 * TURNS)  # from which z-score on, log of how sharply, how far the bias goes along
        self.offset = nn.Parameter(torch.zeros(TURNS, K))  # of the z-score, per kind of cell
        self.worth = nn.Parameter(torch.zeros(2))  # of a found correlation, and of the log of its z-score, in log relevance
        nn.init.zeros_(self.size.weight)
        nn.init.constant_(self.size.bias, -0.7)
        nn.init.zeros_(self.gate.weight)
        with torch.no_grad():
            self.gate.bias.copy_(torch.tensor([3.0, 0.7, 0.1]).repeat_interleave(TURNS))

    def errors(self, keys: Tensor, outputs: Tensor, wrong: Tensor) -> Tensor:
        """What each neuron aims at (B, n, H): what is wrong (B, n, O) along its direction over the output tokens (B, O, D); padded
        outputs are zero.
        """
        aims = normalise_rows(inner_products(self.output_key(keys), outputs))  # (B, H, O)
        return wrong @ aims.transpose(1, 2)

    def forward(
        self, keys: Tensor, errors: Tensor, weight: Tensor, count: Tensor, Z: Tensor, W: Tensor, gain: Tensor, bias: Tensor, beyond: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Weights (B, H, d * K) of length ``exp(gain)`` and biases (B, H) after all turns.

        Parameters
        ----------
        errors : (B, n, H), of `errors`
        weight : (B, n, 1) of rows, 0 for padding; count : (B, 1) rows that are there
        Z : standardised cells (B, n, d * K); W : where the neurons begin, of any length; gain, bias : (B, H)
        beyond : what earlier neurons add to the activations, (B, n, H) or zero
        """
        root = count.sqrt()  # (B, 1)
        size = torch.exp(self.size(keys).clamp(-4, 2))  # (B, H, TURNS)
        least, sharpness, push = self.gate(keys).unflatten(-1, (3, TURNS)).unbind(-2)
        for turn in range(TURNS):
            on = torch.sigmoid(FIRING * (Z @ normalise_rows(W, gain).transpose(1, 2) + bias[:, None] + beyond))  # (B, n, H)
            felt = errors * on
            weighted = felt * weight
            total, power = weighted.sum(1), (weighted * felt).sum(1)  # (B, H)
            spread = ((power - total.square() / count).clamp(min=0) + TINY).sqrt()
            correlation = (weighted.transpose(1, 2) @ Z) / (spread * root)[..., None]  # (B, H, d * K)
            beyond_chance = correlation.abs() * root[..., None] - least[..., turn, None] - self.offset[turn].repeat(Z.shape[-1] // K)
            step = correlation * torch.sigmoid(torch.exp(sharpness[..., turn, None].clamp(-2, 3)) * beyond_chance)
            W = normalise_rows(W) + size[..., turn, None] * step / (step.norm(dim=-1, keepdim=True) + SATED)
            bias = bias + push[..., turn] * total / ((power + TINY).sqrt() * root)
        return normalise_rows(W, gain), bias

    def relevance(self, h: Tensor, errors: Tensor, weight: Tensor, count: Tensor) -> Tensor:
        """What having found something adds to the log relevance (B, H) of neurons with standardised activations h (B, n, H)."""
        weighted = errors * weight
        found = (h * weighted).sum(1).abs() / ((weighted * errors).sum(1) * count + TINY).sqrt()
        return self.worth[0] * found + self.worth[1] * torch.log1p(found * count.sqrt())
