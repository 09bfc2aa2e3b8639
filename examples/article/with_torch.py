"""The article's example in PyTorch: a network reads a task's data and emits the parameters of another network.

    python examples/article/with_torch.py [--out FOLDER]

Targets: sigma(W x + b), a multilayer perceptron, a support vector machine. The loop is the article's: generate, train the hypernetwork
until the target is satisfactory on this task, next task. Every step also repeats up to 15 earlier tasks, all networks at once: with the
newest task alone the hypernetwork moves to it and forgets the rest, and later tasks go no faster (measured: docs/decisions/0012).
"""

import argparse
import random
from pathlib import Path

import torch
from article_tasks import LIMIT, TASKS, D, Task, draw, loss_of, rows_to_read, sample_task, satisfactory, summary
from torch import nn

from netloom.toolkit import HyperNetwork, conditioning, generators, hypernetize

TARGETS = {
    "sigma": lambda: nn.Sequential(nn.Linear(D, 1), nn.Sigmoid()),
    "mlp": lambda: nn.Sequential(nn.Linear(D, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid()),
    "svm": lambda: nn.Linear(D, 1),
}


def build(name: str) -> HyperNetwork:
    target = hypernetize(TARGETS[name]())
    return HyperNetwork(target, generators.Full(target.shapes, 32, spread=1.0), conditioning.DeepSet(D, 2, 32, hidden=128))


def loop(name: str, tasks: int = TASKS, seed: int = 0, repeat: int = 15) -> list[int]:
    """Steps until satisfactory, task by task; the hypernetwork stays, only the task changes."""
    torch.manual_seed(seed)
    random.seed(seed)
    g = torch.Generator().manual_seed(seed)
    hypernet = build(name)
    optimizer = torch.optim.Adam(hypernet.parameters(), lr=1e-3)
    needed: list[int] = []
    known: list[Task] = []
    for _ in range(tasks):
        task = sample_task(g)
        known.append(task)
        for step in range(LIMIT + 1):
            with torch.no_grad():
                out = hypernet(rows_to_read([task]), task.query[None])[0]  # generate, then run the generated network
            if satisfactory(name, task.kind, out, task.answer) or step == LIMIT:
                break
            batch = [task, *random.sample(known[:-1], min(repeat, len(known) - 1))]
            out = hypernet(rows_to_read(batch), torch.stack([one.x for one in batch]))  # (B, 40, 1)
            loss = loss_of(name, batch, out)
            optimizer.zero_grad()
            loss.backward()  # through the targets into the hypernetwork
            optimizer.step()
        needed.append(step)
    return needed


def from_scratch(name: str, tasks: int = TASKS, seed: int = 0) -> list[int]:
    """The same targets without a hypernetwork: random weights, trained anew for every task."""
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    needed = []
    for _ in range(tasks):
        task, net = sample_task(g), TARGETS[name]()
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        for step in range(LIMIT + 1):
            if satisfactory(name, task.kind, net(task.query), task.answer) or step == LIMIT:
                break
            optimizer.zero_grad()
            loss_of(name, [task], net(task.x)[None]).backward()
            optimizer.step()
        needed.append(step)
    return needed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    curves = {}
    for name in TARGETS:
        curves[f"{name}, hypernetwork"] = loop(name, options.tasks)
        curves[f"{name}, from scratch"] = from_scratch(name, options.tasks)
        print(f"{name:6} hypernetwork  {summary(curves[f'{name}, hypernetwork'])}")
        print(f"{name:6} from scratch  {summary(curves[f'{name}, from scratch'])}")
    draw(curves, options.out / "article_torch.png", "PyTorch: the later the task, the faster")


if __name__ == "__main__":
    main()
