"""Which columns a table has and what each becomes, drawn before any value: so the number of features is known, and is exactly d."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.tasks.priors.draw import Draw

__all__ = ["Layout", "Source", "draw_layout"]

MOST_LEVELS = 50


@dataclass(frozen=True)
class Source:
    """One column of the table. kind: number, coded (levels as numbers) or one-hot; role: main, irrelevant, duplicate or constant."""

    kind: str
    levels: int = 0
    missing: bool = False
    role: str = "main"

    @property
    def width(self) -> int:
        """Features it becomes: two levels need one, as in `netloom.tasks.columns.category`."""
        values = 1 if self.kind != "one-hot" or self.levels == 2 else self.levels
        return values + self.missing


@dataclass(frozen=True)
class Layout:
    """Columns in their order, the main ones not first."""

    sources: tuple[Source, ...]

    @property
    def width(self) -> int:
        return sum(source.width for source in self.sources)

    def role(self, role: str) -> list[int]:
        """Where the columns of one role are."""
        return [j for j, source in enumerate(self.sources) if source.role == role]


def draw_layout(draw: Draw, d: int) -> Layout:
    """Columns that together become d features; at least one of them matters."""
    one_hot = 0.0 if draw.chance(0.6) else 1.0 if draw.chance(0.25) else 0.5 * draw.share()
    coded = 0.3 * draw.share() if draw.chance(0.3) else 0.0
    missing = draw.share() if draw.chance(0.2) else 0.0
    spare = 0.6 * draw.share() if draw.chance(0.3) else 0.0
    roles = draw.pick((("irrelevant",), ("irrelevant",), ("duplicate",), ("irrelevant", "duplicate", "constant")))
    sources: list[Source] = []
    left = d
    while left:
        kind = "one-hot" if draw.chance(one_hot) else "coded" if draw.chance(coded) else "number"
        levels = 0 if kind == "number" else _levels(draw)
        role = draw.pick(roles) if sources and draw.chance(spare) else "main"
        source = Source("number" if role == "constant" else kind, levels, draw.chance(missing) and role != "constant", role)
        if source.width > left:
            source = Source("number", 0, False, role)
        sources.append(source)
        left -= source.width
    draw.rng.shuffle(sources)
    return Layout(tuple(sources))


def _levels(draw: Draw) -> int:
    """2 to 50, mostly few."""
    return draw.between(2, 6) if draw.chance(0.8) else int(draw.log_between(3, MOST_LEVELS + 0.99))
