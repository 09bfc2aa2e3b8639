"""How wrong a network was on each new row before it learned it (prequential error, Dawid 1984), and when that is more than it promised."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

__all__ = ["Prequential"]

WINDOW = 300  # newest rows that speak
LEAST = 30  # fewer say nothing
SURE = 3.0  # standard errors
MORE = 0.05  # and at least so much more than promised, relative


@dataclass(frozen=True, eq=False)
class Prequential:
    """Losses of the newest rows since the network was woven, beside what its held-out folds promised.

    promised, spread, of : mean loss, its standard deviation and the rows behind it; ``of`` 0: nothing was promised, the first rows will
    tell.
    """

    promised: float = 0.0
    spread: float = 0.0
    of: int = 0
    losses: np.ndarray = field(default_factory=lambda: np.zeros(0))  # of the newest rows, in order
    residuals: np.ndarray = field(default_factory=lambda: np.zeros((0, 1)))  # (n, O) of values, in their own unit
    rows: int = 0
    total: float = 0.0

    def add(self, losses: np.ndarray, residuals: np.ndarray | None = None) -> Prequential:
        """Note new rows, each predicted before it was learned."""
        kept = np.concatenate([self.losses, losses])[-WINDOW:]
        left = self.residuals
        if residuals is not None:
            left = np.concatenate([left.reshape(-1, residuals.shape[1]), residuals])[-WINDOW:]
        made = replace(self, losses=kept, residuals=left, rows=self.rows + len(losses), total=self.total + float(losses.sum()))
        if made.of == 0 and made.rows >= LEAST:
            return replace(made, promised=float(kept.mean()), spread=float(kept.std()), of=len(kept), losses=kept[:0])
        return made

    @property
    def mean(self) -> float:
        """Mean loss of all rows since the network was woven."""
        return self.total / self.rows if self.rows else float("nan")

    @property
    def recent(self) -> float:
        """Mean loss of the newest rows."""
        return float(self.losses.mean()) if len(self.losses) else float("nan")

    @property
    def broken(self) -> bool:
        """Whether the newest rows are clearly worse than promised: time to weave again."""
        n = len(self.losses)
        if n < LEAST or self.of == 0:
            return False
        more = self.recent - self.promised
        error = np.sqrt(self.spread**2 / self.of + self.losses.var() / n)
        return bool(more > SURE * error and more > MORE * abs(self.promised))
