"""Small tables and networks, woven once."""

import numpy as np
import pandas as pd
import pytest

from netloom.loom.fit import fit
from netloom.tasks import Task

KINDS = ["values", "two classes", "three classes"]


def table(kind, n, seed, shift=0.0):
    """A table whose target bends: x alone is not enough for a linear model; ``shift`` changes what the target depends on."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n), "c": rng.choice(["red", "blue", "green"], n)})
    score = np.sin(2 * frame["a"]) + frame["a"] * frame["b"] * (1 - shift) + shift * 3 * frame["b"] + (frame["c"] == "red")
    score = score + 0.2 * rng.normal(size=n)
    if kind == "values":
        return frame.assign(y=score)
    if kind == "two classes":
        return frame.assign(y=np.where(score > 0.3, "yes", "no"))
    return frame.assign(y=np.select([score < -0.3, score > 0.8], ["low", "high"], "middle"))


def task(kind, n, seed, shift=0.0):
    return Task.from_frame(table(kind, n, seed, shift), target="y", kind="regression" if kind == "values" else "classification")


@pytest.fixture(scope="session")
def woven():
    """kind (and head) -> (network, its task), each woven once."""
    made = {}

    def of(kind, head="auto", families="all", n=90):
        key = kind, head, families, n
        if key not in made:
            rows = task(kind, n, seed=1)
            made[key] = fit(rows, head=head, families=families), rows
        return made[key]

    return of
