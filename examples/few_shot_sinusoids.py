"""Few-shot regression: ten points of a sine with its own amplitude and phase; a hypernetwork generates the network that draws the rest.

    python examples/few_shot_sinusoids.py [--iterations 1500] [--out FOLDER]

A deep set reads the ten points and FiLM generates the features; the last layer is solved by ridge, with gradients through the solution.
"""

import argparse
import math
from pathlib import Path

import torch
from torch import nn

from netloom.toolkit import conditioning, generators, heads, hypernetize


def sample(tasks: int, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    amplitude, phase = torch.rand(tasks, 1, 1) * 4.9 + 0.1, torch.rand(tasks, 1, 1) * math.pi
    x = torch.rand(tasks, rows, 1) * 10 - 5
    return x, amplitude * torch.sin(x - phase)


target = hypernetize(nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()))
read = conditioning.DeepSet(1, 1, 16)
generate = generators.FiLM(target.shapes, 16, start=target.initial())
log_penalty = nn.Parameter(torch.tensor(-3.0))


def predict(x: torch.Tensor, y: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Values (B, m, 1) at query (B, m, 1), from ten points x, y (B, 10, 1)."""
    parameters = generate(read(x / 5, y / 5))
    readout = heads.ridge(target(parameters, x / 5), y, log_penalty.exp())
    return readout(target(parameters, query / 5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    torch.manual_seed(0)
    learned = [*read.parameters(), *generate.parameters(), log_penalty]
    optimizer = torch.optim.Adam(learned, lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=options.iterations, cycle_momentum=False)
    for _ in range(options.iterations):
        x, y = sample(32, 30)
        loss = (predict(x[:, :10], y[:, :10], x[:, 10:]) - y[:, 10:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        x, y = sample(500, 110)
        error = (predict(x[:, :10], y[:, :10], x[:, 10:]) - y[:, 10:]).square().mean((1, 2))
        print(f"mean squared error on 500 new sines: {error.mean():.4f} +- {error.std() / 500**0.5:.4f} (their variance: {y.var():.2f})")
        line = torch.linspace(-5, 5, 200)[None, :, None].expand(3, -1, -1)
        drawn = predict(x[:3, :10], y[:3, :10], line)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, all_axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained", sharey=True)
    for i, axes in enumerate(all_axes):
        order = x[i, 10:, 0].argsort()
        axes.plot(x[i, 10:, 0][order], y[i, 10:, 0][order], color="0.7", linewidth=4, label="the sine")
        axes.plot(line[i, :, 0], drawn[i, :, 0], label="generated network")
        axes.plot(x[i, :10, 0], y[i, :10, 0], "ko", markersize=4, label="ten points")
    all_axes[0].legend(frameon=False, fontsize=8)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "few_shot_sinusoids.png", dpi=120)


if __name__ == "__main__":
    main()
