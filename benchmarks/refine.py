"""Refine and update, measured: woven, refined under guard, and the same architecture from random weights with the same steps (the fourth
control).

    python benchmarks/refine.py [--steps 480] [--tables friedman wine ...] [--suite FOLDER --suite-tables vehicle ...]

Half of each table is for training, half for testing. Writes benchmarks/results/refine.md. Wall times are this machine's and the moment's:
compare those of one run.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from sklearn import datasets

import netloom
from netloom.evaluate.splits import halves
from netloom.refine import Memory, Recipe, Steps, refine_many, update
from netloom.refine.again import rows_of, same_task
from netloom.refine.layout import frame_of, plan_of
from netloom.refine.mirror import Mirror, view_features
from netloom.refine.train import Examples, steps
from netloom.target.calibration import class_losses
from netloom.target.weights import Layer

HERE = Path(__file__).parent
RATES = (0.02, 0.1, 0.5)  # of the control; the best one, chosen on the test rows, stands in the table
MOST = 500  # rows for training


def friedman(n=1000):
    X, y = datasets.make_friedman1(n, n_features=8, noise=1.0, random_state=0)
    return pd.DataFrame(X).add_prefix("x").assign(target=y)


def blobs(n=1000):
    X, y = datasets.make_classification(n, 12, n_informative=6, n_classes=3, n_clusters_per_class=2, flip_y=0.05, random_state=0)
    return pd.DataFrame(X).add_prefix("x").assign(target=y)


def checkers(n=1000):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(n, 4))
    y = (np.floor(X[:, 0]) + np.floor(X[:, 1])) % 2
    return pd.DataFrame(X).add_prefix("x").assign(target=np.where(rng.random(n) < 0.05, 1 - y, y).astype(int))


def bundled(name, target):
    frame = pd.read_csv(Path(netloom.__file__).parent / "data" / f"{name}.csv")
    return frame.rename(columns={target: "target"}).dropna(subset=["target"])


def from_sklearn(loader):
    return loader(as_frame=True).frame


TABLES = {
    "friedman": (friedman, "regression"),
    "blobs": (blobs, "classification"),
    "checkers": (checkers, "classification"),
    "penguins": (lambda: bundled("penguins", "species"), "classification"),
    "moneyball": (lambda: bundled("moneyball", "rs"), "regression"),
    "wine": (lambda: from_sklearn(datasets.load_wine), "classification"),
    "breast cancer": (lambda: from_sklearn(datasets.load_breast_cancer), "classification"),
    "diabetes": (lambda: from_sklearn(datasets.load_diabetes), "regression"),
}


def loss(network, weights, X, task):
    """Test loss per row: log loss, or squared error in squared deviations."""
    outputs = weights.forward(X)
    if network.classes is not None:
        return float(class_losses(outputs, task.y).mean())
    return float(np.square((outputs - task.y) / weights.scale).mean())


def from_random(weights, features, seed=0):
    """The same architecture with random hidden weights (He et al. 2015, in standardised units) and a readout of zero; zeros that refining
    does not move stay.
    """
    rng = np.random.default_rng(seed)
    plan = plan_of(weights, frame_of([weights], features.shape[1]), features)
    layers, hidden = [], []
    for t, layer in enumerate(weights.layers):
        seen = features[:, plan.reads(t)]
        before = np.concatenate([hidden[e] for e in layer.earlier], axis=1) if layer.earlier else np.zeros((len(seen), 0))
        source = np.concatenate([seen, before], axis=1)
        mean, spread = source.mean(axis=0), np.maximum(source.std(axis=0), 2e-2)
        there = np.concatenate([plan.moves(t, part) for part in (layer.weight, layer.onto) if part is not None])
        W = rng.normal(size=there.shape) * there * np.sqrt(2 / np.maximum(there.sum(axis=0), 1)) / spread[:, None]
        bias = rng.normal(size=layer.width) * 0.1 - mean @ W
        hidden.append(np.maximum(source @ W + bias, 0))
        onto = W[seen.shape[1] :].astype(np.float32) if layer.earlier else None
        layers.append(Layer(layer.view, W[: seen.shape[1]].astype(np.float32), bias.astype(np.float32), layer.earlier, onto))
    return replace(weights, layers=tuple(layers), readout=np.zeros_like(weights.readout), intercept=np.zeros_like(weights.intercept))


def control(network, rows, X, test, most):
    """Test losses of the same architecture from random weights: {rate: [(step, loss)]}."""
    w = network.weights
    features = view_features(w, rows.X)
    start = from_random(w, features)
    targets = rows.codes if rows.codes is not None else ((rows.targets * rows.scale + rows.centre - w.centre) / w.scale).astype(np.float32)
    curves = {}
    for rate in RATES:
        mirror = Mirror([start], [features])
        recipe = Recipe(rates=(rate,), readout_rate=1.0, decay=0.0)
        curve = []
        for step in steps(mirror, [Examples(rows.X, targets, rows.weight)], network.architecture["head"], recipe):
            if step % 16 == 0:
                try:
                    curve.append((step, loss(network, mirror.weights(0), X, test)))
                except FloatingPointError:
                    break
            if step >= most:
                break
        curves[rate] = curve
    return curves


def measure(name, frame, kind, most):
    """One line of the table."""
    task = netloom.Task.from_frame(frame, target="target", kind=kind)
    train_index, test_index = halves(task, 0, max_train=MOST, max_test=1000)
    train, test = task.rows(train_index), task.rows(test_index)
    started = perf_counter()
    network = netloom.fit(train)
    fit_s = perf_counter() - started
    test = same_task(network, test)
    X = network.schema.encode(test.frame)
    woven = loss(network, network.weights, X, test)
    refined = refine_many([network], [train], Steps(most))[0]
    after = loss(network, refined.network.weights, X, test)
    curves = control(network, rows_of(network, train), X, test, most)
    best = min(curves, key=lambda rate: min((value for _, value in curves[rate]), default=np.inf))
    reached = [step for step, value in curves[best] if value <= woven]
    caught = [step for step, value in curves[best] if value <= after]
    line = {
        "table": name,
        "rows": train.n,
        "parameters": network.n_parameters,
        "woven": woven,
        "refined": after,
        "kept": f"yes, {refined.steps} steps" if refined.kept else "no",
        "promised gain": f"{refined.gain:.4f} ± {refined.error:.4f}",
        "random, best": min(value for _, value in curves[best]),
        "random, last": curves[best][-1][1],
        "rate": best,
        "steps to woven": reached[0] if reached else f"> {most}",
        "steps to refined": caught[0] if caught else f"> {most}",
        "fit s": round(fit_s, 1),
        "steps/s (8 networks)": round(refined.steps_per_second, 1),
    }
    shown = [f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items() if k != "table"]
    print(f"{name}: {', '.join(shown)}", flush=True)
    return line


def updating():
    """Seconds to add 1,000 rows to a network woven from 1,000, beside weaving from all; per head."""
    lines = []
    for head, make, kind in (("gaussian", friedman, "regression"), ("logistic", checkers, "classification")):
        frame = make(4000)

        def rows(start, stop, frame=frame, kind=kind):
            return netloom.Task.from_frame(frame.iloc[start:stop], target="target", kind=kind)

        started = perf_counter()
        network = netloom.fit(rows(0, 1000))
        fit_s = perf_counter() - started
        memory = Memory.begin(network, rows(0, 1000))
        taken = []
        for k in (1, 2):
            started = perf_counter()
            done = update(network, rows(1000 * k, 1000 * (k + 1)), memory, reweave="never")
            taken.append(perf_counter() - started)
        started = perf_counter()
        woven = update(network, rows(1000, 2000), memory, reweave="always")
        rewoven = perf_counter() - started
        lines.append(
            {
                "head": head,
                "features": len(memory.readout.theta),
                "update of 1,000 rows, s": round(float(np.median(taken)), 3),
                "action": done.action,
                "the same, woven anew, s": round(rewoven, 2),
                "anew": woven.action,
                "fit of 1,000 rows, s": round(fit_s, 2),
                "fit / update": round(fit_s / float(np.median(taken)), 1),
            }
        )
        print(lines[-1], flush=True)
    return lines


def table_of(lines):
    """Markdown."""
    names = list(lines[0])
    plain = ("rate", "fit s", "fit / update", "steps/s (8 networks)")
    rows = []
    for line in lines:
        floats = {k for k, v in line.items() if isinstance(v, float) and k not in plain and not k.endswith(", s")}
        rows.append([f"{v:.4f}" if k in floats else str(v) for k, v in line.items()])
    return "\n".join(["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *("| " + " | ".join(row) + " |" for row in rows)])


def report(lines, speed, most):
    """The results as a page."""
    ratio = np.array([line["refined"] / line["woven"] for line in lines])
    kept = np.array([line["kept"] != "no" for line in lines])
    return f"""# Refine and update

    python benchmarks/refine.py {" ".join(sys.argv[1:])}

