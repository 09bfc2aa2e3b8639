"""Scores of a network on labelled rows, with standard errors, and what is lost when one column is shuffled (Breiman 2001)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from netloom.errors import DataError
from netloom.target.calibration import COVERAGES, fan, log_chances, reliability
from netloom.target.network import TargetNetwork
from netloom.tasks.columns.number import floats
from netloom.tasks.frames import as_frame

__all__ = ["Losses", "has_target", "losses"]

SHUFFLES = 3
ROWS = 3_000  # shuffled rows are predicted once per column


@dataclass(frozen=True)
class Losses:
    """How a network does on labelled rows.

    rows : how many had a target;  strange : how many of a class that the network does not know, left out of the scores
    scores : name -> (value, standard error), "constant" scores being those of one answer for all
    loss : what the shuffling is measured in: "log loss" or "RMSE"
    shuffled : column -> (how much worse when its values are shuffled, standard error), the one that matters most first
    calibration : as `netloom.evaluate.Report` keeps it
    """

    rows: int
    strange: int
    scores: dict[str, tuple[float, float]]
    loss: str
    shuffled: dict[str, tuple[float, float]]
    calibration: dict[str, Any]


def has_target(network: TargetNetwork, table: Any) -> bool:
    """Whether a table holds what the network predicts."""
    names = [str(name) for name in as_frame(table)[0].columns]
    return all(name in names for name in network.target_names)


def losses(network: TargetNetwork, table: Any, seed: int = 0) -> Losses:
    """Scores and what each column is worth, on the rows of ``table`` that have a target.

    Raises
    ------
    DataError : if no row has a target, or it is not of the network's kind
    """
    frame = as_frame(table)[0].reset_index(drop=True)
    truth, kept = _truth(network, frame)
    strange = 0
    if network.classes is not None:
        strange = int((truth[kept] < 0).sum())
        kept &= truth >= 0
    if not kept.any():
        raise DataError(f"target {network.target_names[0]!r}: no row has a value that the network knows; give rows with their targets")
    frame, truth = frame[kept].reset_index(drop=True), truth[kept]
    X = network.schema.encode(frame)
    out = network.weights.forward(X)
    calibration: dict[str, Any] = {"how": f"{len(frame)} rows of the table given"}
    if network.classes is not None:
        chances = np.exp(log_chances(out))
        calibration["chances"] = reliability(chances, truth)
        share = np.bincount(truth, minlength=len(network.classes)) / len(truth)
        scores = {
            "accuracy": _mean((chances.argmax(axis=1) == truth).astype(float)),
            "log loss": _mean(_row_loss(network, out, truth)),
            "constant accuracy": _mean((truth == share.argmax()).astype(float)),
            "constant log loss": _mean(-np.log(share[truth])),
        }
        loss = "log loss"
    else:
        calibration["values"] = [fan(out[:, o], truth[:, o]) for o in range(min(4, truth.shape[1]))]
        if "interval_quantiles" in network.weights.extra:
            inside = []
            for asked in COVERAGES:
                given = network.predict_interval(frame, asked).reshape(len(frame), -1, 2)
                inside.append([asked, round(float(((truth >= given[..., 0]) & (truth <= given[..., 1])).mean()), 4)])
            calibration["coverage"] = inside
        error = _row_loss(network, out, truth)
        spread = np.square(truth - truth.mean(axis=0)).mean(axis=1)
        whole = float(spread.mean()) or 1.0
        scores = {
            "R2": (1 - float(error.mean()) / whole, float((error / whole).std() / len(error) ** 0.5)),
            "RMSE": _root(error),
            "constant RMSE": _root(spread),
        }
        loss = "RMSE"
    some = np.linspace(0, len(X) - 1, min(ROWS, len(X))).astype(int)
    return Losses(len(frame), strange, scores, loss, _shuffled(network, X[some], truth[some], seed), calibration)


def _truth(network: TargetNetwork, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,), -1 for classes that the network does not know, or values (n, O); and which rows have one."""
    names = [str(name) for name in frame.columns]
    absent = [name for name in network.target_names if name not in names]
    if absent:
        raise DataError(f"target {absent[0]!r} is not a column of the table; it is needed to tell how good the network is")
    columns = [frame.iloc[:, names.index(name)] for name in network.target_names]
    kept = np.logical_and.reduce([column.notna().to_numpy(dtype=bool) for column in columns])
    if network.classes is None:
        values = np.column_stack([floats(column, name) for column, name in zip(columns, network.target_names, strict=True)])
        return values, kept & np.isfinite(values).all(axis=1)
    place = {_key(label): code for code, label in enumerate(network.classes.tolist())}
    return np.array([place.get(_key(value), -1) for value in columns[0]], dtype=int), kept


def _key(label: Any) -> str:
    """1, 1.0 and "1" are one class: a file does not tell them apart."""
    if isinstance(label, np.generic):
        label = label.item()
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _row_loss(network: TargetNetwork, out: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if network.classes is not None:
        return -log_chances(out)[np.arange(len(truth)), truth]
    return np.square(out - truth).mean(axis=1)


def _shuffled(network: TargetNetwork, X: np.ndarray, truth: np.ndarray, seed: int) -> dict[str, tuple[float, float]]:
    """Per column that is read: how much the loss grows when its values are dealt to other rows, with the standard error over rows."""
    rng = np.random.default_rng(seed)
    features = network.schema.features
    plain = _row_loss(network, network.weights.forward(X), truth)
    found = {}
    for j, column in enumerate(network.schema.columns):
        own = [f for f, feature in enumerate(features) if feature.column == j]
        if not own or len(X) < 2:
            continue
        worse = np.zeros(len(X))
        for _ in range(SHUFFLES):
            other = X.copy()
            other[:, own] = X[rng.permutation(len(X))][:, own]
            worse += _row_loss(network, network.weights.forward(other), truth) / SHUFFLES
        gap, error = _mean(worse - plain)
        if network.classes is None:  # from squares to the target's own unit
            before, after = float(plain.mean()) ** 0.5, max(float(plain.mean()) + gap, 0.0) ** 0.5
            gap, error = after - before, error / (2 * max(after, 1e-12))
        found[column.name] = (gap, error)
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def _mean(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


def _root(square: np.ndarray) -> tuple[float, float]:
    """Root of a mean with its standard error (delta method)."""
    mean, error = _mean(square)
    return mean**0.5, error / (2 * mean**0.5) if mean > 0 else 0.0
