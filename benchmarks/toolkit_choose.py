"""Which generator? All of them generate the same target (an MLP 1-40-40-1) from the same deep set, nothing solved.

Tasks: y = a tanh(b x + c), a in [-2, 2], b in [.5, 2], c in [-1, 1], x in [-3, 3]; ten points are read.

    python benchmarks/toolkit_choose.py [--iterations 1000] [--seeds 3]       # writes results/toolkit_choose.csv

Mean squared error on 1,000 fixed tasks after few iterations: what is easy to train, not what is possible. Costs: toolkit_speed.py.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
import time
from pathlib import Path

import torch
from torch import nn

from netloom.toolkit import conditioning, hypernetize
from netloom.toolkit.generators import GENERATORS

SHOTS, TASKS = 10, 32


def sample(tasks: int, rows: int, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    a, b, c = (torch.rand(tasks, 1, 1, generator=g) for _ in range(3))
    x = torch.rand(tasks, rows, 1, generator=g) * 6 - 3
    return x, (4 * a - 2) * torch.tanh((0.5 + 1.5 * b) * x + 2 * c - 1)


def score(model: nn.Module) -> tuple[float, float]:
    x, y = sample(1000, SHOTS + 50, torch.Generator().manual_seed(10**6))
    model.eval()
    with torch.no_grad():
        each = (model(x[:, :SHOTS], y[:, :SHOTS], x[:, SHOTS:]) - y[:, SHOTS:]).square().mean((1, 2))
    return float(each.mean()), float(each.std() / len(each) ** 0.5)


class Model(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.target = hypernetize(nn.Sequential(nn.Linear(1, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 1)))
        self.read = conditioning.DeepSet(1, 1, 64, hidden=128)
        self.generate = GENERATORS[kind](self.target.shapes, 64, start=self.target.initial(), spread=0.3)

    def forward(self, x, y, query):
        return self.target(self.generate(self.read(x, y)), query)


def train(kind: str, seed: int, iterations: int) -> dict[str, object]:
    torch.manual_seed(seed)
    g, model = torch.Generator().manual_seed(seed), Model(kind)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=iterations, pct_start=0.1, cycle_momentum=False)
    began = time.process_time()
    for _ in range(iterations):
        x, y = sample(TASKS, SHOTS + 20, g)
        loss = (model(x[:, :SHOTS], y[:, :SHOTS], x[:, SHOTS:]) - y[:, SHOTS:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    taken = time.process_time() - began
    mse, error = score(model)
    learned = sum(p.numel() for p in model.generate.parameters())
    return dict(
        generator=kind,
        seed=seed,
        iterations=iterations,
        learned=learned,
        mse=f"{mse:.4f}",
        standard_error=f"{error:.4f}",
        cpu_seconds=round(taken),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed; if not 0, rows are added to the file")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "toolkit_choose.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("a" if options.first else "w", newline="") as file:
        for seed in range(options.first, options.first + options.seeds):
            for kind in GENERATORS:
                row = train(kind, seed, options.iterations)
                if seed == 0 and kind == next(iter(GENERATORS)):
                    writer = csv.DictWriter(file, list(row))
                    writer.writeheader()
                writer.writerow(row)
                file.flush()
                print(row, flush=True)


if __name__ == "__main__":
    main()
