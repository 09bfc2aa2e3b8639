"""How good with few rows: the suite's splits with at most 20, 50, ... training rows, networks, controls and baselines on the same rows.

    python benchmarks/learning_curves.py --suite FOLDER [--rows 20 50 100 200 500 1000] [--models netloom rf300] [--seeds 0] [--jobs 2]

Writes a CSV per number of rows (resumes where it was cut), summary.md and curves.png into --out. A mean is over the tables
that every model finished; of a table with fewer training rows all are used.
"""

import argparse
import sys
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from netloom.evaluate.scores import higher_is_better
from netloom.evaluate.suite import NETWORKS, run
from netloom.evaluate.summary import summarise

HERE = Path(__file__).parent
ROWS = (20, 50, 100, 200, 500, 1000)
MODELS = ("netloom", "quick", "untrained", "linear", "rf300", "histgb", "lightgbm", "xgboost")
OURS, CONTROL = "netloom", "untrained"
PANELS = (("classification", "auc"), ("classification", "log_loss"), ("regression", "r2"))


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
    summaries = {}
    for rows in given.rows:
        picked = {"seeds": given.seeds, "max_tables": given.max_tables, "most_rows": rows}
        runs = run(given.suite, given.out / f"{rows}.csv", given.models, jobs=given.jobs, **picked)
        summaries[rows] = summarise(runs[runs["seed"].isin(given.seeds)], ours=OURS, models=given.models)
    told = tell(summaries, given.models)
    (given.out / "summary.md").write_text(told, encoding="utf-8")
    print(told)
    plot(summaries, given.models, given.out / "curves.png")
    return 0


def tell(summaries, models):
    """A table per score: means by training rows, and how far ours is from the best baseline and from its control."""
    against = ["the best baseline", *([CONTROL] if CONTROL in models else [])]
    lines = [f"`python benchmarks/learning_curves.py --suite FOLDER --rows {' '.join(map(str, summaries))}`", ""]
    for kind, score in PANELS:
        lines += [f"## {kind.capitalize()}: {score.replace('_', ' ')}", ""]
        gaps = [f"ours minus {other} [95 %]" for other in against]
        lines += [f"| rows | tables | {' | '.join([*models, *gaps])} |", "|---" * (len(models) + 2 + len(gaps)) + "|"]
        for rows, summary in summaries.items():
            table = summary.table.query("kind == @kind and score == @score").set_index("model")
            if table.empty:
                continue
            mean, best = table["mean"], max if higher_is_better(score) else min
            rivals = [m for m in models if m not in NETWORKS]
            cells = [f"**{mean[m]:.4f}**" if mean[m] == best(mean) else f"{mean[m]:.4f}" for m in models]
            best_rival = best(rivals, key=mean.get) if rivals else None
            for other in [best_rival, *([CONTROL] if CONTROL in models else [])]:
                cells.append("" if other is None else "{difference:+.4f} [{low:+.4f}, {high:+.4f}]".format(**table.loc[other]))
            cells[len(models)] += f" {best_rival}" if rivals else ""
            lines.append(f"| {rows} | {table['tables'].iloc[0]} | {' | '.join(cells)} |")
        lines.append("")
    costs = pd.concat([summary.costs for summary in summaries.values()])
    return "\n".join([*lines, f"{costs['runs'].sum()} runs, {costs['failed'].sum()} failed", ""])


def plot(summaries, models, path):
    """A panel per score: mean over tables against training rows, ours in front."""
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 3.4), layout="constrained")
        for axes, (kind, score) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
            means = pd.DataFrame({rows: summary.values[kind, score].mean() for rows, summary in summaries.items()}).T
            for model in models:
                style = {"lw": 1.1, "ls": "--" if model in NETWORKS else "-"}
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
