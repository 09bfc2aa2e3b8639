"""What has changed between two networks of one task: their architecture, what they say about the same rows, and which columns they
listen to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from netloom.errors import DataError
from netloom.target.calibration import class_losses, log_chances
from netloom.target.network import TargetNetwork
from netloom.target.synthetic import synthetic_frame

__all__ = ["Difference", "difference"]

ROWS = 1000  # rows that are looked at
SHOWN = 5  # columns and rows


@dataclass(frozen=True)
class Difference:
    """Two networks compared.

    Attributes
    ----------
    architecture : (what, old, new) of everything that differs
    same_neurons : whether only the readout has changed
    rows : how many, and ``source`` where from ("given" or "synthetic": drawn from what the old network still knows of its rows)
    behaviour : numbers by name: for classes ``agree`` (share of rows with the same label) and ``moved`` (mean total variation of the
    chances);
        for values ``moved`` (root mean square, in deviations of the old predictions) and ``correlation``; ``largest`` for both
    scores : with a target in the table: loss of old and new per row, the difference and its standard error
    columns : (column, reach in the old, in the new) where it has changed most; reach is how far predictions move when the column is
    shuffled examples : rows that moved most: (row, old, new)
    """

    architecture: tuple[tuple[str, Any, Any], ...]
    same_neurons: bool
    rows: int
    source: str
    behaviour: dict[str, float]
    scores: dict[str, Any]
    columns: tuple[tuple[str, float, float], ...]
    examples: tuple[tuple[int, Any, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)


def difference(old: TargetNetwork, new: TargetNetwork, table: pd.DataFrame | None = None, *, seed: int = 0) -> Difference:
    """Compare two networks on a table (at most a thousand of its rows), or on synthetic rows.

    Parameters
    ----------
    table : with or without the target

    Raises
    ------
    DataError : if the networks predict different things, or the table lacks a column
    """
    if old.kind != new.kind or old.target_names != new.target_names:
        raise DataError(
            f"the networks predict {', '.join(old.target_names)} ({old.kind}) and {', '.join(new.target_names)} ({new.kind}); "
            "give two of one task"
        )
    rng = np.random.default_rng(seed)
    if table is None:
        frame, source = synthetic_frame(old, ROWS, seed), "synthetic"
        if [c.name for c in old.schema.columns] != [c.name for c in new.schema.columns]:
            more = synthetic_frame(new, ROWS, seed)
            frame = pd.concat([frame, more[[name for name in more.columns if name not in set(frame.columns)]]], axis=1)
    else:
        frame, source = table, "given"
        if len(frame) > ROWS:
            frame = frame.iloc[np.sort(rng.permutation(len(frame))[:ROWS])].reset_index(drop=True)
    if not len(frame):
        raise DataError("the table is empty; give rows to compare on, or none for synthetic ones")
    labels = _labels(old, new)
    before, after = _said(old, frame, labels), _said(new, frame, labels)
    moved = _moved(old, before, after)
    columns: list[tuple[str, float, float]] = []
    for name in dict.fromkeys([c.name for c in old.schema.columns] + [c.name for c in new.schema.columns]):
        old_reach = _reach(old, frame, name, before, labels, seed)
        columns.append((name, old_reach, _reach(new, frame, name, after, labels, seed)))
    columns.sort(key=lambda c: -abs(c[2] - c[1]))
    order = np.argsort(-moved, kind="stable")[:SHOWN]
    first, second = old.predict(frame.iloc[order]), new.predict(frame.iloc[order])
    examples = tuple((int(i), _plain(a), _plain(b)) for i, a, b in zip(order, first, second, strict=True) if moved[i] > 0)
    return Difference(
        _architecture(old, new), _same_neurons(old, new), len(frame), source, _behaviour(old, before, after, moved),
        _scores(old, new, frame), tuple(columns[:SHOWN]), examples,
    )  # fmt: skip


def _architecture(old: TargetNetwork, new: TargetNetwork) -> tuple[tuple[str, Any, Any], ...]:
    a, b = _facts(old), _facts(new)
    return tuple((name, a[name], b[name]) for name in a if a[name] != b[name])


def _facts(network: TargetNetwork) -> dict[str, Any]:
    members = network.architecture.get("members", [])
    return {
        "version": int(network.provenance.get("version", 1)),
        "rows learned": network.provenance.get("rows"),
        "woven by loom": network.provenance.get("loom"),
        "head": network.architecture.get("head"),
        "members": ", ".join(f"{m['family']} {m['weight']:.0%}" for m in members),
        "neurons": " + ".join(str(layer.width) for layer in network.weights.layers) or "none",
        "views": len(network.weights.views),
        "parameters": network.n_parameters,
        "bytes": network.n_bytes,
        "columns": ", ".join(f"{c.name} ({c.kind})" for c in network.schema.columns),
        "features": len(network.schema.features),
        "classes": None if network.classes is None else ", ".join(map(str, network.classes.tolist())),
    }


def _same_neurons(old: TargetNetwork, new: TargetNetwork) -> bool:
    a, b = old.weights, new.weights
    if len(a.layers) != len(b.layers) or len(a.views) != len(b.views):
        return False
    pairs = [(x.columns, y.columns) for x, y in zip(a.views, b.views, strict=True)]
    for u, v in zip(a.views, b.views, strict=True):
        pairs += [(u.centre, v.centre), (u.scale, v.scale), (u.thresholds, v.thresholds)]
    for x, y in zip(a.layers, b.layers, strict=True):
        pairs += [(x.weight, y.weight), (x.bias, y.bias)]
        pairs += [] if x.onto is None or y.onto is None else [(x.onto, y.onto)]
    return all(np.array_equal(x, y) for x, y in pairs)


def _labels(old: TargetNetwork, new: TargetNetwork) -> list[Any]:
    """All classes of both, the old ones first."""
    if old.classes is None or new.classes is None:
        return []
    return list(dict.fromkeys(old.classes.tolist() + new.classes.tolist()))


def _said(network: TargetNetwork, frame: pd.DataFrame, labels: list[Any]) -> np.ndarray:
    """Chances (n, all classes), or values (n, O)."""
    outputs = network.weights.forward(network.schema.encode(frame))
    if network.classes is None:
        return outputs
    chances = np.zeros((len(frame), len(labels)))
    chances[:, [labels.index(label) for label in network.classes.tolist()]] = np.exp(log_chances(outputs))
    return chances


def _moved(network: TargetNetwork, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far each row has moved (n,): total variation of chances, or deviations of the old predictions."""
    if network.classes is not None:
        return 0.5 * np.abs(after - before).sum(axis=1)
    return np.sqrt(np.square((after - before) / np.maximum(before.std(axis=0), 1e-12)).mean(axis=1))


