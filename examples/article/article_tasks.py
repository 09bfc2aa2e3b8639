"""The tasks of the article's example: classification and regression mixed, when a network is satisfactory, and the picture of the loop.

Every task has 40 labelled rows for the hypernetwork to read and 200 more to judge by, x in 4 dimensions, a direction and an offset of
its own.
"""

from pathlib import Path
from typing import NamedTuple

import torch

D, SUPPORT, QUERY, TASKS, LIMIT = 4, 40, 200, 120, 200  # LIMIT: steps on one task, satisfactory or not


class Task(NamedTuple):
    kind: str  # "classification" (y 0 or 1) or "regression" (y between 0 and 1)
    x: torch.Tensor  # (40, 4)
    y: torch.Tensor  # (40, 1)
    query: torch.Tensor  # (200, 4)
    answer: torch.Tensor  # (200, 1)


def sample_task(g: torch.Generator) -> Task:
    kind = "classification" if torch.rand((), generator=g) < 0.5 else "regression"
    direction = torch.randn(D, 1, generator=g)
    direction, offset = 3 * direction / direction.norm(), 0.5 * torch.randn((), generator=g)
    x = torch.randn(SUPPORT + QUERY, D, generator=g)
    score = x @ direction + offset + 0.2 * torch.randn(SUPPORT + QUERY, 1, generator=g)
    y = (score > 0).float() if kind == "classification" else torch.sigmoid(score)
    return Task(kind, x[:SUPPORT], y[:SUPPORT], x[SUPPORT:], y[SUPPORT:])


def rows_to_read(tasks: list[Task]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the hypernetwork sees: rows (B, 40, 4), and beside each label which kind of task it is (B, 40, 2)."""
    y = torch.stack([task.y for task in tasks])
    return torch.stack([task.x for task in tasks]), torch.cat([2 * y - 1, kinds(tasks).expand_as(y).float()], -1)


def kinds(tasks: list[Task]) -> torch.Tensor:
    """Which tasks are classification (B, 1, 1)."""
    return torch.tensor([task.kind == "classification" for task in tasks])[:, None, None]


def loss_of(target: str, tasks: list[Task], out: torch.Tensor) -> torch.Tensor:
    """Mean loss of outputs (B, 40, 1). An SVM has its own: hinge, and an insensitive band; the others have cross-entropy and squares."""
    y = torch.stack([task.y for task in tasks])
    if target == "svm":
        hinge = (1 - (2 * y - 1) * out).clamp(min=0)
        band = ((out - (2 * y - 1)).abs() - 0.05).clamp(min=0)
        return torch.where(kinds(tasks), hinge, band).mean()
    entropy = torch.nn.functional.binary_cross_entropy(out.clamp(1e-6, 1 - 1e-6), y, reduction="none")
    return torch.where(kinds(tasks), entropy, 4 * (out - y).square()).mean()


def satisfactory(target: str, kind: str, out: torch.Tensor, y: torch.Tensor) -> bool:
    """90 % right, or 80 % of the variance explained, on rows that were not read."""
    if kind == "classification":
        return float(((out > (0 if target == "svm" else 0.5)) == (y > 0.5)).float().mean()) >= 0.9
    out = (out + 1) / 2 if target == "svm" else out
    return bool(1 - (out - y).square().mean() / y.var(correction=0) >= 0.8)


def summary(steps: list[int]) -> str:
    first, last = sorted(steps[:10]), sorted(steps[-40:])
    at_once = sum(s == 0 for s in last) / len(last)
    middle = [some[len(some) // 2] for some in (first, last)]
    return f"median steps, first 10 tasks: {middle[0]:>3}, last 40: {middle[1]:>3}; satisfactory at once: {at_once:.0%} of those"


def draw(curves: dict[str, list[int]], path: Path, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    for name, steps in curves.items():
        smooth = [sum(steps[max(0, i - 9) : i + 1]) / (i + 1 - max(0, i - 9)) for i in range(len(steps))]
        axes.plot(range(1, len(steps) + 1), smooth, label=name, linestyle=":" if "scratch" in name else "-")
    axes.set(xlabel="task", ylabel="steps until satisfactory (mean of 10 tasks)", title=title, yscale="symlog")
    figure.legend(frameon=False, loc="outside right center")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"picture: {path}")
