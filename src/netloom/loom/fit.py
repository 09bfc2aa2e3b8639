"""The whole job: a task in; families compared, the best averaged and merged; one proven network out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from netloom.errors import ConfigError
from netloom.loom.alike import QUICK, alike, held_back
from netloom.loom.assemble import Member, assemble
from netloom.loom.compare import Candidate, compare, evidence_loss, weigh
from netloom.loom.families import FAMILIES, families_named, parts_there
from netloom.loom.loom import Loom
from netloom.loom.pool import BLOCKS, weave_pool
from netloom.loom.readouts import FEW_ROWS, left_out_intervals
from netloom.loom.rows import Rows, canonical_rows, folds_of, occurring, spread
from netloom.loom.single import BLOCKS as ONE_PASS
from netloom.target.budget import Budget
from netloom.target.calibration import class_losses, coverage_of_folds, fan, interval_quantiles, log_chances, reliability, temperature_of
from netloom.target.description import layers_and_views
from netloom.target.heads import HEADS
from netloom.target.network import TargetNetwork
from netloom.target.reference import Reference, learn_reference
from netloom.target.store import described_bytes
from netloom.tasks import Schema, Task, labels_to_json
from netloom.threads import one_thread, side_by_side

__all__ = ["fit"]

CHOOSE_ROWS = 3100  # rows on which families are compared: folds of so many have trees of as many leaves as all rows have
FOLDS = 3
MANY_ROWS = 4000  # with more, the members' matrices are so large that one product is for several threads
PROOF = 3000  # bytes of the usual budget left for scores beside baselines and warnings, which come later
FANS = 4  # targets whose predictions are kept beside the truth
Progress = Callable[[float, str], None]


def fit(
    task: Task,
    *,
    budget: Budget | None = None,
    loom: Loom | None = None,
    seed: int = 0,
    head: str = "auto",
    families: str = "all",
    quick: bool = False,
    control: str | None = None,
    progress: Progress | None = None,
) -> TargetNetwork:
    """Weave, choose and prove a network for a task.

    Parameters
    ----------
    task : rows and targets
    budget : limits on size and time; by default a file of 96 kB, larger only where the table's own description needs more
    loom : the hypernetwork, by default the one that comes with netloom
    seed : of random neurons and identities; the same seed gives the same network
    head : "auto" (logistic for classes, gaussian for values), "logistic", "svm", "ridge" or "gaussian"
    families : what competes: "all", "untrained", "no trees", "woven", or one family by name
    quick : one pass without folds, in about an eighth of the time: a few families count alike (those of `netloom.loom.alike.QUICK`, or the
        ``families`` that are asked for), and the network has no held-out score of its own
    control : None, or an honesty control: "random" (woven weights replaced by random ones), "shuffled" (woven from shuffled targets)
    progress : called with the share done (0 to 1) and what is being done

    Raises
    ------
    ConfigError : for an unknown head, family or control, a ``quick`` that is neither True nor False, or a family for which the table has
        nothing to read
    DataError : for a task that holds fewer than two different rows or classes
    """
    started = time.perf_counter()
    loom = loom or Loom.pretrained()
    head = _head(head, task.kind)
    if control not in (None, "random", "shuffled"):
        raise ConfigError(f"control = {control!r}: unknown; use random or shuffled")
    if not isinstance(quick, bool | np.bool_):
        raise ConfigError(f"quick = {quick!r}: must be True or False")
    wanted = families_named(families) if not quick or families != "all" else {name: FAMILIES[name] for name in QUICK}

    def tell(share: float, message: str) -> None:
        if progress:
            progress(share, message)

    def late() -> bool:
        seconds = None if budget is None else budget.max_seconds
        return seconds is not None and time.perf_counter() - started > 0.6 * seconds

    tell(0.0, f"reading {task.n} rows")
    schema = Schema.learn(task.frame, named=task.named)
    rows = canonical_rows(schema.encode(task.frame), task, schema.levels)
    tried = occurring(rows, FOLDS)
    tried = tried.take(spread(tried, CHOOSE_ROWS))
    candidates: list[Candidate] = []
    few = _too_few(rows)
    if not few and not quick:
        with side_by_side() as each:
            candidates = compare(
                loom,
                tried,
                wanted,
                head,
                folds=FOLDS,
                seed=seed,
                control=control,
                progress=lambda share, message: tell(0.05 + 0.75 * share, message),
                late=late,
                each=each,
            )
    chosen = weigh(candidates, tried)
    members = [Member(c.family, FAMILIES[c.family], c.penalty, share) for c, share in chosen]
    tell(0.8, "weaving on all rows")
    blocks = ONE_PASS[task.kind] if quick else BLOCKS
    parts = {p for m in members for p in m.parts} if members else {p for own in wanted.values() for p in own}
    with side_by_side() as each:
        pool = weave_pool(loom, rows, parts=parts, seed=seed, blocks=blocks, control=control, each=each)
    metrics, extra = _proof(chosen, tried, head)
    threads = one_thread if rows.n <= MANY_ROWS else nullcontext
    if not members and not few:
        with threads():
            members, left_out = alike(pool, rows, wanted, head)
        extra = left_out_intervals(left_out, rows)
    elif not members:
        members = held_back(pool, wanted, head)
    if not members or any(parts_there(pool, m.parts) is None for m in members):
        raise ConfigError(f"families = {families!r}: reads ranks, and no column of this table has more than two values; use all")
    if budget is not None and budget.max_bytes is not None and budget.max_bytes < 4 * PROOF:  # so few bytes are for the network
        metrics.pop("calibration", None)
    architecture: dict[str, Any] = _architecture(candidates, members, tried, head, families, control, few)
    architecture |= {"blocks": blocks} if quick else {}
    provenance = {
        "loom": loom.fingerprint(),
        "seed": seed,
        "rows": task.n,
        "different_rows": rows.n,
        "columns": len(schema.columns),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    described = {"schema": schema.to_json(), "architecture": architecture, "metrics": metrics, "provenance": provenance}
    reference = _affordable(learn_reference(schema, rows.X, rows.weight), budget)
    overhead = described_bytes(described | {"classes": None if task.classes is None else labels_to_json(task.classes)}, reference)
    overhead += PROOF if budget is None else 0
    pool = replace(pool, weights=replace(pool.weights, extra=extra))
    with threads():
        factor = metrics.get("temperature", 1.0)
        weights, architecture["imitates"] = assemble(pool, rows, members, head, budget, overhead, factor, quick=quick)
    architecture |= layers_and_views(weights)
    provenance["seconds"] = round(time.perf_counter() - started, 3)
    tell(1.0, "done")
    return TargetNetwork(schema, weights, task.kind, task.classes, task.target_names, architecture, metrics, provenance, reference)


def _head(head: str, kind: str) -> str:
    """The readout for a kind of task."""
    if head == "auto":
        return "logistic" if kind == "classification" else "gaussian"
    if head not in HEADS:
        raise ConfigError(f"head = {head!r}: unknown; use auto, {', '.join(HEADS)}")
    if kind == "regression" and head in ("logistic", "svm"):
        raise ConfigError(f"head = {head!r} is for classes, and this target is a number; use ridge or gaussian, or kind='classification'")
    return head


def _affordable(reference: Reference, budget: Budget | None) -> Reference | None:
    """The summary of the training rows, if it takes no more than an eighth of what the caller allows."""
    limit = None if budget is None else budget.max_bytes
    return reference if limit is None or 8 * reference.n_bytes <= limit else None


def _too_few(rows: Rows) -> str:
    """What is too few for every fold to have something to learn from and be judged on: six different rows, or two classes of two rows;
    "" if nothing.
    """
    if rows.n < 2 * FOLDS:
        return f"{rows.n} rows"
    if rows.codes is not None and (np.bincount(rows.codes) >= 2).sum() < 2:
        return "rows of all classes but one"
    return ""


def _merged(chosen: list[tuple[Candidate, float]]) -> np.ndarray:
    """Held-out outputs (n, O) of the averaged members."""
    return sum((share * c.held_out for c, share in chosen), start=np.zeros_like(chosen[0][0].held_out))


def _proof(chosen: list[tuple[Candidate, float]], rows: Rows, head: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Scores of the average on held-out rows, with standard errors; and what intervals need."""
    if not chosen:
        return {}, {}
    outputs = _merged(chosen)
    weight = rows.weight
    if rows.codes is not None:
        factor = temperature_of(outputs, rows.codes, weight) if head != "logistic" or rows.n >= 50 else 1.0
        loss = class_losses(outputs * factor, rows.codes)
        guess = (outputs[:, 0] > 0).astype(int) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        right = (guess == rows.codes).astype(float)
        share = np.bincount(rows.codes, weights=weight) / weight.sum()
        sure = {"how": f"{FOLDS} folds of {rows.n} rows", "chances": reliability(np.exp(log_chances(outputs * factor)), rows.codes, weight)}
        metrics: dict[str, Any] = _scored("log_loss", loss, weight) | _scored("accuracy", right, weight)
        metrics |= {"temperature": factor, "majority": float(share.max()), "held_out_rows": rows.n, "folds": FOLDS, "calibration": sure}
        return metrics, {}
    residual = (rows.targets - outputs) * rows.scale
    error, spread_of = np.square(residual), np.square((rows.targets - np.average(rows.targets, axis=0, weights=weight)) * rows.scale)
    variance = np.average(spread_of, axis=0, weights=weight)
    variance = np.where(variance > 0, variance, 1.0)  # a constant target
    explained = 1 - np.average(error, axis=0, weights=weight) / variance
    unit = error / variance
    metrics = {
        "r2": float(explained.mean()),
        "r2_se": float(np.sqrt(np.average(np.square(unit - unit.mean(axis=0)), axis=0, weights=weight).mean() / rows.n)),
        "rmse": float(np.sqrt(np.average(error, axis=0, weights=weight).mean())),
        "held_out_rows": rows.n,
        "folds": FOLDS,
    }
    if rows.n < FEW_ROWS:
        return metrics, {}
    truth = rows.targets * rows.scale + rows.centre
    metrics["calibration"] = {
        "how": f"{FOLDS} folds of {rows.n} rows",
        "coverage": coverage_of_folds(residual, weight, folds_of(rows, FOLDS)),
        "values": [fan((truth - residual)[:, o], truth[:, o]) for o in range(truth.shape[1])][:FANS],
    }
    return metrics, {"interval_quantiles": interval_quantiles(residual, weight)}