Losses on test rows, half of each table: log loss, or squared error in squared deviations of the training target. `refined` is what
`netloom.refine(..., Steps({most}))` returned: the woven network itself where the held-out folds refused. `random` is the same
architecture from random weights with up to {most} of the same steps, at the best of the learning rates {RATES}, chosen on
the test rows, which favours it: its lowest loss on the way, and the last. `steps to woven` is when it first equals the woven
network, which needed none. One thread; times are those of one run on a machine that others use, compare ratios.

{table_of(lines)}

Kept on {kept.sum()} of {len(lines)} tables. There the test loss is {ratio[kept].mean() if kept.any() else 1:.3f} of the woven one on
average; over all tables {ratio.mean():.3f}. Test rows are worse for it on {(ratio > 1 + 1e-9).sum()}.

## Update

{table_of(speed) if speed else "(not run)"}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=480)
    parser.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--suite", type=Path, help="folder with index.csv, classification/*.parquet, regression/*.parquet")
    parser.add_argument("--suite-tables", nargs="+", default=[])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "refine.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    work = [(name, TABLES[name][0](), TABLES[name][1]) for name in options.tables]
    if options.suite is not None:
        kinds = pd.read_csv(options.suite / "index.csv").set_index("name")["kind"]
        work += [(n, pd.read_parquet(options.suite / kinds[n] / f"{n}.parquet"), kinds[n]) for n in options.suite_tables]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines, speed = [], []
    for name, frame, kind in work:
        lines.append(measure(name, frame, kind, options.steps))
        options.out.write_text(report(lines, speed, options.steps), encoding="utf-8")  # what is done is done, if the rest is cut
    speed += updating()
    options.out.write_text(report(lines, speed, options.steps), encoding="utf-8")
    print(f"written: {options.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
