"""Few-shot sinusoids (Finn et al. 2017, protocol C): 10 points of a sine, predict the rest. Mean squared error on 2,000 fixed tasks.

    python benchmarks/toolkit_sinusoids.py --seeds 3        # all methods; results/README.md has the commands of what is there
    python benchmarks/toolkit_sinusoids.py --methods maml --iterations 2000

Methods: features (one shared network, ridge readout), generated (the network's weights generated from the support, ridge readout),
attention (all weights generated, nothing solved), deepset (the same with a deep set), maml (second order).
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
import math
import sys
import time
from pathlib import Path

import torch
from torch import nn

from netloom.toolkit import conditioning, generators, heads, hypernetize

SHOTS, TASKS = 10, 64


def sample(tasks: int, rows: int, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """x, y (B, rows, 1) of sines with amplitude .1 to 5, phase 0 to pi, x from -5 to 5."""
    amplitude = torch.rand(tasks, 1, 1, generator=g) * 4.9 + 0.1
    phase = torch.rand(tasks, 1, 1, generator=g) * math.pi
    x = torch.rand(tasks, rows, 1, generator=g) * 10 - 5
    return x, amplitude * torch.sin(x - phase)


class Features(nn.Module):
    """One network shared by all tasks; only its readout is per task, and solved."""

    def __init__(self, width: int = 64, features: int = 64) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, features), nn.Tanh())
        self.log_penalty = nn.Parameter(torch.tensor(-3.0))

    def forward(self, x, y, query):
        return heads.ridge(self.net(x / 5), y, self.log_penalty.exp())(self.net(query / 5))


class Generated(nn.Module):
    """The support generates the network, ridge solves its readout."""

    def __init__(self, width: int = 64, features: int = 64) -> None:
        super().__init__()
        net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, features), nn.Tanh())
        self.target = hypernetize(net)
        self.read = conditioning.DeepSet(1, 1, 16)
        self.generate = generators.FiLM(self.target.shapes, 16, start=self.target.initial(), spread=0.03)
        self.log_penalty = nn.Parameter(torch.tensor(-3.0))

    def forward(self, x, y, query):
        parameters = self.generate(self.read(x / 5, y / 5))
        out = self.target(parameters, torch.cat([x, query], 1) / 5)
        return heads.ridge(out[:, : x.shape[1]], y, self.log_penalty.exp())(out[:, x.shape[1] :])


class Hyper(nn.Module):
    """Everything generated, nothing solved: differences of rank 8 for the square matrix, the other weights in full."""

    def __init__(self, read: nn.Module, size: int, width: int = 40) -> None:
        super().__init__()
        net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        self.target, self.read = hypernetize(net), read
        self.generate = generators.LowRank(self.target.shapes, size, rank=8, start=self.target.initial(), hidden=(128,), spread=1.0)

    def forward(self, x, y, query):
        return 5 * self.target(self.generate(self.read(x / 5, y / 5)), query / 5)


class Maml(nn.Module):
    """A start from which five gradient steps on the support do well (Finn et al. 2017), ten of them when tested, as there; each
    parameter's step size is learned too (Li et al. 2017), which did better than the fixed .01.
    """

    def __init__(self, width: int = 40, steps: int = 5, rate: float = 0.01) -> None:
        super().__init__()
        net = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        self.target, self.steps = hypernetize(net, check=False), steps
        self.start = nn.ParameterList(self.target.initial().values())
        self.log_rates = nn.Parameter(torch.full((len(self.start),), rate).log())

    def forward(self, x, y, query):
        rates = self.log_rates.exp()
        with torch.enable_grad():
            fast = {name: p.expand(len(x), *p.shape) for name, p in zip(self.target.shapes, self.start, strict=True)}
            if not self.training:
                fast = {name: p.detach().requires_grad_() for name, p in fast.items()}
            for _ in range(self.steps if self.training else 2 * self.steps):
                loss = (self.target(fast, x) - y).square().mean((1, 2)).sum()
                slopes = torch.autograd.grad(loss, list(fast.values()), create_graph=self.training)
                fast = {name: p - rate * slope for (name, p), slope, rate in zip(fast.items(), slopes, rates, strict=True)}
        return self.target(fast, query)


METHODS = {
    "features": lambda: Features(),
    "generated": lambda: Generated(),
    "attention": lambda: Hyper(conditioning.AttentionSet(1, 1, 128, hidden=128, depth=2, queries=4), 128),
    "deepset": lambda: Hyper(conditioning.DeepSet(1, 1, 64, hidden=128), 64),
    "maml": lambda: Maml(),
}
RATES = {"features": 3e-3, "generated": 3e-3, "attention": 1e-3, "deepset": 1e-3, "maml": 3e-3}


def score(model: nn.Module) -> tuple[float, float]:
    """Mean squared error and its standard error over 2,000 tasks that are the same for all."""
    g = torch.Generator().manual_seed(10**6)
    x, y = sample(2000, SHOTS + 100, g)
    model.eval()
    with torch.no_grad():
        errors = [
            (model(a[:, :SHOTS], b[:, :SHOTS], a[:, SHOTS:]) - b[:, SHOTS:]).square().mean((1, 2))
            for a, b in zip(x.split(250), y.split(250), strict=True)
        ]
    model.train()
    each = torch.cat(errors)
    return float(each.mean()), float(each.std() / len(each) ** 0.5)


def train(name: str, seed: int, iterations: int) -> dict[str, object]:
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    model = METHODS[name]()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATES[name])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATES[name], total_steps=iterations, pct_start=0.05, cycle_momentum=False)
    began = time.process_time()
    for i in range(iterations):
        x, y = sample(TASKS, SHOTS + 20, g)
        loss = (model(x[:, :SHOTS], y[:, :SHOTS], x[:, SHOTS:]) - y[:, SHOTS:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0 if name != "maml" else 10.0)
        optimizer.step()
        schedule.step()
        if i % 1000 == 999:
            print(f"{name}, seed {seed}, iteration {i + 1}: loss {loss:.5f}", file=sys.stderr, flush=True)
    mse, error = score(model)
    return dict(
        method=name,
        seed=seed,
        iterations=iterations,
        mse=f"{mse:.6f}",
        standard_error=f"{error:.6f}",
        cpu_seconds=round(time.process_time() - began),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--iterations", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "toolkit_sinusoids.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in options.methods:
        for seed in range(options.first, options.first + options.seeds):
            row = train(name, seed, options.iterations)
            print(row, flush=True)
            new = not options.out.exists()
            with options.out.open("a", newline="") as file:  # one line per run: a run that is cut short leaves what it has
                writer = csv.DictWriter(file, list(row))
                if new:
                    writer.writeheader()
                writer.writerow(row)


if __name__ == "__main__":
    main()
