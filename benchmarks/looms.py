"""Looms side by side on the same rows of the same tables: networks woven in one pass, or what a whole fit makes of each loom.

    python benchmarks/looms.py --suite FOLDER A.safetensors B.safetensors [--rows 100 300 1500] [--seeds 0] [--half 0] [--fit woven]

Means over tables of ROC AUC and log loss (classes) and R2 (values), and for all looms but the first the paired difference to the first with
its standard error over tables. ``random`` in place of a file is a loom before its first step. ``--half`` leaves out the tables that a
run of meta-training with that ``half`` on this suite was trained on. ``--fit`` names the families of a whole fit ("all", "woven", or one of
them) that stands in place of one pass. Writes a line per table into --out; with ``--seen``, how many tasks each loom has seen, also a
scaling curve beside it.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import csv
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from netloom import Loom, Task
from netloom.evaluate.holdout import outputs
from netloom.evaluate.scores import score
from netloom.evaluate.splits import halves
from netloom.evaluate.suite import read_index
from netloom.loom.fit import fit
from netloom.tasks.pack import allowed_licence

HERE = Path(__file__).parent
SCORES = {"auc": "ROC AUC", "log_loss": "log loss", "r2": "R2"}


def loom_of(name):
    """A loom from a file, the package's own, or one of its shape with first weights."""
    if name == "random":
        torch.manual_seed(0)
        own = Loom.pretrained()
        return Loom(own.D, own.H, own.copies, own.rounds).eval().requires_grad_(False)
    return Loom.pretrained() if name == "pretrained" else Loom.from_file(name)


def judged(suite, half):
    """The tables of a suite, without those that a run with this half was trained on."""
    index = read_index(suite)
    if half is None:
        return index
    licence = next(column for column in index if column.startswith("licen"))
    trained = sorted(index["name"][index[licence].map(allowed_licence)])[half::2]
    return index[~index["name"].isin(trained)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("looms", nargs="+", help="files, 'pretrained' or 'random'")
    parser.add_argument("--suite", required=True)
    parser.add_argument("--rows", nargs="+", type=int, default=[100, 300, 1500])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--fit", metavar="FAMILIES", help="compare families by folds and average them, in place of one pass")
    parser.add_argument("--seen", nargs="+", type=int, metavar="TASKS", help="per loom; 0 is drawn as a line")
    parser.add_argument("--max-tables", type=int, default=1000, help="at most so many tables, evenly over the index")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "looms.csv")
    given = parser.parse_args()
    torch.set_num_threads(1)
    looms = {name: loom_of(name) for name in given.looms}
    index = judged(given.suite, given.half)
    index = index.iloc[np.unique(np.linspace(0, len(index) - 1, min(given.max_tables, len(index))).astype(int))]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with open(given.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("name", "kind", "seed", "rows", "loom", *SCORES), extrasaction="ignore")
        writer.writeheader()
        for name, kind in zip(index["name"], index["kind"], strict=True):
            frame = pd.read_parquet(Path(given.suite) / kind / f"{name}.parquet")
            task = Task.from_frame(frame, target="target", kind=kind)
            for seed in given.seeds:
                for rows in given.rows:
                    train, test = halves(task, seed, rows, 1000)
                    for label, loom in looms.items():
                        training = task.rows(train)
                        network = fit(training, loom=loom, seed=seed, families=given.fit) if given.fit else loom.weave(training)
                        told = score(kind, task.y[test], outputs(network, task, test))
                        writer.writerow({"name": name, "kind": kind, "seed": seed, "rows": rows, "loom": label} | told)
            file.flush()
            print(name, file=sys.stderr, flush=True)
    runs = pd.read_csv(given.out)
    print(tell(runs, given.looms))
    if given.seen:
        plot(runs, dict(zip(given.looms, given.seen, strict=True)), given.out.with_suffix(".png"))
    return 0


def tell(runs, looms):
    """A line per number of rows and loom."""
    lines = ["| rows | loom | ROC AUC | log loss | R2 |", "|---|---|---|---|---|"]
    for rows, part in runs.groupby("rows"):
        tables = part.groupby(["loom", "name"])[list(SCORES)].mean()
        for loom in looms:
            own, gap = tables.loc[loom], tables.loc[loom] - tables.loc[looms[0]]
            error = gap.std() / np.sqrt(gap.count())
            cells = [f"{own[s].mean():.4f}" + (f" ({gap[s].mean():+.4f} +- {error[s]:.4f})" if loom != looms[0] else "") for s in SCORES]
            lines.append(f"| {rows} | {loom} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(runs, seen, path):
    """Scores against tasks seen, a curve per number of rows; looms that have seen none are dashed lines."""
    means = runs.groupby(["rows", "loom"])[list(SCORES)].mean()
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 3.4), layout="constrained")
        for axes, one in zip(figure.subplots(1, len(SCORES)), SCORES, strict=True):
            for i, rows in enumerate(sorted(runs["rows"].unique())):
                points = sorted((tasks, means.loc[(rows, loom), one]) for loom, tasks in seen.items() if tasks)
                axes.plot(*zip(*points, strict=True), "o-", ms=4, color=f"C{i}", label=f"{rows} training rows")
                for loom in (loom for loom, tasks in seen.items() if not tasks):
                    axes.axhline(means.loc[(rows, loom), one], color=f"C{i}", ls="--", lw=1)
            axes.set(xscale="log", xlabel="tasks seen", title=SCORES[one])
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
