"""Weave a network again on other rows: the same families, penalties and shares, so that held-out rows can judge what is done to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from netloom.errors import BudgetError, DataError
from netloom.loom import Loom
from netloom.loom.assemble import Member, assemble
from netloom.loom.families import FAMILIES
from netloom.loom.pool import BLOCKS, weave_pool
from netloom.loom.rows import Rows, canonical_rows
from netloom.target.budget import Budget
from netloom.target.description import layers_and_views
from netloom.target.network import TargetNetwork
from netloom.target.weights import Weights
from netloom.tasks import Task
from netloom.threads import side_by_side

__all__ = ["members_of", "rows_of", "same_task", "temperature_factor", "weave_again", "with_weights"]

SLACK = 1.05  # a fold's network may be a little larger: its ranks and thresholds are others


def members_of(network: TargetNetwork) -> list[Member]:
    """The families a network was merged from; DataError if it does not say."""
    found = network.architecture.get("members")
    try:
        return [Member(m["family"], FAMILIES[m["family"]], float(m["penalty"]), float(m["weight"])) for m in found]  # type: ignore[union-attr]
    except (TypeError, KeyError, ValueError):
        raise DataError("this network does not say what it was woven from, so it cannot be woven again; fit it anew") from None


def weave_again(network: TargetNetwork, rows: Rows, loom: Loom) -> Weights:
    """The same members on ``rows``, merged; not larger than the network is, where that can be."""
    members = members_of(network)
    single = len(members) == 1 and network.architecture.get("families") is None
    told = network.architecture.get("blocks", BLOCKS)
    blocks = max(len(network.weights.layers), 1) if single else told  # one pass of the loom weaves as many blocks as it was told
    control = network.architecture.get("control")
    parts = {part for member in members for part in member.parts}
    seed = int(network.provenance.get("seed", 0))
    head = network.architecture.get("head", "logistic")
    numbers = replace(network.weights, extra={}).n_parameters
    factor = temperature_factor(network)
    with side_by_side() as each:
        pool = weave_pool(loom, rows, parts=parts, seed=seed, blocks=blocks, control=control, each=each)
        try:
            return assemble(pool, rows, members, head, Budget(max_parameters=int(SLACK * numbers) + 64, max_bytes=None), 0, factor, 0.0)[0]
        except BudgetError:  # on these rows more columns vary
            return assemble(pool, rows, members, head, Budget(max_bytes=None), 0, factor, 0.0)[0]


def with_weights(network: TargetNetwork, weights: Weights, extra: dict[str, np.ndarray]) -> TargetNetwork:
    """The network with other numbers, whose layers and views its architecture describes; what belonged to the old ones goes."""
    kept = {name: value for name, value in weights.extra.items() if not name.startswith("variance")}
    architecture = {name: value for name, value in network.architecture.items() if name != "imitates"}
    if "layers" in architecture:
        architecture |= layers_and_views(weights)
    return replace(network, weights=replace(weights, extra=kept | extra), architecture=architecture)


def temperature_factor(network: TargetNetwork) -> float:
    """What the readout was multiplied by to be calibrated."""
    return float(network.metrics.get("temperature", 1.0))


def same_task(network: TargetNetwork, task: Task) -> Task:
    """The task with the network's classes, in its order.

    Raises
    ------
    DataError : if the target's name or kind, a class or the number of targets is another
    """
    if task.kind != network.kind and not (network.classes is None and task.classes is not None and task.classes.dtype.kind in "iuf"):
        what = "classes" if network.classes is not None else "numbers"
        raise DataError(f"target {task.target_names[0]!r}: the network predicts {what}, this table holds something else; give its own")
    if network.classes is None:
        if task.classes is not None:  # a few whole numbers look like classes
            task = replace(task, y=task.classes[task.y].astype(np.float64)[:, None], kind="regression", classes=None)
        if task.outputs != len(network.target_names):
            raise DataError(f"the network predicts {len(network.target_names)} targets, this table has {task.outputs}; give the same ones")
        return task
    assert task.classes is not None
    place = {label: code for code, label in enumerate(network.classes.tolist())}
    texts = {str(label): code for label, code in place.items()}
    codes = np.array([place.get(label, texts.get(str(label), -1)) for label in task.classes.tolist()])
    if (codes < 0).any():
        label = task.classes.tolist()[int(np.argmax(codes < 0))]
        raise DataError(f"target {task.target_names[0]!r}: the class {label!r} is unknown to the network; fit it anew on all rows")
    return replace(task, y=codes[task.y], classes=network.classes)


def rows_of(network: TargetNetwork, task: Task) -> Rows:
    """The task's rows in canonical form, encoded as the network reads them."""
    task = same_task(network, task)
    return canonical_rows(network.schema.encode(task.frame), task, network.schema.levels)
