"""Continual split digits (von Oswald et al. 2020): mean accuracy of all five tasks after the last one, beside joint training.

    python benchmarks/toolkit_continual.py

Writes results/toolkit_continual.csv; the recipe is examples/continual_digits.py.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from continual_digits import learn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "toolkit_continual.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in range(options.seeds):
        means = {way: statistics.mean(learn(seed, way)[-1]) for way in ("joint", "regularised", "forgetful")}
        share = means["regularised"] / means["joint"]
        rows.append(dict(seed=seed, **{way: f"{mean:.4f}" for way, mean in means.items()}, share_of_joint=f"{share:.4f}"))
        print(rows[-1], flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for way in ("joint", "regularised", "forgetful", "share_of_joint"):
        values = [float(row[way]) for row in rows]
        print(f"{way:15} {statistics.mean(values):.4f} +- {statistics.stdev(values) if len(values) > 1 else 0:.4f}")


if __name__ == "__main__":
    main()
