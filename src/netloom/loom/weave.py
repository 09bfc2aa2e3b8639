"""From a hypernetwork's tokens to the layers of a plain network: fold every scaling into weights and biases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from netloom.errors import NotWovenError
from netloom.loom.batch import Batch, Sample
from netloom.loom.hypernetwork import Hypernetwork, Woven
from netloom.loom.keys import normals
from netloom.loom.rows import Rows
from netloom.target.cells import cell_positions
from netloom.target.weights import CLIP, Layer, View

__all__ = ["Threads", "halved", "sample_of", "weave_layers"]


@dataclass(frozen=True, eq=False)
class Threads:
    """What one weaving gives: layers on a view, and of each feature (cells of the view, then neurons) its prior scale in the readout,
    its mean and its deviation on the rows that the loom read.
    """

    layers: tuple[Layer, ...]
    prior: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    penalty: float


def sample_of(rows: Rows, view: View) -> Sample:
    """Rows of a task as the loom sees them through a view; extreme targets are cut at six deviations."""
    targets = rows.targets if rows.codes is not None else np.clip(rows.targets, -CLIP, CLIP)
    keys = rows.columns[view.columns]
    kind = int(rows.codes is None)
    return Sample(view.values(rows.X), view.many, view.thresholds, targets.astype(np.float32), rows.weight, kind, keys, rows.outputs)


@torch.no_grad()
def weave_layers(loom: Hypernetwork, samples: list[Sample], *, seeds: Sequence[int], blocks: int = 3) -> list[Threads]:
    """Weave a batch of tasks in one pass; ``seeds``, one per task, are those of the identities."""
    batch = Batch.of(samples, loom.column0.device)
    columns = _identities([s.columns for s in samples], loom.D, [2 * seed for seed in seeds])
    outputs = _identities([s.outputs for s in samples], loom.D, [2 * seed + 1 for seed in seeds])
    woven = loom(batch, columns.to(batch.cells.device), outputs.to(batch.cells.device), blocks=blocks, readouts_too=False)
    return [_fold(woven, b, s) for b, s in enumerate(samples)]


def _identities(keys: list[np.ndarray], D: int, seeds: Sequence[int]) -> torch.Tensor:
    """Random vectors (B, most, D) that tell columns, or outputs, apart."""
    vectors = torch.zeros(len(keys), max(map(len, keys)), D)
    for b, (own, seed) in enumerate(zip(keys, seeds, strict=True)):
        vectors[b, : len(own)] = torch.as_tensor(normals(own, D, seed), dtype=torch.float32)
    return vectors


def _fold(woven: Woven, b: int, sample: Sample) -> Threads:
    """Task ``b`` of the batch as plain layers in float64, then float32."""
    place = cell_positions(sample.many, sample.z.shape[1])  # live cells in the (d, K) layout

    def own(batched: torch.Tensor, rows: Any = slice(None)) -> np.ndarray:
        return batched[b].numpy(force=True)[rows].astype(np.float64)

    centre, scale = own(woven.centre, place), own(woven.scale, place)
    relevance, means, scales = [own(woven.relevance, place)], [centre], [scale]
    layers: list[Layer] = []
    for t, block in enumerate(woven.blocks):
        W = own(block.weight, place) / scale[:, None]
        bias = own(block.bias) - centre @ W
        onto = None
        if block.onto is not None:
            onto = own(block.onto) / np.concatenate(scales[1:])[:, None]
            bias = bias - np.concatenate(means[1:]) @ onto
        layers.append(Layer(0, halved(W), checked(bias).astype(np.float32), tuple(range(t)), None if onto is None else halved(onto)))
        relevance.append(own(block.relevance))
        means.append(own(block.centre))
        scales.append(own(block.scale))
    deviation = np.concatenate(scales)
    return Threads(tuple(layers), np.concatenate(relevance) / deviation, np.concatenate(means), deviation, float(woven.penalty[b]))


def halved(a: np.ndarray) -> np.ndarray:
    """Weights rounded to what half precision can hold, as float32: two bytes each in a file; readouts are solved for the rounded ones."""
    return torch.as_tensor(checked(a)).clamp(-6e4, 6e4).half().float().numpy()  # numpy converts several times slower


def checked(a: np.ndarray) -> np.ndarray:
    """The same array; NotWovenError if it is not finite."""
    if not np.isfinite(a).all():
        raise NotWovenError("the loom wove weights that are not finite; its own weights are damaged, load them again")
    return a
