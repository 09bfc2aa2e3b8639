"""One row at a time: how long a network takes to answer, beside a forest and boosted trees asked in the same run; and how large they are.

    python benchmarks/latency.py [--repeats 2000] [--json]

Times are medians over calls with changing rows, in one thread. Compare the ratios: the times are this machine's.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

import netloom
from netloom.evaluate.baselines import fit_baseline

DATA = Path(netloom.__file__).parent / "data"
TABLES = (("penguins", "species"), ("moneyball", "rs"))


def microseconds(call, rows, repeats):
    """Median and 99th percentile of one call, after a few to warm up."""
    for row in rows[:3]:
        call(row)
    taken = np.empty(repeats)
    for i in range(repeats):
        row = rows[i % len(rows)]
        started = perf_counter()
        call(row)
        taken[i] = perf_counter() - started
    return {"median_us": float(np.median(taken) * 1e6), "p99_us": float(np.quantile(taken, 0.99) * 1e6)}


def measure(table, target, repeats):
    """A line per way of asking: network row by row, network with a frame of one row, baselines with the same frame."""
    frame = pd.read_csv(DATA / f"{table}.csv").dropna(subset=[target])
    task = netloom.Task.from_frame(frame, target=target)
    network = netloom.fit(task, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder) / "network.netloom")
        file_bytes = (Path(folder) / "network.netloom").stat().st_size
    values = [list(row) for row in task.frame.itertuples(index=False, name=None)]
    frames = [task.frame.iloc[[i]] for i in range(min(50, task.n))]
    few = max(repeats // 20, 20)
    lines = [
        {"model": "netloom predict_row", "bytes": file_bytes, **microseconds(network.predict_row, values, repeats)},
        {"model": "netloom predict, frame", "bytes": file_bytes, **microseconds(network.predict, frames, few)},
    ]
    for name in ("linear", "rf300", "histgb"):
        baseline = fit_baseline(name, task)
        lines.append({"model": f"{name} predict, frame", "bytes": baseline.n_bytes, **microseconds(baseline.predict, frames, few)})
        model, prepared = baseline.pipelines[0][-1], [baseline.pipelines[0][:-1].transform(one) for one in frames]
        lines.append({"model": f"{name} model alone, prepared", "bytes": baseline.n_bytes, **microseconds(model.predict, prepared, few)})
    first = lines[0]["median_us"]
    return [{"table": table, **line, "ratio": line["median_us"] / first} for line in lines]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--json", action="store_true", help="one object per line instead of tables")
    options = parser.parse_args()
    for table, target in TABLES:
        lines = measure(table, target, options.repeats)
        if options.json:
            print("\n".join(json.dumps(line) for line in lines))
            continue
        print(f"\n{table}: one row, one thread\n{'':28}{'median us':>12}{'p99 us':>12}{'ratio':>10}{'kB':>12}")
        for line in lines:
            print(f"{line['model']:28}{line['median_us']:12.1f}{line['p99_us']:12.1f}{line['ratio']:10.1f}{line['bytes'] / 1000:12.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
