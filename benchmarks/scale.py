"""How fit grows: seconds and peak memory over rows and columns, beside HistGradientBoosting on the same table, each in its own process.

    python benchmarks/scale.py [--rows 100 1000 10000] [--columns 5 50] [--limit 600] [--out benchmarks/results/scale.csv]

The table is synthetic: two classes, a tenth of the columns categories, a twentieth of the values missing. One thread.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
COLUMNS = ("rows", "columns", "model", "fit_s", "predict_s", "peak_mb", "start_mb", "accuracy", "bytes", "error")


def table(n, d, seed=0):
    """A frame of d columns and labels that depend on five of them, with a bend and a product."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    signal = X[:, 0] + np.abs(X[:, 1 % d]) + X[:, 2 % d] * X[:, 3 % d] + rng.normal(size=n) * 0.5
    X[rng.random((n, d)) < 0.05] = np.nan
    words = {j: rng.choice(list("abcdefgh"), size=n) for j in range(d) if j % 10 == 9}
    frame = pd.DataFrame({f"c{j}": words.get(j, X[:, j]) for j in range(d)})
    return frame, np.where(signal > np.median(signal), "above", "below")


def measure(n, d, model):
    """Fit in this process; prints one JSON object. Peak memory is that of the whole process, start is before fitting."""
    import resource
    from time import perf_counter

    import numpy as np

    import netloom
    from netloom.evaluate.baselines import fit_baseline

    def peak_mb():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1e6 if sys.platform == "darwin" else 1e3)

    frame, labels = table(n, d)
    test, truth = table(1000, d, seed=1)
    task = netloom.Task.from_frame(frame, target=labels)
    if model == "netloom":
        from netloom.loom.fit import fit  # torch counts as start, not as fit
    start, started = peak_mb(), perf_counter()
    fitted = fit(task) if model == "netloom" else fit_baseline(model, task)
    fit_s, started = perf_counter() - started, perf_counter()
    right = task.classes[fitted.predict_proba(test).argmax(axis=1)] == truth
    line = {"fit_s": fit_s, "predict_s": perf_counter() - started, "peak_mb": peak_mb(), "start_mb": start}
    print(json.dumps(line | {"accuracy": float(np.mean(right)), "bytes": fitted.n_bytes}))


def child(n, d, model, limit):
    """Measure in a process of one thread, stopped after `limit` seconds."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--child", str(n), str(d), model]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=os.environ | one)
    except subprocess.TimeoutExpired:
        return {"error": f"more than {limit} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"died with code {done.returncode}"])[-1]
        return {"error": last[:200]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=int, default=[100, 1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--columns", nargs="+", type=int, default=[5, 50, 500, 2000])
    parser.add_argument("--cells", type=int, default=100_000_000, help="leave out tables of more values")
    parser.add_argument("--limit", type=int, default=600, help="seconds a process may take")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scale.csv")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(int(options.child[0]), int(options.child[1]), options.child[2])
        return 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    heads = {"rows": 9, "columns": 9, "netloom s": 12, "histgb s": 12, "ratio": 8, "peak MB": 10, "histgb MB": 10, "right": 8, "histgb": 8}
    print("".join(f"{head:>{width}}" for head, width in heads.items()))
    with open(options.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for n, d in [(n, d) for n in options.rows for d in options.columns if n * d <= options.cells]:
            ours, theirs = (child(n, d, model, options.limit) for model in ("netloom", "histgb"))
            for model, line in (("netloom", ours), ("histgb", theirs)):
                writer.writerow({"rows": n, "columns": d, "model": model} | line)
            file.flush()
            if "error" in ours or "error" in theirs:
                print(f"{n:9}{d:9}  netloom: {ours.get('error', 'ok')}; histgb: {theirs.get('error', 'ok')}", flush=True)
                continue
            times = f"{ours['fit_s']:12.2f}{theirs['fit_s']:12.2f}{ours['fit_s'] / theirs['fit_s']:8.2f}"
            memory = f"{ours['peak_mb']:10.0f}{theirs['peak_mb']:10.0f}"
            print(f"{n:9}{d:9}{times}{memory}{ours['accuracy']:8.3f}{theirs['accuracy']:8.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
