"""Many small image tasks from scikit-learn's digits: each task turns the images and gives five digits other labels.

    python examples/digit_tasks.py [--iterations 1000] [--out FOLDER]

The hypernetwork reads ten labelled images, two of each digit, and generates a small convolutional network for them: the low-rank
difference of its weights. It ends in features; ridge solves the layer from features to labels, so no label has to be learned by heart.
Tested on new images and labels, beside the same solved layer on the same network shared by all tasks, and on the pixels.
"""

import argparse
from pathlib import Path

import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from torch import nn

from netloom.toolkit import HyperNetwork, conditioning, generators, heads, hypernetize

plt.switch_backend("Agg")
SHOTS, QUERY, TASKS, WAYS = 10, 50, 16, 5


def sample(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x (B, rows, 1, 8, 8) and labels (B, rows): five digits under new labels, turned by a quarter, half or three quarters, or not."""
    xs, ys = [], []
    for _ in range(TASKS):
        digits = torch.randperm(10)[:WAYS]
        of_each = [(labels == digit).nonzero().flatten() for digit in digits]
        rows = torch.stack([known[torch.randperm(len(known))[: (SHOTS + QUERY) // WAYS]] for known in of_each], 1).flatten()
        xs.append(torch.rot90(images[rows], int(torch.randint(4, ())), (1, 2))[:, None])
        ys.append((labels[rows, None] == digits).float().argmax(1))
    return torch.stack(xs), torch.stack(ys)


class Solved(nn.Module):
    """Ridge from features to labels, on features from a network that is generated, shared, or not there."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.log_penalty, self.log_scale = kind, nn.Parameter(torch.tensor(0.0)), nn.Parameter(torch.tensor(1.0))
        self.net: nn.Module = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 64), nn.ReLU())
        if kind == "generated":
            target = hypernetize(self.net)
            generate = generators.LowRank(target.shapes, 32, rank=8, start=target.initial(), spread=0.3)
            self.net = HyperNetwork(target, generate, conditioning.DeepSet(64, WAYS, 32, hidden=128))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Scores (B, QUERY, WAYS) of the rows after the first SHOTS, whose labels alone are read."""
        known = nn.functional.one_hot(y[:, :SHOTS], WAYS).float()
        if self.kind == "generated":
            features = self.net((x[:, :SHOTS].flatten(2), known), x)
        else:
            features = x.flatten(2) if self.kind == "pixels" else self.net(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return self.log_scale.exp() * heads.ridge(features[:, :SHOTS], known, self.log_penalty.exp())(features[:, SHOTS:])


def learn(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, iterations: int) -> list[float]:
    """Accuracy on the rows that were not read, at each iteration."""
    optimizer, curve = torch.optim.Adam(model.parameters(), lr=2e-3), []
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=iterations, cycle_momentum=False)
    for _ in range(iterations):
        x, y = sample(images, labels)
        out, asked = model(x, y), y[:, SHOTS:]
        optimizer.zero_grad()
        nn.functional.cross_entropy(out.flatten(0, 1), asked.flatten()).backward()
        optimizer.step()
        schedule.step()
        curve.append(float((out.argmax(-1) == asked).float().mean()))
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    X, y = load_digits(return_X_y=True)
    images, labels = torch.tensor(X / 8 - 1).float().view(-1, 8, 8), torch.tensor(y)
    for kind in ("generated", "shared", "pixels"):
        torch.manual_seed(0)
        model = Solved(kind)
        curve = learn(model, images[:1200], labels[:1200], options.iterations)
        with torch.no_grad():
            torch.manual_seed(1)  # the same 320 tasks for all
            tests = [sample(images[1200:], labels[1200:]) for _ in range(20)]
            right = torch.cat([(model(a, b).argmax(-1) == b[:, SHOTS:]).float().mean(1) for a, b in tests])
        print(f"{kind} features: {right.mean():.3f} +- {right.std() / 320**0.5:.3f} right on 320 new tasks (chance: {1 / WAYS:.2f})")
        axes.plot([sum(part) / len(part) for part in zip(*[iter(curve)] * 20, strict=False)], label=f"{kind} features")
    axes.axhline(1 / WAYS, color="0.6", linestyle=":", label="chance")
    axes.set(xlabel="iterations / 20", ylabel="right, of rows that were not read", title="Digits, turned and relabelled", ylim=(0, 1))
    axes.legend(frameon=False)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "digit_tasks.png", dpi=120)


if __name__ == "__main__":
    main()
