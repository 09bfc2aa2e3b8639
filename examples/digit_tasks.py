"""Many small image tasks from scikit-learn's digits: each task rotates the images and gives the digits other labels.

    python examples/digit_tasks.py [--iterations 400] [--out FOLDER]

The hypernetwork reads 50 labelled images and generates a small convolutional network for them: the low-rank difference of its weights, all
at once. Tested on images, rotations and label permutations that were not in training.
"""

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

from netloom.toolkit import HyperNetwork, conditioning, generators, hypernetize

SHOTS, QUERY, TASKS, WAYS = 50, 50, 16, 5


def sample(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x (B, rows, 1, 8, 8) and labels (B, rows): five digits under new labels, turned by a quarter, half or three quarters, or not."""
    xs, ys = [], []
    for _ in range(TASKS):
        digits = torch.randperm(10)[:WAYS]
        of_each = [(labels == digit).nonzero().flatten() for digit in digits]
        rows = torch.cat([known[torch.randperm(len(known))[: (SHOTS + QUERY) // WAYS]] for known in of_each])
        rows = rows[torch.randperm(len(rows))]
        xs.append(torch.rot90(images[rows], int(torch.randint(4, ())), (1, 2))[:, None])
        ys.append((labels[rows, None] == digits).float().argmax(1))
    return torch.stack(xs), torch.stack(ys)


class Read(nn.Module):
    """What 50 labelled images say: their pixels and labels, through attention."""

    def __init__(self) -> None:
        super().__init__()
        self.set = conditioning.AttentionSet(64, WAYS, 64, hidden=64, depth=1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.set(x.flatten(2), nn.functional.one_hot(y, WAYS).float())


def build() -> HyperNetwork:
    convolution = nn.Conv2d(1, 8, 3, stride=2, padding=1)
    target = hypernetize(nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, WAYS)))
    return HyperNetwork(target, generators.LowRank(target.shapes, 64, rank=8, start=target.initial(), spread=0.3), Read())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    torch.manual_seed(0)
    X, y = load_digits(return_X_y=True)
    images, labels, hypernet = torch.tensor(X / 8 - 1).float().view(-1, 8, 8), torch.tensor(y), build()
    optimizer = torch.optim.Adam(hypernet.parameters(), lr=1e-3)
    curve = []
    for i in range(options.iterations):
        a, b = sample(images[:1200], labels[:1200])
        out = hypernet((a[:, :SHOTS], b[:, :SHOTS]), a[:, SHOTS:])  # (B, QUERY, WAYS)
        loss = nn.functional.cross_entropy(out.flatten(0, 1), b[:, SHOTS:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i % 10 == 0:
            curve.append((i, float((out.argmax(-1) == b[:, SHOTS:]).float().mean())))
    with torch.no_grad():
        right = []
        for _ in range(20):
            a, b = sample(images[1200:], labels[1200:])
            right.append((hypernet((a[:, :SHOTS], b[:, :SHOTS]), a[:, SHOTS:]).argmax(-1) == b[:, SHOTS:]).float().mean(1))
    accuracy = torch.cat(right)
    spread = accuracy.std() / len(accuracy) ** 0.5
    print(f"accuracy on 320 new tasks of new images: {accuracy.mean():.3f} +- {spread:.3f} (chance: {1 / WAYS:.2f})")
    print(f"path: {hypernet.target.path}, {hypernet.target.count} weights generated per task")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(*zip(*curve, strict=True))
    axes.set(xlabel="iteration", ylabel="accuracy on the rows not read", title="Digits, rotated and relabelled", ylim=(0, 1))
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "digit_tasks.png", dpi=120)


if __name__ == "__main__":
    main()
