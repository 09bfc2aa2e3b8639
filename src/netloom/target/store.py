"""A network as one file and back: names of tensors, the description, and every check that they belong together."""

import json
import os
from typing import Any

import numpy as np

from netloom.errors import FileError
from netloom.target import file
from netloom.target.description import check_description
from netloom.target.network import TargetNetwork
from netloom.target.reference import Reference, check_reference
from netloom.target.weights import Layer, View, Weights, has_gaps, in_halves, is_sparse, read_rows
from netloom.tasks import Schema, labels_from_json, labels_to_json

__all__ = ["described_bytes", "load", "save", "size_of"]

MARGIN = 700  # bytes of a file that belong to no view, layer or description
LARGEST_SPARSE = 2**25  # numbers of a sparse matrix once its zeros are back: a forged file must not take all memory


def save(network: TargetNetwork, path: str | os.PathLike[str]) -> None:
    """Write the network, atomically; FileError if the file cannot be written."""
    file.write(path, *_taken_apart(network))


def load(path: str | os.PathLike[str]) -> TargetNetwork:
    """The network in a file; FileError if anything in it is not as it should be."""
    tensors, header = file.read(path)
    try:
        return _put_together(tensors, header)
    except FileError as error:
        raise FileError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FileError(f"{path}: its parts do not fit together ({type(error).__name__}); the file is damaged or forged") from None


def size_of(network: TargetNetwork) -> int:
    """Bytes of the network's file."""
    return len(file.encode("network", *_taken_apart(network)))


def described_bytes(description: dict[str, Any], reference: Reference | None = None) -> int:
    """Bytes that everything but the weights will need, at most; ``description`` holds all of the header but views and layers."""
    summary = 0 if reference is None else reference.n_bytes
    return len(json.dumps(json.dumps(description, separators=(",", ":")))) + summary + MARGIN


def _taken_apart(network: TargetNetwork) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    w = network.weights
    tensors = _readout_apart(w.readout) | {"intercept": w.intercept, "centre": w.centre, "scale": w.scale}
    for v, view in enumerate(w.views):
        tensors |= {
            f"view{v}.columns": view.columns.astype(np.int32),
            f"view{v}.centre": view.centre,
            f"view{v}.scale": view.scale,
            f"view{v}.many": view.many.astype(np.int32),
        }
        if view.cells:
            tensors[f"view{v}.thresholds"] = view.thresholds
        if view.knots is not None and view.heights is not None:
            tensors |= {f"view{v}.knots": view.knots, f"view{v}.heights": view.heights}
    for t, layer in enumerate(w.layers):  # hidden weights were rounded to half precision before the readout was solved: nothing is lost
        tensors |= _matrix_apart(f"layer{t}.weight", layer.weight) | {f"layer{t}.bias": layer.bias}
        if layer.onto is not None:
            tensors |= _matrix_apart(f"layer{t}.onto", layer.onto)
    tensors |= {f"extra.{name}": value for name, value in w.extra.items()}
    if network.reference is not None:
        seen = network.reference
        tensors |= {"reference.latent": seen.latent, "reference.quantiles": seen.quantiles, "reference.distances": seen.distances}
    header = {
        "kind": network.kind,
        "classes": None if network.classes is None else labels_to_json(network.classes),
        "target_names": list(network.target_names),
        "views": [{"cells": v.cells} for v in w.views],
        "layers": [{"view": a.view, "inputs": len(a.weight), "earlier": list(a.earlier)} for a in w.layers],
        "schema": network.schema.to_json(),
        "architecture": network.architecture,
        "metrics": network.metrics,
        "provenance": network.provenance,
    }
    return tensors, header