def _scored(name: str, values: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """A weighted mean over rows and its standard error."""
    mean = float(np.average(values, weights=weight))
    return {name: mean, f"{name}_se": float(np.sqrt(np.average(np.square(values - mean), weights=weight) / len(values)))}


def _architecture(
    candidates: list[Candidate], members: list[Member], rows: Rows, head: str, families: str, control: str | None, few: str
) -> dict[str, Any]:
    """What was compared, what was chosen, and why, in plain data."""
    shares = {m.family: round(m.weight, 4) for m in members}
    compared = [
        {"family": c.family, "penalty": c.penalty, "loss": round(evidence_loss(c, rows), 5), "weight": shares.get(c.family, 0.0)}
        for c in candidates
    ]
    if not candidates:
        why = f"{few} are too few to compare families" if few else "woven in one pass, without folds"
        why += "; all families count alike"
    else:
        best = candidates[0]
        why = f"{best.family} has the lowest held-out loss of {len(candidates)} families"
        if gone := len(families_named(families)) - len(candidates):
            why += f" ({gone} more were given up on the way: far behind, out of time, or with nothing to read)"
        linear = next((c for c in candidates if c.family == "linear"), None)
        if linear is not None and best.family != "linear" and linear.rows is not None and best.rows is not None:
            gap = linear.rows - best.rows
            mean, error = float(np.average(gap, weights=rows.weight)), float(gap.std() / np.sqrt(len(gap)))
            why += f", {mean:.3g} (standard error {error:.2g}) per row below a linear model"
        if len(members) > 1:
            why += f"; averaged with {', '.join(f'{m.family} ({m.weight:.0%})' for m in members if m.family != best.family)}"
    return {
        "head": head,
        "members": [{"family": m.family, "penalty": m.penalty, "weight": shares[m.family]} for m in members],
        "compared": compared,
        "why": why,
        "families": families,
        "control": control,
    }
