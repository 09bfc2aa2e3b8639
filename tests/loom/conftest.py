"""Small tasks with a signal that no linear model sees, and the pretrained loom."""

import numpy as np
import pandas as pd
import pytest

from netloom import Loom, Task


def make_task(kind="classification", n=90, d=5, classes=3, seed=0, weight=None):
    """A bend, a product and a two-valued column decide; labels are words."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, d)), columns=[f"x{j}" for j in range(d)])
    frame["flag"] = rng.integers(0, 2, n)
    signal = np.abs(frame["x0"]) + frame["x1"] * frame["x2"] + frame["flag"] + 0.1 * rng.normal(size=n)
    y = signal if kind == "regression" else np.array(list("abcdefghij"))[pd.qcut(signal, classes, labels=False)]
    return Task.from_frame(frame, target=np.asarray(y), kind=kind, weight=weight)


@pytest.fixture(scope="session")
def loom():
    return Loom.pretrained()


@pytest.fixture(scope="session")
def make():
    return make_task
