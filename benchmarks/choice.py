"""How families are chosen and averaged: every family solved once per table, then any set of families and any sharpness of the evidence is
a matter of adding up outputs.

    python benchmarks/choice.py --suite FOLDER [--seeds 0] [--most-rows 2000] [--loom FILE] [--out benchmarks/results/choice]

Writes outcomes.csv (a line per table, set and sharpness) and summary.md: mean ROC AUC and log loss of classes, mean R2 of values.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from netloom import Loom, Task
from netloom.evaluate.scores import score
from netloom.evaluate.splits import halves
from netloom.evaluate.suite import read_index
from netloom.loom.assemble import solve
from netloom.loom.compare import compare, evidence_loss, moments
from netloom.loom.families import FAMILIES, families_named, select
from netloom.loom.pool import weave_pool
from netloom.loom.rows import canonical_rows
from netloom.target.calibration import log_chances
from netloom.tasks import Schema

HERE = Path(__file__).parent
TRIED = FAMILIES | {  # and what was given up, or is not compared
    "woven + random": ("woven", "random"),
    "woven ranked + random + boosted": ("woven ranked", "random", "boosted"),
    "woven twice + random + rules": ("woven", "woven ranked", "random", "rules"),
}


SETS = {
    "linear": ("linear",),
    **{which: tuple(families_named(which)) for which in ("no trees", "untrained", "woven")},
    "what fit compares": tuple(families_named("all")),
    "the same without extra trees": tuple(name for name in families_named("all") if name != "cells + extra"),
    "extra trees in place of a forest": tuple(name for name in families_named("all") if name != "cells + rules"),
    "rules of a forest beside both weavings": (
        *("linear", "cells", "random", "cells + rules"),
        *("woven + random + rules", "woven ranked + random + rules"),
    ),
    "boosted beside the ranked weaving, a forest beside the other": (
        *("linear", "cells", "random", "cells + rules", "woven + random + rules"),
        "woven ranked + random + boosted",
    ),
    "and woven, woven ranked alone": (*families_named("all"), "woven", "woven ranked"),
    "one union of both weavings in place of two": (
        *("linear", "cells", "random", "cells + rules", "woven", "woven ranked"),
        "woven twice + random + rules",
    ),
    **{f"{name} alone": (name,) for name in TRIED},
}
SHARPNESS = (0.0, 20.0, 60.0, 200.0, np.inf)  # 0: all alike; inf: the best alone


def outputs_of(loom, task, train, test, seed):
    """Per family: (evidence loss, outputs on the test rows (m, O)), each solved on all training rows at its own best penalty."""
    training = task.rows(train)
    schema = Schema.learn(training.frame, named=training.named)
    rows = canonical_rows(schema.encode(training.frame), training)
    head = "logistic" if rows.codes is not None else "gaussian"
    candidates = compare(loom, rows, TRIED, head, seed=seed, doubt=np.inf)
    parts = {part for c in candidates for part in TRIED[c.family]}
    pool = weave_pool(loom, rows, parts=parts, seed=seed)
    blocks = [pool.weights.features(rows.X)]
    mean, deviation = moments(blocks, rows.weight)
    seen = pool.weights.features(schema.encode(task.frame.iloc[test]))
    found = {}
    for c in candidates:
        chosen = select(pool, TRIED[c.family], mean, deviation)
        coef, intercept = solve(chosen, blocks, rows, head, c.penalty)
        outputs = chosen.of(seen) @ coef + intercept
        found[c.family] = evidence_loss(c, rows), outputs * rows.scale + rows.centre if rows.codes is None else outputs
    return found


def averaged(found, families, sharpness):
    """Outputs of the average of some families by evidence."""
    there = [found[family] for family in families if family in found]
    loss = np.array([one for one, _ in there])
    share = (loss == loss.min()).astype(float) if np.isinf(sharpness) else np.exp(-sharpness * (loss - loss.min()))
    return sum(s * outputs for s, (_, outputs) in zip(share / share.sum(), there, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--max-tables", type=int, default=1000, help="at most so many tables, evenly over the index")
    parser.add_argument("--most-rows", type=int, default=2000, help="of a larger training half so many are drawn")
    parser.add_argument("--loom", type=Path, help="weights other than the package's")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "choice")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    loom = Loom.from_file(options.loom) if options.loom else Loom.pretrained()
    index = read_index(options.suite)
    index = index.iloc[np.unique(np.linspace(0, len(index) - 1, min(options.max_tables, len(index))).astype(int))]
    names = ("name", "kind", "seed", "set", "sharpness", "auc", "log_loss", "r2")
    with open(options.out / "outcomes.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        for name, kind in zip(index["name"], index["kind"], strict=True):
            for seed in options.seeds:
                frame = pd.read_parquet(Path(options.suite) / kind / f"{name}.parquet")
                task = Task.from_frame(frame, target="target", kind=kind)
                train, test = halves(task, seed, options.most_rows)
                found = outputs_of(loom, task, train, test, seed)
                for label, families in SETS.items():
                    if not any(family in found for family in families):
                        continue  # nothing to rank, say
                    for sharpness in SHARPNESS if len(families) > 1 else (0.0,):
                        given = averaged(found, families, sharpness)
                        scores = score(kind, task.y[test], given if kind == "regression" else np.exp(log_chances(given)))
                        writer.writerow({"name": name, "kind": kind, "seed": seed, "set": label, "sharpness": sharpness} | scores)
                file.flush()
                print(f"{name} seed {seed}", file=sys.stderr, flush=True)
    summarise(options.out, options.most_rows)
    return 0


def summarise(out, most_rows):
    """Means over tables, one row per set and sharpness."""
    runs = pd.read_csv(out / "outcomes.csv")
    means = runs.groupby(["set", "sharpness"], sort=False)[["auc", "log_loss", "r2"]].mean()
    seeds = ", ".join(str(seed) for seed in sorted(runs["seed"].unique()))
    lines = [f"{runs['name'].nunique()} tables, seeds {seeds}; `python benchmarks/choice.py --suite FOLDER --most-rows {most_rows}`", ""]
    lines += ["| families | sharpness | ROC AUC | log loss | R2 |", "|---|---|---|---|---|"]
    lines += [f"| {s} | {k:g} | {row.auc:.4f} | {row.log_loss:.4f} | {row.r2:.4f} |" for (s, k), row in means.iterrows()]
    (out / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
