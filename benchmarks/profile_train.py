"""What a task costs in meta-training, by its size: forward and backward of the hypernetwork, and drawing. CPU seconds of this process.

    python benchmarks/profile_train.py [--rounds 3] [--fit]

``--fit`` prints coefficients for `netloom.tasks.priors.sizes.cost`, by least squares on relative error. Writes results/train_cost.csv.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch

from netloom.loom.hypernetwork import Hypernetwork
from netloom.tasks.priors import Draw, Sizes, sample
from netloom.tasks.priors.sizes import cost
from netloom.training.feed import feed
from netloom.training.loss import deep_loss, identities, query_losses

SIZES = [(16, 4, 64), (16, 40, 32), (60, 10, 32), (60, 90, 8), (190, 3, 16), (190, 16, 16), (190, 60, 6)]  # (rows, features, tasks)
SIZES += [(450, 8, 6), (450, 40, 4), (950, 5, 2), (950, 60, 2)]
QUERIES, BLOCKS = 96, 3
RESULTS = Path(__file__).parent / "results" / "train_cost.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    loom = Hypernetwork()
    seconds: dict[tuple, list[tuple[float, float]]] = {size: [] for size in SIZES}
    for r in range(options.rounds + 1):
        for n, d, B in SIZES:
            draw = Draw(0, r, n)
            t0 = time.process_time()
            fed = feed(sample(draw, Sizes(B, n, QUERIES, d, 2 if r % 2 else 4, 1)), ranked=draw.chance(0.25))
            t1 = time.process_time()
            losses = query_losses(loom, fed, *identities(fed, loom.D, draw.generator), BLOCKS)
            torch.autograd.grad(deep_loss(losses), list(loom.parameters()), allow_unused=True)
            if r:  # the first round warms up
                seconds[n, d, B].append(((t1 - t0) / B, (time.process_time() - t1) / B))
    lines = []
    for (n, d, _), times in seconds.items():
        drawing, weaving = np.median(np.array(times), axis=0)
        share = round(100 * drawing / (drawing + weaving), 1)
        lines.append([n, d, round(1e3 * weaving, 3), round(1e3 * drawing, 3), share, cost(n, d, QUERIES)])
    unit = float(np.median([line[2] / line[5] for line in lines]))
    print(f"{'rows':>5} {'features':>8} {'weave ms':>9} {'draw ms':>8} {'draw %':>7} {'cost':>6} {'measured / cost':>16}")
    for line in lines:
        line[5] = round(line[5], 3)
        line.append(round(line[2] / line[5] / unit, 2))
        print(f"{line[0]:5} {line[1]:8} {line[2]:9} {line[3]:8} {line[4]:7} {line[5]:6} {line[6]:16}")
    RESULTS.parent.mkdir(exist_ok=True)
    with open(RESULTS, "w", newline="") as file:
        csv.writer(file).writerows([["rows", "features", "weave_ms", "draw_ms", "draw_percent", "cost", "measured_over_cost"], *lines])
    if options.fit:
        n, d, took = (np.array([line[i] for line in lines], dtype=float) for i in range(3))
        small, large = np.minimum(n, 8 * d), np.maximum(n, 8 * d)
        terms = np.stack([np.ones(len(n)), n + QUERIES, d * (n + QUERIES), n * n, small * small * large], axis=1) / took[:, None]
        from scipy.optimize import nnls

        print("coefficients in ms: 1, n + m, d (n + m), n^2, small^2 large:", nnls(terms, np.ones(len(n)))[0])


if __name__ == "__main__":
    main()
