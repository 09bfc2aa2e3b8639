"""What bytes and members are worth: the score against the size of the network, and against how many families are averaged.

    python benchmarks/size.py --suite FOLDER [--bytes 16000 32000 64000] [--max-tables 44] [--most-rows 2000] [--out FOLDER]

Families are compared and woven once per table. Then the average of the best 1, 2, ... members is scored as it is, and imitated by smaller
networks (`netloom.loom.shrink`): within so many bytes of weights, and as small as it goes without saying anything else. Writes
outcomes.csv, summary.md and curves.png.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path
from time import process_time

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from netloom import Loom, Task
from netloom.evaluate.scores import score
from netloom.evaluate.splits import halves
from netloom.evaluate.suite import read_index
from netloom.loom.assemble import Member, features_of, merge, readout_of
from netloom.loom.compare import compare, moments, weigh
from netloom.loom.families import FAMILIES, families_named
from netloom.loom.pool import weave_pool
from netloom.loom.rows import canonical_rows
from netloom.loom.shrink import shrink
from netloom.target.calibration import log_chances
from netloom.target.prune import bytes_of, tidy
from netloom.tasks import Schema

HERE = Path(__file__).parent


def networks(loom, rows, sizes, seed):
    """(members, what is asked of the size, network, how far from the large one, seconds it took) of a task."""
    head = "logistic" if rows.codes is not None else "gaussian"
    families = families_named("all")
    shares = weigh(compare(loom, rows, families, head, seed=seed), rows)
    pool = weave_pool(loom, rows, parts={p for c, _ in shares for p in FAMILIES[c.family]}, seed=seed)
    blocks = features_of(pool.weights, rows)
    mean, deviation = moments(blocks, rows.weight)
    members = [Member(c.family, FAMILIES[c.family], c.penalty, share) for c, share in shares]
    alone = [readout_of(pool, rows, member, head, blocks, mean, deviation) for member in members]
    for count in range(1, len(families) + 1):
        best = members[:count]
        total = sum(m.weight for m in best)
        large = merge(pool, [replace(m, weight=m.weight / total) for m in best], alone[:count])
        yield count, "large", tidy(large), 0.0, 0.0
        if count in (1, len(families)):
            for size in (*sizes, np.inf):
                began = process_time()
                small, apart = shrink(large, rows, lambda w, size=size: bytes_of(w) <= size, chances=rows.codes is not None)
                yield count, "as small as it goes" if np.isinf(size) else f"{size:,} bytes", small, apart, process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--bytes", nargs="+", type=int, default=[16_000, 32_000, 64_000, 96_000], help="of weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-tables", type=int, default=1000, help="at most so many tables, evenly over the index")
    parser.add_argument("--most-rows", type=int, default=2000, help="of a larger training half so many are drawn")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "size")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    loom = Loom.pretrained()
    index = read_index(options.suite)
    index = index.iloc[np.unique(np.linspace(0, len(index) - 1, min(options.max_tables, len(index))).astype(int))]
    names = ("name", "kind", "outputs", "members", "size", "bytes", "apart", "seconds", "auc", "log_loss", "r2")
    with open(options.out / "outcomes.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        for name, kind in zip(index["name"], index["kind"], strict=True):
            frame = pd.read_parquet(Path(options.suite) / kind / f"{name}.parquet")
            task = Task.from_frame(frame, target="target", kind=kind)
            train, test = halves(task, options.seed, options.most_rows)
            training = task.rows(train)
            schema = Schema.learn(training.frame, named=training.named)
            rows = canonical_rows(schema.encode(training.frame), training)
            X = schema.encode(task.frame.iloc[test])
            for count, asked, network, apart, seconds in networks(loom, rows, options.bytes, options.seed):
                given = network.forward(X)
                row = {"name": name, "kind": kind, "outputs": network.readout.shape[1], "members": count, "size": asked}
                row |= {"bytes": bytes_of(network), "apart": f"{apart:.3g}", "seconds": round(seconds, 3)}
                writer.writerow(row | score(kind, task.y[test], given if kind == "regression" else np.exp(log_chances(given))))
            file.flush()
            print(name, file=sys.stderr, flush=True)
    summarise(options)
    return 0


def summarise(options):
    """Means over tables, one row per number of members and size; log loss apart for few and for many classes."""
    runs = pd.read_csv(options.out / "outcomes.csv")
    classes = runs["kind"] == "classification"
    runs["few"], runs["many"] = runs["log_loss"].where(runs["outputs"] <= 4), runs["log_loss"].where(classes & (runs["outputs"] > 4))
    means = runs.groupby(["members", "size"], sort=False)[["auc", "few", "many", "r2", "bytes", "seconds"]].mean()
    command = f"python benchmarks/size.py --suite FOLDER --max-tables {options.max_tables} --most-rows {options.most_rows}"
    lines = [f"{runs['name'].nunique()} tables, seed {options.seed}; `{command}`", ""]
    names = ("members", "network", "ROC AUC", "log loss, to 4 classes", "more classes", "R2", "kB of weights", "seconds to shrink")
    lines += [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for (count, asked), m in means.iterrows():
        said = f"{m.auc:.4f} | {m.few:.4f} | {m.many:.4f} | {m.r2:.4f} | {m.bytes / 1000:.0f} | {m.seconds:.2f}"
        lines.append(f"| {count} | {asked} | {said} |")
    (options.out / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plot(runs, options.out / "curves.png")
    print("\n".join(lines))


def plot(runs, path):
    """Mean log loss of classes and mean R2 against kB of weights: a line that adds members, a line of what imitates all of them."""
    means = runs.groupby(["members", "size"], sort=False)[["log_loss", "r2", "bytes"]].mean().reset_index()
    large, all_of_them = means[means["size"] == "large"], means["members"].max()
    small = means[(means["members"] == all_of_them) & (means["size"] != "large")].sort_values("bytes")
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, (score, title) in zip(panels, (("log_loss", "log loss"), ("r2", "R2")), strict=True):
            axes.plot(large["bytes"] / 1000, large[score], "o-", ms=3, color="#888888", label="the best members, as they are")
            for _, row in large.iterrows():
                axes.annotate(str(row["members"]), (row["bytes"] / 1000, row[score]), textcoords="offset points", xytext=(3, 4))
            axes.plot(
                small["bytes"] / 1000, small[score], "o-", ms=3, color="#0b6e99", lw=2, label=f"a network that imitates all {all_of_them}"
            )
            axes.set(xscale="log", xlabel="kB of weights", title=f"mean {title}")
            axes.set_xticks([10, 30, 100, 300], ["10", "30", "100", "300"])
            axes.minorticks_off()
        panels[0].legend(frameon=False, fontsize=8)
        figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
