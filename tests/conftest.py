"""One thread for every test: fast on small machines, and the same numbers everywhere."""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when numpy and torch are first imported
    os.environ[name] = "1"

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def make_network():
    """A function that makes a plain network without a loom: every kind of column, cells and random neurons, a least-squares readout."""
    import numpy as np
    import pandas as pd

    from netloom.loom.views import make_view
    from netloom.target.network import TargetNetwork
    from netloom.target.reference import learn_reference
    from netloom.target.weights import Layer, Weights
    from netloom.tasks import Schema

    def make(kind="regression", *, classes=3, neurons=8, n=300, seed=0, rename=None):
        rng = np.random.default_rng(seed)
        size = rng.normal(50, 10, n)
        frame = pd.DataFrame({"size": size, "weight": 2 * size + rng.normal(0, 8, n), "grade": rng.integers(1, 5, n)})
        frame["colour"] = rng.choice(["red", "blue", "green"], n, p=[0.5, 0.3, 0.2])
        frame["member"] = rng.integers(0, 2, n).astype(bool)
        frame["age"] = np.where(rng.uniform(size=n) < 0.2, np.nan, rng.uniform(18, 80, n))
        frame["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D")
        signal = np.sin(frame["size"] / 8) + (frame["colour"] == "red") * (frame["grade"] - 2.5) + 0.1 * rng.normal(size=n)
        if rename:
            frame = frame.rename(columns=rename)
        schema = Schema.learn(frame)
        X = schema.encode(frame)
        views = (make_view(X, np.ones(n)), make_view(X, np.ones(n), ranked=True))
        layers = []
        if neurons:
            first = rng.normal(size=(views[0].width, neurons)).astype(np.float16).astype(np.float32) / 2
            second = rng.normal(size=(views[1].width, neurons)).astype(np.float16).astype(np.float32) / 2
            onto = rng.normal(size=(neurons, neurons)).astype(np.float16).astype(np.float32)
            bias = rng.normal(size=neurons).astype(np.float32)
            layers = [Layer(0, first, bias), Layer(1, second, bias), Layer(0, first[:, ::-1].copy(), bias, (0,), onto)]
        outputs = 1 if kind == "regression" or classes == 2 else classes
        nothing = np.zeros((0, outputs), np.float32), np.zeros(outputs, np.float32)
        bare = Weights(views, tuple(layers), *nothing, np.zeros(1), np.ones(1))
        F = bare.features(X)
        if kind == "regression":
            y = signal.to_numpy()[:, None]
            labels, named = None, 100 * signal + 500
            centre, scale = np.array([500.0]), np.array([100.0])
        else:
            codes = pd.qcut(signal, classes, labels=False).to_numpy()
            labels = np.array(["low", "middle", "high", "top"][:classes])
            named = pd.Series(labels[codes])
            y = 4.0 * (np.eye(classes)[codes] if classes > 2 else codes[:, None]) - 2
            centre, scale = np.zeros(outputs), np.ones(outputs)
        middle = F.mean(axis=0)
        readout = np.linalg.solve((F - middle).T @ (F - middle) + 5 * np.eye(F.shape[1]), (F - middle).T @ y)
        intercept = y.mean(axis=0) - middle @ readout
        weights = Weights(views, tuple(layers), readout.astype(np.float32), intercept.astype(np.float32), centre, scale)
        reference = learn_reference(schema, X)
        architecture = {"head": "ridge", "members": [{"family": "cells", "penalty": 5.0, "weight": 1.0}], "why": "made for a test"}
        provenance = {"rows": n, "created": "2024-01-01T00:00:00+00:00", "seed": seed}
        network = TargetNetwork(schema, weights, kind, labels, ("y",), architecture, {}, provenance, reference)
        return network, frame.assign(y=named.to_numpy())

    return make
