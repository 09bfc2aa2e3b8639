"""What was measured when a network was fitted, read back from its metrics; a forged or old file gives less, never an error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from netloom.target.network import TargetNetwork

__all__ = ["Calibration", "Scores", "calibration_of", "read_calibration", "scores_of"]

Pair = tuple[float, float]


@dataclass(frozen=True)
class Scores:
    """Held-out scores of models on the same rows: ``table[model][score]`` is (value, standard error), NaN where it could not be computed.

    differences : score -> (best baseline, netloom minus it, standard error)
    """

    how: str
    table: dict[str, dict[str, Pair]]
    differences: dict[str, tuple[str, float, float]]


@dataclass(frozen=True)
class Calibration:
    """How sure a network is and how right, on rows it had not seen, see `netloom.target.calibration`.

    chances : (said, came true, how many)
    coverage : (asked for, held the value)
    values : per target, (prediction, 10 %, 50 %, 90 % of what came, how many)
    """

    how: str
    chances: tuple[tuple[float, ...], ...]
    coverage: tuple[tuple[float, ...], ...]
    values: tuple[tuple[tuple[float, ...], ...], ...]


def scores_of(network: TargetNetwork) -> Scores | None:
    """The scores beside baselines that ``netloom fit`` keeps, else those of the folds that chose the network, else None."""
    kept = network.metrics.get("beside_baselines")
    if isinstance(kept, dict) and isinstance(kept.get("scores"), dict):
        table = {}
        for model, row in list(kept["scores"].items())[:30]:
            if isinstance(row, dict):
                table[str(model)] = {str(name): _pair(given) for name, given in row.items()}
        if "netloom" in table:
            differences = {}
            for name, given in (kept.get("differences") or {}).items() if isinstance(kept.get("differences") or {}, dict) else ():
                if isinstance(given, list) and len(given) == 3 and isinstance(given[0], str):
                    differences[str(name)] = (given[0], *_pair(given[1:]))
            ordered = {"netloom": table.pop("netloom")} | table
            return Scores(str(kept.get("how", "held-out rows"))[:200], ordered, differences)
    own = {name: _pair([network.metrics.get(name), network.metrics.get(f"{name}_se")]) for name in ("accuracy", "log_loss", "r2", "rmse")}
    own = {name: given for name, given in own.items() if math.isfinite(given[0])}
    if not own:
        return None
    folds, rows = network.metrics.get("folds"), network.metrics.get("held_out_rows")
    how = f"{folds} folds of {rows} rows, the ones that chose the network" if type(folds) is int and type(rows) is int else "folds"
    return Scores(how, {"netloom": own}, {})


def calibration_of(network: TargetNetwork) -> Calibration | None:
    """The calibration kept at fit, if there is any."""
    return read_calibration(network.metrics.get("calibration"))


def read_calibration(kept: Any) -> Calibration | None:
    """A calibration from its plain form, what does not look like one left out."""
    if not isinstance(kept, dict):
        return None
    values = kept.get("values") if isinstance(kept.get("values"), list) else []
    targets = tuple(lines for part in (values or [])[:4] if (lines := _lines(part, 5)))
    found = Calibration(str(kept.get("how", ""))[:200], _lines(kept.get("chances"), 3), _lines(kept.get("coverage"), 2), targets)
    return found if found.chances or found.coverage or found.values else None


def _pair(given: Any) -> Pair:
    if not isinstance(given, list) or len(given) != 2:
        return math.nan, math.nan
    return _finite(given[0]), _finite(given[1])


def _finite(value: Any) -> float:
    return float(value) if type(value) in (int, float) and math.isfinite(value) else math.nan


def _lines(given: Any, width: int) -> tuple[tuple[float, ...], ...]:
    if not isinstance(given, list):
        return ()
    return tuple(tuple(map(float, line)) for line in given[:100] if isinstance(line, list) and len(line) == width and not _odd(line))


def _odd(line: list[Any]) -> bool:
    return any(math.isnan(_finite(value)) for value in line)
