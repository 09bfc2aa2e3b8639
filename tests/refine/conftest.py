"""Small tables and networks, woven once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from netloom import Loom
from netloom.loom.fit import fit
from netloom.refine.again import rows_of, weave_again
from netloom.tasks import Task


def table(kind, n, seed, other=False):
    """A table whose target bends; with ``other`` it depends on something else."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n), "c": rng.choice(["red", "blue", "green"], n)})
    score = 3 * frame["b"] - frame["a"] if other else np.sin(2 * frame["a"]) + frame["a"] * frame["b"] + (frame["c"] == "red")
    score = score + 0.2 * rng.normal(size=n)
    if kind == "values":
        return frame.assign(y=score)
    if kind == "two classes":
        return frame.assign(y=np.where(score > 0.3, "yes", "no"))
    return frame.assign(y=np.select([score < -0.3, score > 0.8], ["low", "high"], "middle"))


def make_task(kind, n, seed, other=False):
    return Task.from_frame(table(kind, n, seed, other), target="y", kind="regression" if kind == "values" else "classification")


@pytest.fixture(scope="session")
def task_of():
    return make_task


@pytest.fixture(scope="session")
def woven():
    """kind -> (network, its task): one pass of the loom, or with a head the families that need no loom; each woven once."""
    made = {}

    def of(kind, head=None, n=90, families="cells + random"):
        key = kind, head, n, families
        if key not in made:
            rows = make_task(kind, n, seed=1)
            made[key] = (Loom.pretrained().weave(rows) if head is None else fit(rows, head=head, families=families)), rows
        return made[key]

    return of


@pytest.fixture(scope="session")
def stiff(woven):
    """kind -> (network, its task): held back far too strongly, so that any training makes it better."""

    def of(kind):
        network, task = woven(kind, n=200)
        members = [m | {"penalty": 100.0 * m["penalty"]} for m in network.architecture["members"]]
        network = replace(network, architecture=network.architecture | {"members": members})
        return replace(network, weights=weave_again(network, rows_of(network, task), Loom.pretrained())), task

    return of
