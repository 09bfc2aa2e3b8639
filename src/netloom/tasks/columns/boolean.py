"""Yes or no: 1 or 0, missing becomes the share of yes in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from netloom.tasks.columns.column import Column, unreadable
from netloom.tasks.columns.number import as_float

WORDS = {"true": 1.0, "false": 0.0, "True": 1.0, "False": 0.0, "TRUE": 1.0, "FALSE": 0.0}


@dataclass(frozen=True)
class Boolean(Column):
    """True or false; ``fill`` is the share of true. Reads 0, 1 and the words true and false as well."""

    kind: ClassVar[str] = "boolean"
    varies: bool
    fill: float

    @classmethod
    def learn(cls, name: str, values: pd.Series) -> tuple[Boolean, np.ndarray]:
        truth = _truth(values, name)
        missing = np.isnan(truth)
        seen = truth[~missing]
        return cls(name, False, len(np.unique(seen)) > 1, float(seen.mean()) if len(seen) else 0.0), missing

    def labels(self) -> tuple[tuple[str, bool], ...]:
        return ((self.name, True),) if self.varies else ()

    def encode(self, values: pd.Series, out: np.ndarray) -> np.ndarray:
        truth = _truth(values, self.name)
        missing = np.isnan(truth)
        if self.varies:
            out[:, 0] = np.where(missing, self.fill, truth)
        return missing

    def encode_value(self, value: Any, row: np.ndarray, start: int) -> bool:
        truth = _one(value, self.name, None)
        if self.varies:
            row[start] = self.fill if truth != truth else truth
        return truth != truth

    def check(self) -> None:
        if not 0 <= self.fill <= 1:
            raise ValueError(f"a share of {self.fill}")


def _truth(values: pd.Series, name: str) -> np.ndarray:
    """1, 0 or NaN for each value, float (n,)."""
    if values.dtype.kind == "b":
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array([_one(value, name, i) for i, value in enumerate(values)], dtype=np.float64)


def _one(value: Any, name: str, row: int | None) -> float:
    if isinstance(value, str) and value in WORDS:
        return WORDS[value]
    try:
        number = as_float(value)
    except ValueError:
        number = 2.0
    if number in (0.0, 1.0) or number != number:
        return number
    raise unreadable(name, row, value, "true or false", "True, False")
