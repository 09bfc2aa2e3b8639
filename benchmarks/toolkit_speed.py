"""Speed of `netloom.toolkit`: B networks at once beside a Python loop, one network beside the bare module, and what each generator costs.

    python benchmarks/toolkit_speed.py            # writes results/toolkit_speed.csv and results/toolkit_generators.csv

Ratios are medians over rounds in which both sides run one after the other: on a shared machine only those mean something. One thread.
Each side is called several times in a row; "a call at a time" shows single calls too, which find the caches full of the other's numbers.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import copy
import csv
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from netloom.toolkit import hypernetize
from netloom.toolkit.generators import GENERATORS

RESULTS = Path(__file__).parent / "results"
B, ROWS, CALLS = 64, 10, 10

TARGETS = {  # name: (module, shape of one row)
    "mlp 1-40-40-1": (lambda: nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)), (1,)),
    "mlp 16-64-64-4": (lambda: nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4)), (16,)),
    "conv 8x8, 4 and 8 channels": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32, 10),
        ),
        (1, 8, 8),
    ),
    "conv 8x8, 8 and 16 channels": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(256, 10),
        ),
        (1, 8, 8),
    ),
    "gru 3-16, 12 steps": (lambda: nn.GRU(3, 16, batch_first=True), (12, 3)),
}


def paired(one, other, rounds: int, calls: int) -> tuple[float, float, list[float]]:
    """Median process seconds of a call of each and the quartiles of the ratios other / one, so many calls of each in turn."""
    one(), other()
    ones, others = [], []
    for _ in range(rounds):
        for call, taken in ((one, ones), (other, others)):
            began = time.process_time()
            for _ in range(calls):
                call()
            taken.append((time.process_time() - began) / calls)
    return statistics.median(ones), statistics.median(others), statistics.quantiles([b / a for a, b in zip(ones, others, strict=True)])


def first(out):
    return out[0] if isinstance(out, tuple) else out


def batched(name: str, gradients: bool, calls: int, rounds: int) -> dict[str, object]:
    """One call for 64 tasks beside a loop of plain modules that hold the same weights."""
    make, shape = TARGETS[name]
    module = make()
    target = hypernetize(module)
    parameters = {key: 0.3 * torch.randn(B, *size) for key, size in target.shapes.items()}
    x = torch.randn(B, ROWS, *shape)
    plain = [copy.deepcopy(module) for _ in range(B)]
    back = torch.randn_like(first(target(parameters, x)))  # what a loss would send back
    for b, one in enumerate(plain):
        one.load_state_dict({key: tensor[b] for key, tensor in parameters.items()})
    for tensor in parameters.values():
        tensor.requires_grad_(gradients)

    def together():
        out = first(target(parameters, x))
        if gradients:
            torch.autograd.grad(out, list(parameters.values()), back)

    def loop():
        for b, one in enumerate(plain):
            out = first(one(x[b]))
            if gradients:
                torch.autograd.grad(out, list(one.parameters()), back[b])

    with torch.set_grad_enabled(gradients):
        fast, slow, ratios = paired(together, loop, rounds, calls)
    return dict(
        what="batched" if calls > 1 else "batched, a call at a time",
        target=name,
        tasks=B,
        rows=ROWS,
        gradients=gradients,
        path=target.path,
        ours_us=round(fast * 1e6),
        other_us=round(slow * 1e6),
        ratio=f"{ratios[1]:.2f}",
        quartiles=f"{ratios[0]:.2f} to {ratios[2]:.2f}",
    )


def overhead(name: str, rows: int, gradients: bool, new: bool, rounds: int) -> dict[str, object]:
    """One task through the target beside the bare module. ``new``: every call brings other weights than the last."""
    make, shape = TARGETS[name]
    module = make()
    target = hypernetize(module)
    networks = [{key: tensor[None].clone().requires_grad_(gradients) for key, tensor in target.initial().items()} for _ in range(1 + new)]
    x = torch.randn(1, rows, *shape)
    back = torch.randn_like(first(target(networks[0], x)))

    def ours():
        for parameters in networks:
            out = first(target(parameters, x))
            if gradients:
                torch.autograd.grad(out, list(parameters.values()), back)

    def bare():
        for _ in networks:
            out = first(module(x[0]))
            if gradients:
                torch.autograd.grad(out, list(module.parameters()), back[0])

    with torch.set_grad_enabled(gradients):
        plain, lent, ratios = paired(bare, ours, rounds, 2 * CALLS // len(networks))
    return dict(
        what="one task, new weights at each call" if new else "one task, the same weights again",
        target=name,
        tasks=1,
        rows=rows,
        gradients=gradients,
        path=target.path,
        ours_us=round(lent / len(networks) * 1e6),
        other_us=round(plain / len(networks) * 1e6),
        ratio=f"{ratios[1]:.2f}",
        quartiles=f"{ratios[0]:.2f} to {ratios[2]:.2f}",
    )


GENERATED = {f"{i}.{part}": shape for i in range(3) for part, shape in (("weight", (128, 128)), ("bias", (128,)))}


def generator_cost(kind: str, rounds: int = 15) -> dict[str, object]:
    """Per generated parameter: learned parameters, time of a forward and backward for 16 tasks, peak memory of a process of its own."""
    generate = GENERATORS[kind](GENERATED, 32)
    z = torch.randn(16, 32)

    def step():
        out = generate(z)
        sum(tensor.sum() for tensor in out.values()).backward()

    step()
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        step()
        taken.append(time.process_time() - began)
    count = 16 * generate.count
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import toolkit_speed; toolkit_speed.peak({kind!r})"
    base, peak = (int(n) for n in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    return dict(
        generator=kind,
        generated_per_task=generate.count,
        learned=sum(p.numel() for p in generate.parameters()),
        learned_per_generated=f"{sum(p.numel() for p in generate.parameters()) / generate.count:.2f}",
        ns_per_generated=f"{statistics.median(taken) / count * 1e9:.1f}",
        quartiles=" to ".join(f"{t / count * 1e9:.1f}" for t in statistics.quantiles(taken)[::2]),
        bytes_per_generated=f"{(peak - base) * 1024 / count:.0f}",
    )


def peak(kind: str) -> None:
    """Memory in kB before, and its peak during, making a generator and one forward and backward; printed; in a fresh process (Linux)."""
    torch.set_num_threads(1)
    z = torch.randn(16, 32)
    (torch.randn(200, 200, requires_grad=True) @ torch.randn(200, 200)).sum().backward()  # the library's own buffers
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of importing, is forgotten
    base = kilobytes("VmRSS")
    generate = GENERATORS[kind](GENERATED, 32)
    sum(tensor.sum() for tensor in generate(z).values()).backward()
    print(base, kilobytes("VmHWM"))


def kilobytes(field: str) -> int:
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)).split()[1])


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    widths = {key: max(len(str(key)), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    print("  ".join(f"{key:>{width}}" for key, width in widths.items()))
    for row in rows:
        print("  ".join(f"{row[key]!s:>{width}}" for key, width in widths.items()))
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=("speed", "generators"), help="one of the two tables")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.zeros(6_000_000)  # as in a program that has loaded data: once so much was freed, glibc keeps freed memory for the next call
    if options.only != "generators":
        rows = [batched(name, gradients, calls, options.rounds) for calls in (CALLS, 1) for name in TARGETS for gradients in (False, True)]
        kinds = ((False, False), (False, True), (True, True))  # gradients, new weights
        sizes = [(name, count, *kind) for name in list(TARGETS)[:4] for count in (10, 256) for kind in kinds]
        write(options.out / "toolkit_speed.csv", rows + [overhead(*size, options.rounds) for size in sizes])
    if options.only != "speed":
        write(options.out / "toolkit_generators.csv", [generator_cost(kind) for kind in GENERATORS])


if __name__ == "__main__":
    main()
