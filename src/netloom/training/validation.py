"""How good a loom is: a fixed set of synthetic tasks, and real tables that it was not trained on."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from netloom.errors import NotWovenError
from netloom.loom.hypernetwork import Hypernetwork
from netloom.tasks.priors import Draw, draw_sizes, sample
from netloom.tasks.real import held_out
from netloom.training.feed import Fed, feed
from netloom.training.loss import identities
from netloom.training.settings import Settings
from netloom.training.sources import Sources

__all__ = ["Validation", "auc"]

BLOCKS = 3
SEED = 2**40  # no training seed draws these tasks
WORK = 6.0


class Validation:
    """The sets are drawn once; `scores` weaves them all."""

    def __init__(self, settings: Settings, sources: Sources, device: torch.device) -> None:
        self.settings, self.device = settings, device
        tables = list(sources.others)
        if settings.suite:
            from netloom.tasks.pack import load_tables

            seen = {table.name for table in [*sources.tables, *sources.others]}
            tables += [t.to(device) for t in load_tables(settings.suite, sources.notes.append, any_licence=True) if t.name not in seen]
        self.real = [task for task in map(held_out, tables) if task is not None]

    @torch.no_grad()
    def scores(self, loom: Hypernetwork) -> dict[str, float]:
        """Means over batches: loss, of classes and values; over real tables: loss, AUC and R2. What does not exist is left out."""
        scores = {}
        drawn: dict[str, list[float]] = {"classes": [], "values": []}
        for i in range(self.settings.validation):
            draw = Draw(SEED, 0, i, self.device)
            fed = feed(sample(draw, draw_sizes(draw, self.settings.ranges, WORK)), beside=self._beside(draw))
            out = self._predict(loom, fed, draw)
            if out is not None:
                drawn["classes" if fed.outputs else "values"].append(float(_loss(out, fed)))
        scores["loss"] = _mean(drawn["classes"] + drawn["values"])
        scores |= {name: _mean(values) for name, values in drawn.items() if values}
        losses, aucs, r2s = [], [], []
        for i, tasks in enumerate(self.real):
            draw = Draw(SEED, 1, i, self.device)
            fed = feed(tasks, beside=self._beside(draw))
            out = self._predict(loom, fed, draw)
            if out is None:
                continue
            losses.append(float(_loss(out, fed)))
            if fed.outputs:
                aucs.append(auc(out[0], fed.targets[0], fed.outputs))
            else:
                left = (out - fed.targets).square().mean() / fed.targets.var(correction=0).clamp(min=1e-9)
                r2s.append(1 - float(left))
        for name, values in (("real loss", losses), ("real auc", aucs), ("real r2", r2s)):
            if values:
                scores[name] = _mean(values)
        return scores

    def _beside(self, draw: Draw) -> Draw | None:
        return draw if self.settings.beside else None

    def _predict(self, loom: Hypernetwork, fed: Fed, draw: Draw) -> Tensor | None:
        """Outputs (B, m, O) after the last block; None where weaving failed."""
        columns, outputs = identities(fed, loom.D, draw.generator)
        try:
            woven = loom(fed.batch, columns, outputs, blocks=BLOCKS)
        except (NotWovenError, torch.linalg.LinAlgError):
            return None
        return woven.outputs(fed.cells, fed.beside)[-1]


def auc(logits: Tensor, y: Tensor, classes: int) -> float:
    """Area under the ROC curve: of class 1 of two, or the mean over classes against the rest, of logits (m, O) and labels (m,)."""
    probability = torch.softmax(logits, -1)
    areas = []
    for c in [1] if classes == 2 else range(classes):
        positive = y == c
        count = int(positive.sum())
        if not 0 < count < len(y):
            continue
        score = probability[:, c].contiguous()
        ordered = torch.sort(score).values
        rank = (torch.searchsorted(ordered, score) + torch.searchsorted(ordered, score, right=True) + 1) / 2  # ties share a rank
        areas.append(float((rank[positive].double().sum() - count * (count + 1) / 2) / (count * (len(y) - count))))
    return _mean(areas)


def _loss(out: Tensor, fed: Fed) -> Tensor:
    if fed.outputs:
        return F.cross_entropy(out.flatten(0, 1), fed.targets.flatten()) / math.log(fed.outputs)
    return F.mse_loss(out, fed.targets)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
