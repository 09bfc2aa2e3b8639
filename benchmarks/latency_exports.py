"""One row at a time: how long every export of a network takes to answer, beside `predict_row`, a forest and boosted trees in the same run.

    python benchmarks/latency_exports.py [--repeats 2000] [--load folder] [--fast] [--out benchmarks/results]

One thread. All ways answer in turn, fifty rows each, so that whatever else the machine does falls on all of them alike; ratios are to
predict_row. Times are of the processor, not of the clock on the wall: waiting for a busy machine does not count, its cold caches do. C is
timed inside a C program, as Python cannot call it so fast.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import csv
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from datetime import date
from pathlib import Path
from time import thread_time

import numpy as np
import onnxruntime
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

import netloom
from netloom.export import export
from netloom.export.onnx import to_onnx
from netloom.export.python import to_python

DATA = Path(netloom.__file__).parent / "data"
TABLES = (("penguins", "species"), ("moneyball", "rs"), ("1,000 rows of 20 numbers", "y"))
GOALS = {"netloom predict_row": 30.0, "ONNX": 20.0, "C": 2.0}
C_PROGRAM = """
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "m.h"
static int ascending(const void *a, const void *b) { return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b); }
int main(void)
{
    static double numbers[ROWS][m_NUMBERS + 1], took[REPEATS];
    static int codes[ROWS][m_CODES + 1];
    double out[m_OUTPUTS], sum = 0;
    int r, i, inner;
    for (r = 0; r < ROWS; r++) {
        for (i = 0; i < m_NUMBERS; i++) if (scanf("%lf", &numbers[r][i]) != 1) return 1;
        for (i = 0; i < m_CODES; i++) if (scanf("%d", &codes[r][i]) != 1) return 1;
    }
    for (r = 0; r < REPEATS; r++) {
        struct timespec a, b;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        for (inner = 0; inner < 20; inner++) {
            int row = (r * 20 + inner) % ROWS;
            m_predict(numbers[row], codes[row], out);
            sum += out[0];
        }
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        took[r] = ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / 20e3;
    }
    qsort(took, REPEATS, sizeof(double), ascending);
    printf("%g %g %g\\n", took[REPEATS / 2], took[REPEATS / 10], sum);
    return 0;
}
"""


def read(table):
    """A bundled table, or one made of numbers only."""
    path = DATA / f"{table}.csv"
    if path.exists():
        return pd.read_csv(path)
    X, y = make_classification(1000, 20, n_informative=8, n_redundant=4, flip_y=0.05, random_state=0)
    return pd.DataFrame(X, columns=[f"c{j}" for j in range(20)]).assign(y=np.where(y, "a", "b"))


def pipelines(task, frame, y):
    """A forest and boosted trees as a user of scikit-learn writes them."""
    import lightgbm

    words = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    others = [name for name in frame if name not in words]
    classes = task.kind == "classification"
    one_hot = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    forest = (RandomForestClassifier if classes else RandomForestRegressor)(n_estimators=100, random_state=0, n_jobs=1)
    boosted = (lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor)(n_jobs=1, verbose=-1, random_state=0)
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return {
        "random forest pipeline": make_pipeline(make_column_transformer((SimpleImputer(), others), (one_hot, words)), forest).fit(frame, y),
        "LightGBM pipeline": make_pipeline(make_column_transformer(("passthrough", others), (ordinal, words)), boosted).fit(frame, y),
    }


def ways(task, network, frame, y, folder, fast):
    """Name -> (a call, the argument for each row); slow ones are asked less often."""
    rows = [[v.item() if isinstance(v, np.generic) else v for v in row] for row in frame.itertuples(index=False, name=None)]
    source: dict = {"__name__": "m"}
    exec(compile(to_python(network), "m.py", "exec"), source)
    prepared = [source["prepare"](row) for row in rows]
    classes = network.classes is not None
    found = {"netloom predict_row": (network.predict_row, rows)}
    found["Python file"] = (source["predict_proba"] if classes else source["predict"], rows)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graphs = {"ONNX": {}, "ONNX, grouped inputs": {"grouped": True}}
    for name, how in graphs.items():
        model = to_onnx(network, **how)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        feeds = onnx_feeds(session, network, rows, "grouped" in how)
        wanted = [one.name for one in session.get_outputs()]
        found[name] = (lambda feed, session=session, wanted=wanted: session.run(wanted, feed), feeds)
    if not fast:
        found |= of_tensors(network, prepared, folder)
    frames = [frame.iloc[[i]] for i in range(len(frame))]
    found["netloom predict, frame"] = (network.predict_proba if classes else network.predict, frames)
    for name, pipeline in pipelines(task, frame, y).items():
        found[name] = (pipeline.predict_proba if classes else pipeline.predict, frames)
    return found, prepared


def of_tensors(network, prepared, folder):
    """torch and Keras, which take seconds to import and to write."""
    import torch

    torch.set_num_threads(1)
    module = network.to_torch().eval()
    given = [(torch.tensor([n], dtype=torch.float64), torch.tensor([c], dtype=torch.int64).reshape(1, -1)) for n, c in prepared]

    def ask(pair):
        with torch.inference_mode():
            return module(*pair)

    found = {"torch module": (ask, given)}
    export(network, folder / "m.pt2")
    program = torch.export.load(folder / "m.pt2").module()

    def ask_program(pair):
        with torch.inference_mode():
            return program(*pair)

    found["torch .pt2"] = (ask_program, given)
    try:
        export(network, folder / "m.keras")  # chooses the backend, so before the import
    except netloom.errors.ConfigError as error:
        print(f"Keras is left out: {error}", file=sys.stderr)
        return found
    import keras

    model = keras.models.load_model(folder / "m.keras")
    tables = [{"numbers": np.array([n]), "codes": np.array([c], dtype=np.int64).reshape(1, -1)} for n, c in prepared]
    tables = [{one.name: table[one.name] for one in model.inputs} for table in tables]

    def ask_keras(table):
        with torch.inference_mode():
            return model(table)

    found["Keras, torch backend"] = (ask_keras, tables)
    return found


def onnx_feeds(session, network, rows, grouped):
    """One feed per row."""
    columns = network.schema.columns
    texts = [j for j, column in enumerate(columns) if column.kind == "category"]
    others = [j for j, column in enumerate(columns) if column.kind in ("number", "boolean")]
    missing = [None if isinstance(value, float) and value != value else value for row in rows for value in row]
    rows = [missing[i : i + len(columns)] for i in range(0, len(missing), len(columns))]
    feeds = []
    for row in rows:
        numbers = {j: np.nan if row[j] is None else float(row[j]) for j in others}
        words = {j: "" if row[j] is None else str(row[j]) for j in texts}
        if grouped:
            feed = {"numbers": np.array([[numbers[j] for j in others]]), "texts": np.array([[words[j] for j in texts]], dtype=object)}
        else:
            feed = {columns[j].name: np.array([[value]], dtype=float) for j, value in numbers.items()}
            feed |= {columns[j].name: np.array([[value]], dtype=object) for j, value in words.items()}
        feeds.append({one.name: feed[one.name] for one in session.get_inputs()})
    return feeds


def c_microseconds(network, prepared, folder, repeats):
    compiler = shutil.which("gcc") or shutil.which("cc")
    export(network, folder / "m.h")
    program = f"#define ROWS {len(prepared)}\n#define REPEATS {repeats}\n{C_PROGRAM}"
    (folder / "main.c").write_text(program)
    subprocess.run([compiler, "-std=c99", "-O3", "-march=native", "main.c", "-o", "main", "-lm"], cwd=folder, check=True)
    text = "\n".join(" ".join([*map(repr, n), *map(str, c)]) for n, c in prepared)
    run = subprocess.run([folder / "main"], input=text, capture_output=True, text=True, check=True)
    median, best, _ = map(float, run.stdout.split())
    return median, best


def measure(table, target, repeats, load, fast):
    frame = read(table).dropna(subset=[target])
    task = netloom.Task.from_frame(frame, target=target)
    saved = load and load / f"{table}.netloom"
    network = netloom.TargetNetwork.load(saved) if saved and saved.exists() else netloom.fit(task, seed=0)
    features, y = task.frame, frame[target]
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        calls, prepared = ways(task, network, features, y, folder, fast)
        c_median, c_best = c_microseconds(network, prepared[:200], folder, repeats)
        for ending in (".onnx", ".py"):
            export(network, folder / f"m{ending}")
        sizes = {path.suffix: path.stat().st_size for path in folder.iterdir()}
    taken = {name: [] for name in calls}
    count, block = min(len(features), 200), 50
    for start in range(0, repeats, block):  # blocks of rows in turn, so that noise falls on all and each has its caches warm
        for name, (call, arguments) in calls.items():
            slow = "pipeline" in name or "frame" in name or "Keras" in name  # they take a hundred times as long
            for i in range(start, start + (block // 10 if slow else block)):
                argument = arguments[i % count]
                started = thread_time()
                call(argument)
                taken[name].append(thread_time() - started)
    lines = [(name, np.median(t) * 1e6, np.quantile(t, 0.1) * 1e6) for name, t in taken.items()]
    lines.insert(1, ("C", c_median, c_best))
    facts = f"{len(network.schema.columns)} columns, {network.n_parameters} parameters, {network.n_bytes / 1000:.0f} kB"
    return facts, [(name, float(median), float(best), float(best / lines[0][2])) for name, median, best in lines], sizes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--load", type=Path, help="folder with networks of the tables, fitted before (seed 0); others are fitted")
    parser.add_argument("--fast", action="store_true", help="without torch and Keras")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    command = " ".join(["python", "benchmarks/latency_exports.py", *sys.argv[1:]])
    text = ["# One row: every export beside a forest and boosted trees", "", f"    {command}", ""]
    load = os.getloadavg()[0]
    text += [f"{date.today()}, {processor()}, {os.cpu_count()} processors with a load of {load:.1f} as it began, one thread each.", ""]
    text += ["Microseconds of the processor per row, ratios of the best tenth to that of predict_row. Goals are for a quiet machine.", ""]
    rows = []
    for table, target in TABLES:
        facts, lines, sizes = measure(table, target, options.repeats, options.load, options.fast)
        text += [f"## {table} ({facts})", "", "| | best tenth | median | ratio | goal |", "|---|---:|---:|---:|---:|"]
        for name, median, best, ratio in lines:
            goal = GOALS.get(name.split(",")[0])
            text.append(f"| {name} | {best:.1f} | {median:.1f} | {ratio:.2f} | {'' if goal is None else f'{goal:g}'} |")
            rows.append([table, name, round(best, 2), round(median, 2), round(ratio, 3), goal or ""])
        files = [f"{ending} {size}" for ending, size in sorted(sizes.items()) if ending in (".onnx", ".py", ".h", ".pt2", ".keras")]
        text += ["", f"Bytes of the files: {', '.join(files)}", ""]
        print("\n".join(text[-len(lines) - 6 :]), flush=True)
    options.out.mkdir(exist_ok=True)
    (options.out / "latency_exports.md").write_text("\n".join(text) + "\n")
    with open(options.out / "latency_exports.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["table", "model", "best_tenth_us", "median_us", "ratio", "goal_us"], *rows])
    return 0


def processor() -> str:
    try:
        return re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1].strip()
    except (OSError, TypeError):
        return platform.processor()


if __name__ == "__main__":
    sys.exit(main())
