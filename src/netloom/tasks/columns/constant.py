"""A column that taught nothing: one value only, or all missing. It has no feature and may be absent later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from netloom.tasks.columns.column import Column


@dataclass(frozen=True)
class Constant(Column):
    """No feature, whatever it holds."""

    kind: ClassVar[str] = "constant"

    @classmethod
    def learn(cls, name: str, values: pd.Series) -> tuple[Constant, np.ndarray]:
        return cls(name, False), np.zeros(len(values), dtype=bool)

    def labels(self) -> tuple[tuple[str, bool], ...]:
        return ()

    def encode(self, values: pd.Series, out: np.ndarray) -> np.ndarray:
        return np.zeros(len(values), dtype=bool)

    def encode_value(self, value: Any, row: np.ndarray, start: int) -> bool:
        return False

    def check(self) -> None:
        if self.missing:
            raise ValueError("a constant column has no feature for missing")