def _behaviour(network: TargetNetwork, before: np.ndarray, after: np.ndarray, moved: np.ndarray) -> dict[str, float]:
    if network.classes is not None:
        agree = float((before.argmax(axis=1) == after.argmax(axis=1)).mean())
        return {"agree": agree, "moved": float(moved.mean()), "largest": float(moved.max())}
    both = [np.corrcoef(before[:, o], after[:, o])[0, 1] for o in range(before.shape[1]) if before[:, o].std() * after[:, o].std() > 0]
    found = {"moved": float(np.sqrt(np.square(moved).mean())), "largest": float(moved.max())}
    return found | ({"correlation": float(np.mean(both))} if both else {})


def _scores(old: TargetNetwork, new: TargetNetwork, frame: pd.DataFrame) -> dict[str, Any]:
    """Losses on rows whose target is known to both."""
    names = {str(name): name for name in frame.columns.tolist()}
    if any(name not in names for name in old.target_names):
        return {}
    y = frame[[names[name] for name in old.target_names]]
    known = y.notna().all(axis=1).to_numpy(copy=True)
    losses = []
    for network in (old, new):
        outputs = network.weights.forward(network.schema.encode(frame))
        if network.classes is None:
            try:
                truth = y.to_numpy(dtype=np.float64)
            except (TypeError, ValueError):
                return {}
            losses.append(np.square((outputs - truth) / old.weights.scale).mean(axis=1))
            continue
        place = {str(label): code for code, label in enumerate(network.classes.tolist())}
        codes = np.array([place.get(str(label), -1) for label in y.iloc[:, 0].tolist()])
        known &= codes >= 0
        losses.append(class_losses(outputs, np.maximum(codes, 0)))
    n = int(known.sum())
    if n < 2:
        return {}
    gap = (losses[0] - losses[1])[known]
    return {
        "loss": "log loss" if old.classes is not None else "squared error in squared deviations",
        "rows": n,
        "old": float(losses[0][known].mean()),
        "new": float(losses[1][known].mean()),
        "gain": float(gap.mean()),
        "gain_se": float(gap.std() / n**0.5),
    }


def _reach(network: TargetNetwork, frame: pd.DataFrame, name: str, said: np.ndarray, labels: list[Any], seed: int) -> float:
    """Mean move of the predictions when a column is shuffled (interventional permutation, Breiman 2001)."""
    if name not in {c.name for c in network.schema.columns if c.labels() or c.missing}:
        return 0.0
    place = [str(column) for column in frame.columns.tolist()].index(name) if network.schema.named else int(name)
    shuffled = frame.copy()
    order = np.random.default_rng(seed).permutation(len(frame))
    shuffled.isetitem(place, frame.iloc[order, place].reset_index(drop=True).set_axis(frame.index))
    return float(_moved(network, said, _said(network, shuffled, labels)).mean())


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
