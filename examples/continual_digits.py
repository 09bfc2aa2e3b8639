"""Continual learning (von Oswald et al. 2020): digits two by two, one after the other, without the earlier ones ever coming back.

    python examples/continual_digits.py [--out FOLDER]

A network is generated from a task's embedding. While a new task is learned, a regulariser holds what the hypernetwork generated for the
earlier ones: it remembers five networks by five embeddings, not by their data. Beside it: the same without the regulariser, and one that
sees all tasks at once (joint), the most that can be reached.
"""

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from netloom.toolkit import conditioning, generators, hypernetize

PAIRS, STEPS, BATCH = 5, 150, 64


def tasks(seed: int) -> list[tuple[torch.Tensor, ...]]:
    """Five tasks: 0 or 1, 2 or 3, ...: training images, labels, test images, labels."""
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(torch.tensor(X / 8 - 1).float(), torch.tensor(y), test_size=0.3, random_state=seed, stratify=y)
    train_X, test_X, train_y, test_y = parts
    train, test = ([y // 2 == t for t in range(PAIRS)] for y in (train_y, test_y))
    return [(train_X[a], train_y[a] % 2, test_X[b], test_y[b] % 2) for a, b in zip(train, test, strict=True)]


def learn(seed: int, way: str) -> list[list[float]]:
    """Test accuracy of every task seen so far, after each task; ``way`` is "regularised", "forgetful" or "joint"."""
    torch.manual_seed(seed)
    data = tasks(seed)
    target = hypernetize(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2)))
    read = conditioning.TaskId(PAIRS, 8)
    generate = generators.Chunked(target.shapes, 8, chunk=200, hidden=64, spread=0.5)

    def loss(chosen: list[int]) -> torch.Tensor:
        rows = [torch.randint(len(data[t][0]), (BATCH,)) for t in chosen]
        x = torch.stack([data[t][0][i] for t, i in zip(chosen, rows, strict=True)])
        y = torch.stack([data[t][1][i] for t, i in zip(chosen, rows, strict=True)])
        return nn.functional.cross_entropy(target(generate(read(torch.tensor(chosen))), x).flatten(0, 1), y.flatten())

    @torch.no_grad()
    def accuracy(t: int) -> float:
        out = target(generate(read(torch.tensor([t]))), data[t][2][None])[0]
        return float((out.argmax(-1) == data[t][3]).float().mean())

    history = []
    for t in range(PAIRS):
        before = list(range(t))
        with torch.no_grad():  # what is generated for the earlier tasks now, to be held
            held = generate(read(torch.tensor(before))) if before else {}
        optimizer = torch.optim.Adam([*generate.parameters(), *read.parameters()], lr=1e-3)
        for _ in range(STEPS):
            total = loss(list(range(PAIRS)) if way == "joint" else [t])
            if before and way == "regularised":
                now = generate(read(torch.tensor(before)))
                total = total + 10.0 * sum((now[name] - held[name]).square().sum() for name in held) / len(before)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        history.append([accuracy(s) for s in range(t + 1)])
    return history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for way in ("joint", "regularised", "forgetful"):
        history = learn(0, way)
        axes.plot(range(1, PAIRS + 1), [sum(h) / len(h) for h in history], marker="o", label=way)
        print(f"{way:12} after the last task: mean {sum(history[-1]) / PAIRS:.3f}, by task {' '.join(f'{a:.2f}' for a in history[-1])}")
    axes.set(xlabel="tasks learned", ylabel="mean test accuracy of all tasks so far", title="Split digits", xticks=range(1, PAIRS + 1))
    axes.legend(frameon=False)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "continual_digits.png", dpi=120)


if __name__ == "__main__":
    main()
