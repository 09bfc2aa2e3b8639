"""Keras 3: the network as a functional model of standard operations, dense and embedding layers, saved as ``.keras``.

    model({"numbers": (n, q) float64, "codes": (n, c) int64}) -> chances (n, C), or values (n, O) float64

An input that the network does not read is left out. Nothing in the model is of our own making, so the file loads with Keras alone, on any
of its backends; ours is torch. Strings and dates are not for Keras: what becomes of them is in the metadata (``numbers``, ``codes``), and
the exported Python file's ``prepare(row)`` does it. A ``.keras`` file is a zip archive; the metadata is its member ``netloom.json``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from netloom.errors import ConfigError
from netloom.export.describe import as_json, describe
from netloom.export.fuse import ramps
from netloom.export.plan import Part, Plan, PlanView, make_plan
from netloom.target.network import TargetNetwork
from netloom.target.weights import CLIP
from netloom.tasks.columns.column import LARGEST

__all__ = ["METADATA", "to_keras", "write"]

METADATA = "netloom.json"  # the member of the archive that holds the description


def to_keras(network: TargetNetwork) -> Any:
    """The network as a ``keras.Model``.

    Raises
    ------
    ConfigError : if keras, or the backend chosen for it, is not installed
    """
    keras = _keras()
    ops = keras.ops
    plan = make_plan(network)
    inputs: dict[str, Any] = {}
    reads_numbers = plan.flags or any(len(view.slots) for view in plan.views)
    if reads_numbers or not plan.codes:
        inputs["numbers"] = keras.Input((max(len(plan.slots), 1),), dtype="float64", name="numbers")
    if plan.codes:
        inputs["codes"] = keras.Input((len(plan.codes),), dtype="int64", name="codes")
    views, flags = [], None
    if reads_numbers:
        numbers = inputs["numbers"]
        missing = ops.isnan(numbers)
        x = ops.where(missing, _row(plan.column("fill")), numbers)
        furthest = ops.where(ops.greater(x, 0.0), _row(plan.column("high")), _row(plan.column("low")))  # minimum() rounds to 32 bits
        x = ops.where(ops.isinf(x), furthest, ops.clip(x, -LARGEST, LARGEST))
        views = [_view(ops, x, view) if len(view.slots) else None for view in plan.views]
        flags = ops.cast(ops.take(missing, np.array(plan.flags), axis=1), "float32") if plan.flags else None
    rows = ops.add(inputs["codes"], plan.offsets[None, :-1]) if plan.codes else None
    nothing = _zeros(ops, inputs)
    hidden: list[Any] = []
    for t, part in enumerate([*plan.layers, plan.readout]):
        last = part is plan.readout
        seen = _seen(ops, plan, part, views) + [hidden[e] for e in part.earlier]
        total = _part(keras, part, seen, rows, flags, nothing, "readout" if last else f"layer{t}", last)
        hidden.append(total if last else ops.relu(total))
    outputs = ops.add(ops.cast(hidden[-1], "float64"), _row(plan.readout.bias))
    if network.classes is not None:
        outputs = ops.concatenate([ops.zeros_like(outputs), outputs], axis=1) if plan.outputs == 1 else outputs
        outputs = ops.softmax(outputs, axis=1)
    return keras.Model(inputs, outputs, name="network")


def write(network: TargetNetwork, name: str) -> bytes:
    """The content of a ``.keras`` file; ``name`` is that of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        to_keras(network).save(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(METADATA, as_json(describe(network, make_plan(network))))
        return path.read_bytes()


def _keras() -> Any:
    """Keras on the backend that the user chose, or on torch if none was chosen or the chosen one is not there."""
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ and find_spec(_configured()) is None:
        os.environ["KERAS_BACKEND"] = "torch"
    try:
        import keras
    except ModuleNotFoundError as error:
        raise ConfigError(f"the package {error.name} is not installed; pip install 'netloom[keras]'") from None
    return keras


def _configured() -> str:
    """The backend in Keras' own settings; its default is tensorflow, and it writes that down when it is first imported."""
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((folder / "keras.json").read_text())["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def _row(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[None]


def _zeros(ops: Any, inputs: dict[str, Any]) -> Any:
    """(n, 1) float, from whatever there is."""
    first = ops.isnan(inputs["numbers"]) if "numbers" in inputs else inputs["codes"]
    return ops.multiply(ops.cast(ops.take(first, np.array([0]), axis=1), "float32"), 0.0)


def _view(ops: Any, x: Any, view: PlanView) -> Any:
    """Standardised, ranked, bent: (n, q) double to (n, width) float."""
    z = ops.divide(ops.subtract(ops.take(x, view.slots, axis=1), _row(view.centre)), _row(view.scale))
    if len(view.ranked):
        start, slope, rise, first = (np.stack(part) for part in zip(*map(ramps, view.knots, view.heights), strict=True))
        raw = ops.expand_dims(ops.take(z, view.ranked, axis=1), 2)
        share = ops.clip(ops.multiply(ops.subtract(raw, start[None]), slope[None]), 0.0, 1.0)
        summed = ops.add(ops.sum(ops.multiply(share, rise[None]), axis=2), _row(first))
        take = np.arange(len(view.slots))
        take[view.ranked] = len(view.slots) + np.arange(len(view.ranked))
        z = ops.take(ops.concatenate([z, summed], axis=1), take, axis=1)
    z = ops.cast(ops.clip(z, -CLIP, CLIP), "float32")
    if not len(view.many):
        return z
    bent = ops.take(z, view.many, axis=1)
    twice = ops.multiply(bent, 2.0)
    parabola = ops.multiply(ops.subtract(ops.minimum(ops.square(bent), 7.0), 1.0), 0.5)
    apart = ops.subtract(ops.expand_dims(bent, 2), view.thresholds[None].astype(np.float32))
    steps = ops.reshape(ops.tanh(ops.multiply(apart, 3.0)), (-1, 4 * len(view.many)))
    return ops.concatenate([z, ops.tanh(twice), ops.cos(twice), parabola, steps], axis=1)


def _seen(ops: Any, plan: Plan, part: Part, views: list[Any]) -> list[Any]:
    """The features that a part reads, view by view."""
    found = []
    for view, start, stop in zip(views, plan.starts[:-1].tolist(), plan.starts[1:].tolist(), strict=False):
        first, last = max(part.start, start), min(part.stop, stop)
        if view is not None and first < last:
            found.append(view if last - first == stop - start else ops.take(view, np.arange(first - start, last - start), axis=1))
    return found


def _part(keras: Any, part: Part, seen: list[Any], rows: Any, flags: Any, nothing: Any, name: str, last: bool) -> Any:
    """One layer before its ReLU, or the readout, whose bias is added later in double precision."""
    ops, H = keras.ops, part.width
    total = nothing
    if seen:
        joined = seen[0] if len(seen) == 1 else ops.concatenate(seen, axis=1)
        dense = keras.layers.Dense(H, use_bias=not last, name=name, dtype="float32")
        total = ops.add(total, dense(joined))
        kernel = np.concatenate([part.weight, part.onto]).astype(np.float32)
        dense.set_weights([kernel] if last else [kernel, part.bias.astype(np.float32)])
    elif not last:
        total = ops.add(total, part.bias[None].astype(np.float32))
    if rows is not None:
        table = keras.layers.Embedding(len(part.codes), H, name=f"{name}_codes", dtype="float32")
        total = ops.add(total, ops.sum(table(rows), axis=1))
        table.set_weights([part.codes.astype(np.float32)])
    if flags is not None:
        missing = keras.layers.Dense(H, use_bias=False, name=f"{name}_missing", dtype="float32")
        total = ops.add(total, missing(flags))
        missing.set_weights([part.flags.astype(np.float32)])
    return total
