"""Protocol A: the tables of TabPFN v1's comparison that the suite holds, beside what others have published on them.

    python benchmarks/protocol_a.py --suite FOLDER [--models netloom linear rf300] [--seeds 0 1 2 3 4] [--jobs 2]

Five halves of each table, at most 1,000 training rows, mean ROC AUC (one class against another). Published splits are not these ones, so
the published logistic regression and forest stand beside ours: what they differ by is what the splits, and the copies of the tables, are
worth. Writes runs.csv (resumes where it was cut) and summary.md into --out.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from netloom.errors import NetloomError
from netloom.evaluate.suite import NETWORKS, run

HERE = Path(__file__).parent
OTHERS = ("TabPFN v1", "XGBoost 1 h", "MotherNet", "logistic regression", "MLP", "random forest")
# automl/TabPFN and microsoft/ticl notebooks, five splits of their own
PUBLISHED = {
    "balance-scale": (0.9973, 0.9908, 0.9941, 0.9567, 0.9864, 0.8301),
    "banknote-authentication": (1.0000, 1.0000, 1.0000, 0.9996, 1.0000, 0.9998),
    "breast-w": (0.9934, 0.9922, 0.9927, 0.9936, 0.9928, 0.9906),
    "climate-model-simulation-crashes": (0.9415, 0.9286, 0.9492, 0.9349, 0.9049, 0.8747),
    "cmc": (0.7276, 0.7279, 0.7161, 0.6840, 0.6965, 0.6915),
    "credit-g": (0.7894, 0.7911, 0.7837, 0.7671, 0.7431, 0.7932),
    "diabetes": (0.8410, 0.8397, 0.8428, 0.8416, 0.8293, 0.8248),
    "kc2": (0.8346, 0.8276, 0.8338, 0.8276, 0.8131, 0.8064),
    "mfeat-fourier": (0.9811, 0.9793, 0.9466, 0.9703, 0.9714, 0.9804),
    "mfeat-morphological": (0.9669, 0.9616, 0.9523, 0.9631, 0.9663, 0.9556),
    "pc4": (0.9383, 0.9361, 0.9277, 0.8983, 0.9008, 0.9223),
    "qsar-biodeg": (0.9336, 0.9245, 0.9237, 0.9222, 0.9224, 0.9200),
    "steel-plates-fault": (0.9655, 0.9646, 0.9092, 0.9362, 0.9528, 0.9623),
    "tic-tac-toe": (0.9759, 0.9997, 0.9948, 0.9883, 0.9950, 0.9850),
    "vehicle": (0.9589, 0.9272, 0.9256, 0.9411, 0.9517, 0.9250),
    "wdbc": (0.9964, 0.9938, 0.9961, 0.9957, 0.9944, 0.9922),
}
SAME = {"linear": "logistic regression", "rf300": "random forest"}  # ours -> theirs
MODELS = ("netloom", "woven", "untrained", "linear", "rf300")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one thread")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "protocol_a")
    given = parser.parse_args()
    try:
        picked = {"seeds": given.seeds, "tables": list(PUBLISHED), "most_rows": 1000}
        runs = run(given.suite, given.out / "runs.csv", given.models, jobs=given.jobs, **picked)
    except NetloomError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    runs = runs[runs["seed"].isin(given.seeds) & runs["model"].isin(given.models)]
    told = tell(runs, given.models, given.seeds)
    (given.out / "summary.md").write_text(told, encoding="utf-8")
    print(told)
    return 0


def tell(runs: pd.DataFrame, models: list[str], seeds: list[int]) -> str:
    """A line per table, the means, and what other splits and copies of the tables are worth."""
    command = f"`python benchmarks/protocol_a.py --suite FOLDER --models {' '.join(models)} --seeds {' '.join(map(str, seeds))}`"
    ours = runs.pivot_table(index="name", columns="model", values="auc").reindex(index=list(PUBLISHED), columns=models)
    theirs = pd.DataFrame.from_dict(PUBLISHED, orient="index", columns=list(OTHERS))
    shared = [model for model in models if model in SAME]
    splits = np.mean([ours[model] - theirs[SAME[model]] for model in shared], axis=0) if shared else np.zeros(len(ours))
    far = ours.index[np.abs(splits).argmax()]  # where what both have differs most, tables or splits are not the same
    both = theirs.join(ours)
    lines = [command, "", "| ROC AUC | " + " | ".join([*OTHERS, *models]) + " |", "|---" * (both.shape[1] + 1) + "|"]
    for name, row in [*both.iterrows(), ("**mean**", both.mean()), (f"mean without {far}", both.drop(far).mean())]:
        lines.append(f"| {name} | " + " | ".join(f"{value:.4f}" for value in row) + " |")
    lines += ["", f"{len(runs)} runs, {int(runs['error'].notna().sum())} failed. Left: published; right: ours, on our splits.", ""]
    for model in shared:
        gap = ours[model] - theirs[SAME[model]]
        lines.append(f"{model}, ours minus published: mean {gap.mean():+.4f}; without {far} ({gap[far]:+.4f}) {gap.drop(far).mean():+.4f}.")
    for model in [model for model in models if model in NETWORKS]:
        gap = ours[model] - theirs["TabPFN v1"]
        ahead = f"ahead on {int((gap > 0).sum())} of {len(gap)} tables"
        lines += ["", f"{model} minus TabPFN v1: mean {gap.mean():+.4f}, median {gap.median():+.4f}, {ahead}."]
        if shared:
            fair = gap - splits
            error = fair.std() / len(fair) ** 0.5
            lines[-1] += f" Without {far}: mean {gap.drop(far).mean():+.4f}."
            lines[-1] += f" Beyond what {' and '.join(shared)} differ by: {fair.mean():+.4f} +- {error:.4f} (over tables)."
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
