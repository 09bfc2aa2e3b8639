"""The article's loop over seeds: how many steps the first 10 tasks need and the last 40, with a hypernetwork and from scratch.

    python benchmarks/toolkit_article.py [--seeds 3]            # writes results/toolkit_article.csv

The loop itself is in examples/article/with_torch.py. "newest task alone" is that of the article (sigma only: it takes long); "with
earlier tasks" repeats up to 15 of them in each step. A task that is not satisfactory after 200 steps counts 200.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
import statistics
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples" / "article"))
from article_tasks import TASKS
from with_torch import TARGETS, from_scratch, loop

LOOPS = {
    "newest task alone": lambda name, tasks, seed: loop(name, tasks, seed, repeat=0),
    "with earlier tasks": loop,
    "from scratch": from_scratch,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "toolkit_article.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["target", "loop", "seed", "tasks", "median_first_10", "median_last_40", "mean_first_10", "mean_last_40", "at_once_last_40"]
        )
        for name in options.targets:
            for kind, run in LOOPS.items():
                if kind == "newest task alone" and name != "sigma":
                    continue
                for seed in range(options.seeds):
                    steps = run(name, options.tasks, seed)
                    first, last = steps[:10], steps[-40:]
                    medians = [statistics.median(first), statistics.median(last)]
                    means = [round(statistics.fmean(part), 1) for part in (first, last)]
                    row = [name, kind, seed, len(steps), *medians, *means, round(last.count(0) / len(last), 3)]
                    writer.writerow(row)
                    file.flush()
                    print(*row, sep="  ", flush=True)


if __name__ == "__main__":
    main()
