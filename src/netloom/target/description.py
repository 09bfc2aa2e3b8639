"""What a network's file says about the network: the entries that commands read must be of the kind they are read as.

Architecture, metrics and provenance are open dictionaries, so that later versions may say more. What is absent is left out where it is
shown; what is there and of another kind is a forgery, and is refused at the door rather than met as a TypeError in a report.
"""

from __future__ import annotations

import math
from typing import Any

from netloom.target.weights import Weights

__all__ = ["check_description", "layers_and_views"]

HEADS = ("logistic", "svm", "ridge", "gaussian")
COUNTS = ("version", "rewoven", "seed")  # of the provenance: added to, or a seed
NUMBERS = ("accuracy", "log_loss", "r2", "rmse", "temperature")  # of the metrics
CURVES = {"chances": 3, "coverage": 2}  # of the calibration: numbers per point
MOST_BLOCKS = 1000  # far more than anybody weaves
MOST = 2**53  # counts beyond are not exact in every JSON reader


def check_description(architecture: Any, metrics: Any, provenance: Any) -> str:
    """What is wrong with the description of a network that was read from a file, "" if nothing."""
    if not all(isinstance(part, dict) for part in (architecture, metrics, provenance)):
        return "its description is not readable"
    if architecture.get("head", HEADS[0]) not in HEADS:
        return f"its readout is none of {', '.join(HEADS)}"
    members = architecture.get("members", [])
    if not isinstance(members, list) or not all(map(_is_member, members)):
        return "its members are not described by family, penalty and weight"
    imitated = architecture.get("imitates", {"bytes": 0, "apart": 0})
    if not isinstance(imitated, dict) or not all(_is_number(imitated.get(name)) for name in ("bytes", "apart")):
        return "what it imitates is not described"
    if not isinstance(architecture.get("control"), str | None):
        return "its control is not described"
    blocks = architecture.get("blocks", 1)
    if type(blocks) is not int or not 1 <= blocks <= MOST_BLOCKS:
        return "how many blocks it was woven in is not described"
    for name in COUNTS:
        value = provenance.get(name, 0)
        if type(value) is not int or not 0 <= value <= MOST:
            return f"its {name} is not a whole number"
    for name in NUMBERS:
        if name in metrics and not (_is_number(metrics[name]) and _is_number(metrics.get(f"{name}_se", 0.0))):
            return f"its {name} is not a number"
    if not _is_calibration(metrics.get("calibration", {})):
        return "its calibration is not readable"
    return ""


def layers_and_views(weights: Weights) -> dict[str, Any]:
    """What an architecture says of a network's numbers, in plain data."""
    layers = [{"reads": f"view {a.view}", "inputs": len(a.weight), "neurons": a.width, "earlier": list(a.earlier)} for a in weights.layers]
    kinds = ["standardised" if v.knots is None else "ranked" for v in weights.views]
    views = [{"columns": len(v.columns), "kind": kind, "features": v.width} for v, kind in zip(weights.views, kinds, strict=True)]
    return {"layers": layers, "views": views}


def _is_member(member: Any) -> bool:
    numbers = ("penalty", "weight")
    return isinstance(member, dict) and isinstance(member.get("family"), str) and all(_is_number(member.get(name)) for name in numbers)


def _is_calibration(kept: Any) -> bool:
    if not isinstance(kept, dict) or not isinstance(kept.get("how", ""), str):
        return False
    for name, width in CURVES.items():
        points = kept.get(name, [])
        if not isinstance(points, list):
            return False
        if not all(isinstance(point, list) and len(point) == width and all(map(_is_number, point)) for point in points):
            return False
    return not (kept.get("chances") or kept.get("coverage")) or "how" in kept


def _is_number(value: Any) -> bool:
    """A finite number that fits a float; booleans are none."""
    return type(value) in (int, float) and abs(value) <= 1e300 and math.isfinite(value)
