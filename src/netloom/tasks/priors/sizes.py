"""How large the tasks of a batch are, and how many of them fit the work of one batch."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.tasks.priors.draw import Draw

__all__ = ["Ranges", "Sizes", "cost", "draw_sizes"]


@dataclass(frozen=True)
class Ranges:
    """Of support rows (log-uniform), features (skewed to few) and classes. ``queries`` rows are asked; a share ``values`` is regression."""

    rows: tuple[int, int] = (10, 1000)
    columns: tuple[int, int] = (1, 100)
    outputs: tuple[int, int] = (2, 10)
    queries: int = 96
    values: float = 0.25
    skew: float = 2.5


@dataclass(frozen=True)
class Sizes:
    """B tasks of n support rows, ``queries`` query rows and d features; ``outputs`` classes, or 0 for ``targets`` values."""

    B: int
    n: int
    queries: int
    d: int
    outputs: int
    targets: int


def cost(n: int, d: int, queries: int = 96) -> float:
    """Work of one task, in units of a task of 190 rows and 16 features; fitted by benchmarks/profile_train.py on a CPU core."""
    p = 8 * d
    small, large = min(n, p), max(n, p)
    milliseconds = 0.055 * (n + queries) + 1.5e-3 * d * (n + queries) + 1.4e-4 * n * n + 4.4e-7 * small * small * large
    return milliseconds / 29.0


def draw_sizes(draw: Draw, ranges: Ranges, work: float) -> Sizes:
    """Sizes of a batch whose work is about that of ``work`` tasks of 190 rows and 16 features."""
    n = int(draw.log_between(ranges.rows[0], ranges.rows[1] + 0.99))
    low, high = ranges.columns
    d = int(low + (high - low + 0.99) * draw.share() ** ranges.skew)
    outputs, targets = 0, 1
    if draw.chance(ranges.values):
        targets = draw.pick((1, 2, 3), (0.9, 0.07, 0.03))
    else:  # half of the tasks have the fewest classes; many classes need rows
        low, high = ranges.outputs
        outputs = low if draw.chance(0.5) else draw.between(low, max(low, min(high, n // 4)))
    B = max(2, min(int(4 * work), round(work / cost(n, d, ranges.queries))))
    return Sizes(B, n, ranges.queries, d, outputs, targets)
