"""From encoded tasks to what the hypernetwork reads: the numbers that `netloom.loom.views` and `netloom.loom.batch` make, batched in torch.

Columns are standardised by the support rows and cut at six deviations; a ranked batch reads its columns as normal scores of their ranks;
a column of two values has one live cell. What is learned on the support rows is applied to the query rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from netloom.loom.batch import Batch, cells_of
from netloom.target.cells import STEPS, K
from netloom.target.weights import CLIP
from netloom.tasks.priors import Draw, Tasks

__all__ = ["Fed", "feed", "random_neurons", "ranked_values", "standardised"]

RANDOM = 256  # random neurons, as in netloom.loom.pool
KNOTS = 16  # as netloom.loom.views, which needs scipy and cannot be imported here


@dataclass(frozen=True, eq=False)
class Fed:
    """A batch for the loom, the cells (B, m, d, K) of its query rows and their targets: codes (B, m) or z-scored values (B, m, O); what
    of the query rows stands ``beside`` the cells, if the batch has it.
    """

    batch: Batch
    cells: Tensor
    targets: Tensor
    outputs: int  # classes, or 0
    beside: Tensor | None = None

    def __len__(self) -> int:
        return len(self.cells)


def feed(tasks: Tasks, *, ranked: bool = False, beside: Draw | None = None) -> Fed:
    """Read ``tasks`` plain or ranked; with a draw for them, random neurons stand beside the cells."""
    n = tasks.support
    z, many = standardised(tasks.X, n)
    neurons = None if beside is None else random_neurons(beside, z.clamp(-CLIP, CLIP), n)
    if ranked:
        z = torch.where(many[:, None], ranked_values(z, n), z)
    z = z.clamp(-CLIP, CLIP)
    place = [math.ceil(q * n - 1e-9) - 1 for q in STEPS]  # the first row at which that share of the rows is reached
    thresholds = torch.sort(z[:, :n].mT.contiguous(), -1).values[..., place]  # (B, d, 4)
    live = torch.ones(*many.shape, K, device=z.device)
    live[..., 1:] = many[..., None].float()
    cells = cells_of(z, thresholds) * live[:, None]
    B, _, d = z.shape
    if tasks.outputs:
        T, targets = F.one_hot(tasks.y[:, :n], tasks.outputs).float(), tasks.y[:, n:]
    else:
        mean, deviation = tasks.y[:, :n].mean(1, keepdim=True), tasks.y[:, :n].std(1, correction=0, keepdim=True)
        values = ((tasks.y - mean) / torch.where(deviation > 1e-6, deviation, 1.0)).clamp(-CLIP, CLIP)
        T, targets = values[:, :n], values[:, n:]
    kind = torch.full((B,), 0 if tasks.outputs else 1, device=z.device)
    columns, outputs = (torch.ones(B, count, dtype=torch.bool, device=z.device) for count in (d, T.shape[-1]))
    inside, asked = (None, None) if neurons is None else (neurons[:, :n], neurons[:, n:])
    batch = Batch(cells[:, :n], torch.ones(B, n, device=z.device), columns, T, outputs, kind, inside)
    return Fed(batch, cells[:, n:], targets, tasks.outputs, asked)


def random_neurons(draw: Draw, z: Tensor, n: int, count: int = RANDOM) -> Tensor:
    """Random ReLU neurons (B, rows, count) of values z (B, rows, d), as `netloom.loom.pool.random_layer` has them, the same for all
    tasks; standardised by the first n rows and scaled as the readout of a family would.
    """
    d, g, device = z.shape[-1], draw.generator, z.device
    size = torch.exp(torch.rand(count, generator=g, device=device) * math.log(max(d, 2))).ceil().clamp(max=d)  # columns each reads
    kept = torch.rand(d, count, generator=g, device=device).argsort(0).argsort(0) < size
    W = torch.randn(d, count, generator=g, device=device) * kept / size.sqrt()
    a = torch.relu(z @ W + torch.randn(count, generator=g, device=device))
    mean, deviation = a[:, :n].mean(1, keepdim=True), a[:, :n].std(1, correction=0, keepdim=True)
    return (a - mean) / deviation.clamp(min=2e-2) / math.sqrt(count)


def standardised(X: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """X (B, rows, d) by mean and deviation of its first n rows, and which columns (B, d) have more than two values there."""
    S = X[:, :n]
    mean, deviation = S.mean(1, keepdim=True), S.std(1, correction=0, keepdim=True)
    varies = deviation > 1e-6 * mean.abs().clamp(min=1)
    low, high = S.amin(1, keepdim=True), S.amax(1, keepdim=True)
    z = torch.where(varies, (X - mean) / torch.where(varies, deviation, 1.0), 0.0)  # a schema drops what is constant in training
    return z, ((low < S) & (high > S)).any(1) & varies[:, 0]


def ranked_values(z: Tensor, n: int) -> Tensor:
    """Normal scores of the mid-ranks among the first n rows; between at most 16 knots per column straight lines, as in a ranked view."""
    columns = z.mT.contiguous()  # (B, d, rows)
    ordered = torch.sort(columns[..., :n], -1).values
    place = torch.linspace(0, n - 1, min(KNOTS, n), device=z.device).round().long()
    knots = ordered[..., place].contiguous()  # (B, d, Q)
    scores = _scores(ordered, ordered)
    centre, scale = scores.mean(-1, keepdim=True), scores.std(-1, correction=0, keepdim=True).clamp(min=1e-6)
    heights = (_scores(ordered, knots) - centre) / scale
    right = torch.searchsorted(knots, columns, right=True).clamp(1, knots.shape[-1] - 1)  # (B, d, rows)
    x0, x1 = torch.gather(knots, -1, right - 1), torch.gather(knots, -1, right)
    y0, y1 = torch.gather(heights, -1, right - 1), torch.gather(heights, -1, right)
    share = ((columns - x0) / torch.where(x1 > x0, x1 - x0, 1.0)).clamp(0, 1)
    bent = y0 + share * (y1 - y0)
    few = (ordered[..., 1:] > ordered[..., :-1]).sum(-1, keepdim=True) < KNOTS  # (B, d, 1): every value is a knot
    return torch.where(few, (_scores(ordered, columns) - centre) / scale, bent).mT


def _scores(ordered: Tensor, values: Tensor) -> Tensor:
    """Normal scores of values (..., m) by their mid-rank among ``ordered`` (..., n)."""
    n = ordered.shape[-1]
    rank = (torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True)) / (2 * n)
    return torch.special.ndtri(rank.clamp(0.5 / n, 1 - 0.5 / n))