def _put_together(tensors: dict[str, np.ndarray], header: dict[str, Any]) -> TargetNetwork:
    kind = header["kind"]
    _check(kind in ("classification", "regression"), f"kind is {kind!r}")
    schema = Schema.from_json(header["schema"])
    d = len(schema.features)
    classes = None if header["classes"] is None else labels_from_json(header["classes"])
    names = header["target_names"]
    _check((classes is None) == (kind == "regression"), "classes do not fit the kind")
    _check(isinstance(names, list) and names != [] and all(isinstance(n, str) for n in names), "target names are not text")
    views = tuple(_view(tensors, v, entry, d) for v, entry in enumerate(header["views"]))
    _check(len(views) > 0, "there is no view")
    layers: list[Layer] = []
    for t, entry in enumerate(header["layers"]):
        layers.append(_layer(tensors, t, entry, views, layers))
    extra = {name[6:]: value for name, value in tensors.items() if name.startswith("extra.")}
    p = sum(v.width for v in views) + sum(a.width for a in layers)
    readout, intercept = _readout(tensors, p), tensors["intercept"].astype(np.float32)
    weights = Weights(views, tuple(layers), readout, intercept, tensors["centre"], tensors["scale"], extra)
    outputs = len(names) if classes is None else (1 if len(classes) == 2 else len(classes))
    _check(readout.shape == (p, outputs), f"readout has shape {readout.shape}, not {(p, outputs)}")
    shapes = {"intercept": (outputs,), "centre": (outputs,), "scale": (outputs,)}
    _check(classes is None or len(classes) >= 2, "fewer than two classes")
    for name, shape in shapes.items():
        _check(tensors[name].shape == shape, f"{name} has shape {tensors[name].shape}, not {shape}")
    wanted: dict[str, tuple[int, ...]] = {"interval_quantiles": (99, outputs)}
    if "variance" in extra:
        _check(extra["variance"].ndim == 2, "variance is not a matrix")
        wanted |= {"variance": (p, extra["variance"].shape[1]), "variance_mean": (extra["variance"].shape[1],)}
    _check(set(extra) <= set(wanted), "holds tensors that no network has")
    for name, value in extra.items():
        _check(value.shape == wanted[name], f"{name} has a wrong shape")
    architecture, metrics, provenance = (header[name] for name in ("architecture", "metrics", "provenance"))
    wrong = check_description(architecture, metrics, provenance)
    _check(not wrong, wrong)
    return TargetNetwork(schema, weights, kind, classes, tuple(names), architecture, metrics, provenance, _reference(tensors, schema))


def _reference(tensors: dict[str, np.ndarray], schema: Schema) -> Reference | None:
    if "reference.latent" not in tensors:
        return None
    names = ("latent", "quantiles", "distances")
    reference = Reference(*(tensors[f"reference.{name}"].astype(np.float16 if name == "latent" else np.float32) for name in names))
    wrong = check_reference(reference, schema)
    _check(not wrong, wrong)
    return reference


def _view(tensors: dict[str, np.ndarray], v: int, entry: dict[str, Any], d: int) -> View:
    def get(name: str) -> np.ndarray:
        return tensors[f"view{v}.{name}"]

    columns, many = get("columns").astype(np.int64), get("many").astype(np.int64)
    k, m = len(columns), len(many)
    _check(entry["cells"] in (True, False), f"view {v} is not described")
    _check(columns.ndim == 1 and k > 0 and (columns >= 0).all() and (columns < d).all(), f"view {v} reads columns that do not exist")
    _check(many.ndim == 1 and (many >= 0).all() and (many < k).all(), f"view {v} bends columns that it does not read")
    for places in (columns, many):  # one row and many rows take different ways through them, which agree only then
        _check(bool((np.diff(places) > 0).all()), f"view {v} has columns twice or out of order")
    centre, scale = get("centre").astype(np.float64), get("scale").astype(np.float64)
    _check(centre.shape == (k,) and scale.shape == (k,) and (scale > 0).all(), f"view {v} has a wrong scaling")
    thresholds = get("thresholds").astype(np.float32) if entry["cells"] else np.zeros((m, 4), np.float32)
    _check(thresholds.shape == (m, 4), f"view {v} has wrong thresholds")
    knots = heights = None
    if f"view{v}.knots" in tensors or f"view{v}.heights" in tensors:
        knots, heights = get("knots").astype(np.float64), get("heights").astype(np.float64)
        _check(knots.ndim == 2 and knots.shape == heights.shape and len(knots) == m and knots.shape[1] >= 2, f"view {v} has wrong ranks")
        _check(bool((np.diff(knots, axis=1) >= 0).all()), f"view {v} has ranks out of order")
    return View(columns, centre, scale, many, thresholds, knots, heights, bool(entry["cells"]))


