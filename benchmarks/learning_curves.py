"""How good with few rows: the suite's splits with at most 20, 50, ... training rows, networks, controls and baselines on the same rows.

    python benchmarks/learning_curves.py --suite FOLDER [--rows 20 50 100 200 500 1000] [--models netloom rf300] [--seeds 0] [--jobs 2]

Writes a CSV per number of rows (resumes where it was cut), summary.md and curves.png into --out. Tables are those that every model
finished at every number of rows; of a table with fewer training rows all are used.
"""

import argparse
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from netloom.evaluate.scores import higher_is_better
from netloom.evaluate.suite import run

HERE = Path(__file__).parent
ROWS = (20, 50, 100, 200, 500, 1000)
MODELS = ("netloom", "untrained", "linear", "rf300", "histgb", "lightgbm", "xgboost")
OURS, CONTROLS = "netloom", ("untrained", "woven", "random-weights", "shuffled")
SCORES = {"classification": ("auc", "log_loss"), "regression": ("r2",)}
DRAWS = 2000  # of the bootstrap over tables


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--max-tables", type=int, help="at most so many tables, evenly over the index")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "learning_curves")
    given = parser.parse_args()
    parts = []
    for rows in given.rows:
        picked = {"seeds": given.seeds, "max_tables": given.max_tables, "most_rows": rows}
        runs = run(given.suite, given.out / f"{rows}.csv", given.models, jobs=given.jobs, **picked)
        parts.append(runs[runs["model"].isin(given.models) & runs["seed"].isin(given.seeds)].assign(rows=rows))
    summary = summarise(pd.concat(parts), given.models)
    (given.out / "summary.md").write_text(summary, encoding="utf-8")
    print(summary)
    plot(pd.concat(parts), given.models, given.out / "curves.png")
    return 0


def values_of(runs, kind, score):
    """Tables x (rows, model), seeds averaged; only tables that every model finished at every number of rows."""
    here = runs[runs["kind"] == kind]
    return here.pivot_table(index="name", columns=["rows", "model"], values=score, aggfunc="mean", sort=False).dropna()


def summarise(runs, models):
    lines = ["`python benchmarks/learning_curves.py --suite FOLDER`", ""]
    for kind, scores in SCORES.items():
        for score in scores:
            values = values_of(runs, kind, score)
            if values.empty:
                continue
            best = max if higher_is_better(score) else min
            lines += [f"## {kind.capitalize()}: {score.replace('_', ' ')}, mean over {len(values)} tables", ""]
            lines += ["| rows | " + " | ".join(models) + " | ahead of the best baseline by [95 %] |", "|---" * (len(models) + 2) + "|"]
            for rows, part in values.T.groupby(level=0):
                table = part.T[rows]
                means = table.mean()
                rival = best((m for m in models if m != OURS and m not in CONTROLS), key=means.get)
                gap = (table[OURS] - table[rival]).to_numpy() * (1 if best is max else -1)
                drawn = np.random.default_rng(0).choice(gap, (DRAWS, len(gap))).mean(1)
                low, high = np.quantile(drawn, [0.025, 0.975])
                top = best(means)
                cells = [f"**{means[m]:.4f}**" if means[m] == top else f"{means[m]:.4f}" for m in models]
                lines.append(f"| {rows} | {' | '.join(cells)} | {gap.mean():+.4f} [{low:+.4f}, {high:+.4f}] {rival} |")
            lines.append("")
    failed = runs[runs["error"].notna()]
    said = [f"{f['name']} {f['model']}: {f['error']}" for _, f in failed.head(5).iterrows()]
    lines.append("; ".join([f"{len(runs)} runs, {len(failed)} failed", *said]))
    return "\n".join(lines) + "\n"


def plot(runs, models, path):
    """A panel per score: mean over tables against training rows, ours in front."""
    panels = [(kind, score) for kind, scores in SCORES.items() for score in scores]
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 3.4), layout="constrained")
        for axes, (kind, score) in zip(figure.subplots(1, len(panels)), panels, strict=True):
            means = values_of(runs, kind, score).mean().unstack()
            for model in models:
                style = {"lw": 1.1, "ls": "--" if model in CONTROLS else "-"}
                if model == OURS:
                    style = {"color": "#0b6e99", "lw": 2.4, "zorder": 5}
                axes.plot(means.index, means[model], marker="o", ms=3, label=model, **style)
            axes.set(xscale="log", xlabel="training rows", title=f"{score.replace('_', ' ')} ({kind})")
            axes.set_xticks(list(means.index), [str(rows) for rows in means.index])
            axes.minorticks_off()
            if score == "r2":
                axes.set_ylim(bottom=max(axes.get_ylim()[0], -0.2))
            if score == "log_loss":
                axes.set_ylim(top=min(axes.get_ylim()[1], 1.3))
        axes.legend(frameon=False, fontsize=8)
        figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
