"""Tasks of similar size in one padded batch: what the loom reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from netloom.target.cells import K

__all__ = ["Batch", "Sample"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One task as the loom sees it: z (n, d) standardised, many (m,) columns with more than two values, thresholds (m, 4),
    targets (n, O) one-hot or z-scored, weight (n,) > 0, kind 0 for classes and 1 for regression; columns (d,) and outputs (O,) are keys
    of their content, from which their identities are drawn.
    """

    z: np.ndarray
    many: np.ndarray
    thresholds: np.ndarray
    targets: np.ndarray
    weight: np.ndarray
    kind: int
    columns: np.ndarray
    outputs: np.ndarray


@dataclass(frozen=True, eq=False)
class Batch:
    """B padded tasks. cells (B, n, d, K), zero where padded or dead; weight (B, n) with mean 1 over the real rows, 0 for padding; beside
    (B, n, q), in training: features of someone else's making that share the readout with the woven ones, centred and scaled.
    """

    cells: Tensor
    weight: Tensor
    columns: Tensor  # (B, d) True for real columns
    targets: Tensor  # (B, n, O)
    outputs: Tensor  # (B, O) True for real outputs
    kind: Tensor  # (B,)
    beside: Tensor | None = None

    @classmethod
    def of(cls, samples: Sequence[Sample], device: str | torch.device = "cpu") -> "Batch":
        """Pad ``samples`` to their largest rows, columns and outputs."""
        B = len(samples)
        n, d = max(len(s.z) for s in samples), max(s.z.shape[1] for s in samples)
        O = max(s.targets.shape[1] for s in samples)
        z, thresholds, live = torch.zeros(B, n, d), torch.zeros(B, d, 4), torch.zeros(B, d, K)
        weight, targets = torch.zeros(B, n), torch.zeros(B, n, O)
        columns, outputs = torch.zeros(B, d, dtype=torch.bool), torch.zeros(B, O, dtype=torch.bool)
        for b, s in enumerate(samples):
            rows, width = s.z.shape
            z[b, :rows, :width] = torch.as_tensor(s.z)
            weight[b, :rows] = torch.as_tensor(s.weight / s.weight.mean(), dtype=torch.float32)
            targets[b, :rows, : s.targets.shape[1]] = torch.as_tensor(s.targets, dtype=torch.float32)
            columns[b, :width], outputs[b, : s.targets.shape[1]] = True, True
            live[b, :width, 0] = 1
            many = torch.as_tensor(s.many, dtype=torch.long)
            live[b, many] = 1
            thresholds[b, many] = torch.as_tensor(s.thresholds)
        z, thresholds, live, weight = z.to(device), thresholds.to(device), live.to(device), weight.to(device)
        cells = cells_of(z, thresholds) * live[:, None] * weight.gt(0)[..., None, None]
        kind = torch.tensor([s.kind for s in samples], device=device)
        return cls(cells, weight, columns.to(device), targets.to(device), outputs.to(device), kind)


def cells_of(z: Tensor, thresholds: Tensor) -> Tensor:
    """The cells of `netloom.target.cells` in torch: z (B, n, d), thresholds (B, d, 4) -> (B, n, d, K)."""
    steps = torch.tanh(3 * (z[..., None] - thresholds[:, None]))
    smooth = torch.stack([z, torch.tanh(2 * z), torch.cos(2 * z), 0.5 * (z * z - 1).clamp(-3, 6)], -1)
    return torch.cat([smooth, steps], -1)


def one_hot(codes: np.ndarray, classes: int) -> np.ndarray:
    """Class numbers (n,) as (n, classes) float32."""
    return np.eye(classes, dtype=np.float32)[codes]