def _layer(tensors: dict[str, np.ndarray], t: int, entry: dict[str, Any], views: tuple[View, ...], before: list[Layer]) -> Layer:
    view, inputs, earlier = entry["view"], entry["inputs"], entry["earlier"]
    _check(type(view) is int and 0 <= view < len(views), f"layer {t} reads a view that does not exist")
    _check(isinstance(earlier, list) and all(type(e) is int and 0 <= e < t for e in earlier), f"layer {t} reads layers that come later")
    _check(len(set(earlier)) == len(earlier), f"layer {t} reads a layer twice")
    bias = tensors[f"layer{t}.bias"].astype(np.float32)
    _check(bias.ndim == 1, f"layer {t} has a wrong shape")
    _check(type(inputs) is int and inputs in (len(views[view].columns), views[view].width), f"layer {t} does not fit its view")
    weight, onto = _matrix(tensors, f"layer{t}.weight", (inputs, len(bias))), None
    if earlier:
        onto = _matrix(tensors, f"layer{t}.onto", (sum(before[e].width for e in earlier), len(bias)))
    return Layer(view, weight, bias, tuple(earlier), onto)


def _readout_apart(readout: np.ndarray) -> dict[str, np.ndarray]:
    """A readout as tensors of a file: itself, or the rows of the features it reads and which these are; in halves where nothing is lost."""
    numbers = readout.astype(np.float16) if in_halves(readout) else readout
    if not has_gaps(readout):
        return {"readout": numbers}
    at = np.flatnonzero(read_rows(readout))
    return {"readout": numbers[at], "readout.at": at.astype(np.int32)}


def _readout(tensors: dict[str, np.ndarray], p: int) -> np.ndarray:
    """The inverse of `_readout_apart` for p features, float32."""
    numbers, at = tensors["readout"].astype(np.float32), tensors.get("readout.at")
    if at is None:
        return numbers
    _check(numbers.ndim == 2 and p * numbers.shape[1] <= LARGEST_SPARSE, "readout would hold too many numbers")
    _check(at.ndim == 1 and len(at) == len(numbers), "readout does not say which features it reads")
    readout = np.zeros((p, numbers.shape[1]), np.float32)
    readout[_places(at, p, "readout reads features out of place")] = numbers
    return readout


def _matrix_apart(name: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    """A matrix as tensors of a file: itself, or where most of it is 0, the other numbers and where they stand."""
    if not is_sparse(matrix):
        return {name: matrix.astype(np.float16)}
    at = np.flatnonzero(matrix)
    return {name: matrix.ravel()[at].astype(np.float16), f"{name}.at": at.astype(np.int32)}


def _matrix(tensors: dict[str, np.ndarray], name: str, shape: tuple[int, int]) -> np.ndarray:
    """The inverse of `_matrix_apart`, float32."""
    numbers, at = tensors[name].astype(np.float32), tensors.get(f"{name}.at")
    if at is None:
        _check(numbers.shape == shape, f"{name} has shape {numbers.shape}, not {shape}")
        return numbers
    size = shape[0] * shape[1]
    _check(size <= LARGEST_SPARSE, f"{name} would hold {size} numbers")
    _check(at.ndim == 1 and numbers.shape == at.shape, f"{name} does not say where its numbers stand")
    matrix = np.zeros(size, np.float32)
    matrix[_places(at, size, f"{name} has numbers out of place")] = numbers
    return matrix.reshape(shape)


def _places(at: np.ndarray, size: int, wrong: str) -> np.ndarray:
    """Places that rise and lie below ``size``, int64."""
    at = at.astype(np.int64)
    _check(bool((np.diff(at, prepend=-1) > 0).all() and (at < size).all()), wrong)
    return at


def _check(fine: bool | np.bool_, what: str) -> None:
    if not fine:
        raise FileError(f"{what}; the file is damaged or forged")
