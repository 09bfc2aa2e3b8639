"""Networks for many small tasks: tasks per second of `Loom.weave_many`, beside fitting models of scikit-learn one by one in the same run.

    python benchmarks/weave_many.py [--tasks 200] [--rows 100] [--columns 10] [--classes 2] [--baselines 20] [--out FILE.csv]

Per number of threads (1 and 2): wall seconds and seconds of the processor per task, accuracy (or R2) on 300 fresh rows of each task. On a
shared machine only the seconds of the processor mean something. Imports and the loom's weights are not counted.
"""

import argparse
import csv
import json
import os
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from netloom import Loom, Task

FRESH = 300


def table(n, d, classes, seed):
    """Inputs and targets of training and fresh rows: a line, a bend and a product, with noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n + FRESH, d))
    signal = X[:, 0] + np.abs(X[:, 1 % d]) + X[:, 2 % d] * X[:, 3 % d] + 0.5 * rng.normal(size=n + FRESH)
    y = np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes)) if classes else signal
    return X[:n], y[:n], X[n:], y[n:]


def score(predict, tables, classes):
    """Mean accuracy, or R2, over the fresh rows of each task; ``predict(i, X)``."""
    scores = []
    for i, (_, _, X, y) in enumerate(tables):
        given = predict(i, X)
        scores.append(np.mean(given == y) if classes else 1 - np.mean((given - y) ** 2) / y.var())
    return float(np.mean(scores))


def woven(tables, classes, threads):
    kind = "classification" if classes else "regression"
    tasks = [Task.from_arrays(X, y, kind=kind) for X, y, _, _ in tables]
    return Loom.pretrained().weave_many(tasks)


def fitted(make):
    def fit(tables, classes, threads):
        return [make(threads).fit(X, y) for X, y, _, _ in tables]

    return fit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("tasks", 200), ("rows", 100), ("columns", 10), ("classes", 2), ("baselines", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    tables = [table(given.rows, given.columns, given.classes, seed) for seed in range(given.tasks)]
    linear = LogisticRegression if given.classes else Ridge
    forest = RandomForestClassifier if given.classes else RandomForestRegressor
    models = {  # name: how to fit, and on how many of the tasks
        "weave_many": (woven, given.tasks),
        "linear": (fitted(lambda threads: make_pipeline(StandardScaler(), linear())), given.baselines),
        "rf300": (fitted(lambda threads: forest(300, n_jobs=threads, random_state=0)), given.baselines),
    }
    woven(tables[:5], given.classes, 1)  # warm
    lines = []
    shape = f"{given.tasks} tasks of {given.rows} x {given.columns}, {given.classes or 'no'} classes"
    print(f"{shape}; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{'model':12} {'threads':>7} {'tasks/s':>9} {'wall ms':>9} {'cpu ms':>9} {'score':>7}")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for name, (fit, count) in models.items():
            with threadpool_limits(threads):
                wall, spent = perf_counter(), process_time()
                found = fit(tables[:count], given.classes, threads)
                wall, spent = (perf_counter() - wall) / count, (process_time() - spent) / count
            mean = score(lambda i, X, found=found: found[i].predict(X), tables[:count], given.classes)
            line = {"model": name, "threads": threads, "tasks": count, "wall_ms": 1000 * wall, "cpu_ms": 1000 * spent, "score": mean}
            lines.append(line | {"rows": given.rows, "columns": given.columns, "classes": given.classes, "load": os.getloadavg()[0]})
            print(f"{name:12} {threads:7} {1 / wall:9.1f} {1000 * wall:9.1f} {1000 * spent:9.2f} {mean:7.3f}", flush=True)
    print(json.dumps(lines))
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        with open(given.out, "w", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows({key: round(value, 4) if isinstance(value, float) else value for key, value in line.items()} for line in lines)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
