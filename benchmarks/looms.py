"""Looms side by side on the same rows of the same tables: networks woven in one pass, or what a whole fit makes of each loom.

    python benchmarks/looms.py --suite FOLDER A.safetensors B.safetensors [--rows 100 300 1500] [--seeds 0] [--half 0] [--fit woven]
    python benchmarks/looms.py --suite FOLDER pretrained --blocks 3 1 2 4 6

Means over tables of ROC AUC and log loss (classes) and R2 (values), and for all looms but the first the paired difference to the first with
its standard error over tables; and the median of seconds. ``random`` in place of a file is a loom before its first step. ``--half`` leaves
out the tables that a run of meta-training with that ``half`` on this suite was trained on. ``--fit`` names the families of a whole fit
("all", "woven", or one of them) that stands in place of one pass. Writes a CSV per number of rows into --out (resumes where it was cut);
with ``--seen``, how many tasks each loom has seen, also scaling.png.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import sys
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from netloom import Loom
from netloom.evaluate.suite import read_index, run
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


def network_of(task, seed, loom, families, blocks):
    """What the suite runs: one pass of the loom, or a whole fit with it."""
    return fit(task, loom=loom, seed=seed, families=families) if families else loom.weave(task, blocks=blocks, seed=seed)


def judged(suite, half):
    """Names of the tables of a suite, without those that a run with this half was trained on."""
    index = read_index(suite)
    names = index["name"].tolist()
    if half is None:
        return names
    licence = next(column for column in index if column.startswith("licen"))
    trained = sorted(index["name"][index[licence].map(allowed_licence)])[half::2]
    return [name for name in names if name not in trained]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("looms", nargs="+", help="files, 'pretrained' or 'random'")
    parser.add_argument("--suite", required=True)
    parser.add_argument("--rows", nargs="+", type=int, default=[100, 300, 1500])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--fit", metavar="FAMILIES", help="compare families by folds and average them, in place of one pass")
    parser.add_argument("--blocks", nargs="+", type=int, default=[3], help="of one pass; several stand side by side")
    parser.add_argument("--seen", nargs="+", type=int, metavar="TASKS", help="per loom; 0 is drawn as a line")
    parser.add_argument("--max-tables", type=int, help="at most so many tables, evenly over the index")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "looms")
    given = parser.parse_args()
    torch.set_num_threads(1)
    fits = {
        Path(name).stem + (f" {blocks} blocks" if len(given.blocks) > 1 else ""): partial(
            network_of, loom=loom_of(name), families=given.fit, blocks=blocks
        )
        for name in given.looms
        for blocks in given.blocks
    }
    picked = {"seeds": given.seeds, "tables": judged(given.suite, given.half), "max_tables": given.max_tables}
    parts = [run(given.suite, given.out / f"{rows}.csv", fits=fits, most_rows=rows, **picked).assign(rows=rows) for rows in given.rows]
    runs = pd.concat(parts)
    print(tell(runs, list(fits)))
    if given.seen:
        plot(runs, dict(zip(fits, given.seen, strict=True)), given.out / "scaling.png")
    return 0


def tell(runs, looms):
    """A line per number of rows and loom."""
    lines = ["| rows | loom | ROC AUC | log loss | R2 | s |", "|---|---|---|---|---|---|"]
    for rows, part in runs.groupby("rows"):
        tables = part.groupby(["model", "name"])[list(SCORES)].mean()
        for loom in looms:
            own, gap = tables.loc[loom], tables.loc[loom] - tables.loc[looms[0]]
            error = gap.std() / np.sqrt(gap.count())
            cells = [f"{own[s].mean():.4f}" + (f" ({gap[s].mean():+.4f} +- {error[s]:.4f})" if loom != looms[0] else "") for s in SCORES]
            seconds = part.loc[part["model"] == loom, "fit_s"].median()
            lines.append(f"| {rows} | {loom} | {' | '.join(cells)} | {seconds:.2f} |")
    return "\n".join(lines)


def plot(runs, seen, path):
    """Scores against tasks seen, a curve per number of rows; looms that have seen none are dashed lines."""
    means = runs.groupby(["rows", "model"])[list(SCORES)].mean()
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
