"""Two real tables, a network for each: how good beside the usual models, how long it takes, what it looks like and what it does.

    make demo            (or: python examples/demo.py [folder for what is written, by default demo])

Writes penguins.netloom and moneyball.netloom, predictions made from them in a process of their own that has no torch, and demo.png.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: fastest for small tables, and fair to the others

import subprocess
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console

import netloom
from netloom.evaluate.baselines import fit_baseline
from netloom.evaluate.holdout import Report, compare, outputs
from netloom.evaluate.scores import MAIN_SCORE, score, standard_errors
from netloom.evaluate.splits import folds
from netloom.tasks.tables import read_table

DATA = Path(netloom.__file__).parent / "data"
TABLES = {"penguins": "species", "moneyball": "rs"}  # what is asked: which species; how many runs a baseball team scores in a season
BLOCKS = (0, 1, 2, 3)
ALONE = """
import sys
import netloom
from netloom.tasks.tables import read_table, write_table

network = netloom.TargetNetwork.load(sys.argv[1])
write_table(network.to_frame(read_table(sys.argv[2])), sys.argv[3])
assert "torch" not in sys.modules
"""


@dataclass(frozen=True)
class Story:
    """All that is drawn of one table."""

    name: str
    task: netloom.Task
    network: netloom.TargetNetwork
    report: Report
    errors: dict[str, tuple[float, float]]  # "0" to "3" blocks, "linear", "histgb", "netloom" -> held-out error and its standard error


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stories = [tell(name, target, folder) for name, target in TABLES.items()]
    try:
        from draw import draw
    except ImportError as error:
        print(f"no picture: {error}; pip install matplotlib")
    else:
        draw(stories, folder / "demo.png")
        print(f"picture: {folder / 'demo.png'}")


def tell(name: str, target: str, folder: Path) -> Story:
    """Score, weave, save and predict for one table; print what happens."""
    task = netloom.Task.from_frame(read_table(DATA / f"{name}.csv"), target)
    print(f"\n{name}: {target} from {task.frame.shape[1]} columns, {task.n} rows")
    report = compare(task, netloom.fit)
    Console(width=110).print(report)

    started = perf_counter()
    network = netloom.fit(task)
    seconds = perf_counter() - started
    path = folder / f"{name}.netloom"
    network.save(path)
    print(f"woven in {seconds:.1f} s from all rows: {network.n_parameters:,} parameters, {path.stat().st_size / 1000:.1f} kB -> {path}")
    print(f"why: {network.architecture['why']}")

    predictions = folder / f"{name}_predictions.csv"
    subprocess.run([sys.executable, "-c", ALONE, path, DATA / f"{name}.csv", predictions], check=True)
    print(f"predicted again from the file, in a process without torch -> {predictions}")
    return Story(name, task, network, report, block_by_block(task))


def block_by_block(task: netloom.Task) -> dict[str, tuple[float, float]]:
    """Held-out error (log loss or RMSE) by the number of woven blocks, and of others: three folds, all rows together."""
    loom = netloom.Loom.pretrained()
    makers = {"0": lambda part: netloom.fit(part, families="cells")}
    makers |= {str(blocks): lambda part, blocks=blocks: loom.weave(part, blocks=blocks) for blocks in BLOCKS[1:]}
    makers |= {"netloom": netloom.fit} | {name: lambda part, name=name: fit_baseline(name, part) for name in ("linear", "histgb")}
    parts = folds(task, seed=0, count=3)
    truth = task.y[np.concatenate([test for _, test in parts])]
    errors = {}
    for name, make in makers.items():
        predicted = np.concatenate([outputs(make(task.rows(train)), task, test) for train, test in parts])
        main_score = MAIN_SCORE[task.kind]
        errors[name] = score(task.kind, truth, predicted)[main_score], standard_errors(task.kind, truth, predicted)[main_score]
    return errors


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo"))
