"""Where the time goes when a network is fitted: seconds per stage (as `fit` reports them) and per function (cProfile).

    python benchmarks/profile_weave.py [--rows 1000] [--columns 20] [--classes 3] [--top 25] [--torch] [--save profile.out]

A first fit warms up (imports, the loom's weights) and is not counted; one thread.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import cProfile
import pstats
import sys
from time import perf_counter

import numpy as np
import pandas as pd

import netloom


def table(n, d, classes, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    signal = X[:, 0] + np.abs(X[:, 1 % d]) + X[:, 2 % d] * X[:, 3 % d]
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(d)])
    if classes == 0:
        return netloom.Task.from_frame(frame, target=signal, kind="regression")
    labels = np.digitize(signal, np.quantile(signal, np.linspace(0, 1, classes + 1)[1:-1]))
    return netloom.Task.from_frame(frame, target=labels, kind="classification")


class Stages:
    """Collects `fit`'s progress: the time from one message to the next belongs to the first."""

    def __init__(self):
        self.marks = [(perf_counter(), "set up")]

    def __call__(self, fraction, message):
        self.marks.append((perf_counter(), message))

    def seconds(self):
        taken: dict[str, float] = {}
        for (start, message), (end, _) in zip(self.marks, [*self.marks[1:], (perf_counter(), "")], strict=True):
            taken[message] = taken.get(message, 0.0) + end - start
        return taken


def show_stages(taken):
    total = sum(taken.values())
    print(f"{total:.2f} s in all; stages as fit reports them")
    for message, seconds in taken.items():
        print(f"  {seconds:8.3f} s {100 * seconds / total:5.1f} %  {message}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--classes", type=int, default=3, help="0: regression")
    parser.add_argument("--top", type=int, default=25, help="functions to list")
    parser.add_argument("--torch", action="store_true", help="also list torch's operators")
    parser.add_argument("--save", help="write the cProfile data here (for snakeviz and the like)")
    options = parser.parse_args()
    task = table(options.rows, options.columns, options.classes)
    netloom.fit(table(60, 4, options.classes))
    print(f"{options.rows} rows, {options.columns} columns, {options.classes or 'no'} classes")

    stages = Stages()
    netloom.fit(task, progress=stages)
    show_stages(stages.seconds())

    started = perf_counter()
    netloom.Loom.pretrained().weave(task)
    print(f"one pass alone (Loom.weave): {perf_counter() - started:.3f} s\n")

    profile = cProfile.Profile()
    profile.runcall(netloom.fit, task)
    statistics = pstats.Stats(profile)
    if options.save:
        statistics.dump_stats(options.save)
    statistics.strip_dirs().sort_stats("tottime").print_stats(options.top)
    if options.torch:
        from torch.profiler import ProfilerActivity
        from torch.profiler import profile as torch_profile

        with torch_profile(activities=[ProfilerActivity.CPU], record_shapes=True) as operators:
            netloom.fit(task)
        print(operators.key_averages().table(sort_by="self_cpu_time_total", row_limit=options.top, max_name_column_width=40))
    return 0


if __name__ == "__main__":
    sys.exit(main())
