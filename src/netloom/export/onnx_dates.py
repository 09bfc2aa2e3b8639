"""The calendar in integers: days since 1970 to year, month, day (Hinnant, "chrono-compatible low-level date algorithms", 2014)."""

from __future__ import annotations

import numpy as np

from netloom.export.onnx_graph import Graph
from netloom.export.plan import Plan
from netloom.tasks.columns.date import DAY, MONTHS, THURSDAY, WEEKDAYS

__all__ = ["date_parts"]

ERA = 146_097  # days in 400 years
BEFORE = 25_000  # eras added, so that every moment of a datetime64 is positive and a division rounds down
NOT_A_TIME = np.iinfo(np.int64).min


def date_parts(graph: Graph, plan: Plan, slots: list[int], moments: str) -> tuple[str, list[int], str]:
    """Parts (n, slots) double of all dates in ``moments`` (n, D), the mean where missing; their slots in order; what is missing (n, D)."""
    columns = sorted({plan.slots[i].column for i in slots})
    missing = graph.add("Equal", moments, np.int64(NOT_A_TIME))
    calendar = _Calendar(graph, graph.add("Where", missing, np.int64(0), moments))
    by_part: dict[str, list[int]] = {}
    for i in slots:
        by_part.setdefault(plan.slots[i].part, []).append(i)
    found, order = [], []
    for part, mine in by_part.items():
        values, at = calendar.part(part), [columns.index(plan.slots[i].column) for i in mine]
        found.append(values if at == list(range(len(columns))) else graph.add("Gather", values, np.array(at), axis=1))
        order += mine
    all_parts = found[0] if len(found) == 1 else graph.add("Concat", *found, axis=1)
    at = [columns.index(plan.slots[i].column) for i in order]
    gone = missing if at == list(range(len(columns))) else graph.add("Gather", missing, np.array(at), axis=1)
    return graph.add("Where", gone, plan.column("fill")[order][None], all_parts), order, missing


class _Calendar:
    """Parts of moments (n, D) int64 in microseconds; what several parts need is made once."""

    def __init__(self, graph: Graph, moments: str) -> None:
        self.graph, self.moments = graph, moments
        self.made: dict[str, str] = {}

    def part(self, name: str) -> str:
        """One part, double (n, D)."""
        what, _, which = name.partition(" ")
        if what == "days":
            return self._divide(self._double(self.moments), np.float64(DAY))
        if what in ("month", "weekday"):
            table = MONTHS if what == "month" else WEEKDAYS
            return self.graph.add("Gather", np.ascontiguousarray(table[:, 0 if which == "sin" else 1]), self._get(what))
        if what == "hour":
            turn = self._divide(self._double(self._get("within")), np.float64(DAY))
            angle = self.graph.add("Mul", turn, np.float64(2 * np.pi))
            # a cosine is the sine a quarter later: runtimes have the sine in double precision, not always the cosine
            angle = angle if which == "sin" else self.graph.add("Add", angle, np.float64(np.pi / 2))
            rounded = self.graph.add("Round", self.graph.add("Mul", self.graph.add("Sin", angle), np.float64(1e9)))
            return self._divide(rounded, np.float64(1e9))
        return self._double(self._get(what))

    def _get(self, name: str) -> str:
        if name not in self.made:
            self.made[name] = getattr(self, f"_{name}")()
        return self.made[name]

    def _within(self) -> str:
        return self.graph.add("Mod", self.moments, np.int64(DAY))  # the sign of the divisor: after midnight, also before 1970

    def _date(self) -> str:
        return self._divide(self.graph.add("Sub", self.moments, self._get("within")), np.int64(DAY))

    def _weekday(self) -> str:
        return self.graph.add("Mod", self.graph.add("Add", self._get("date"), np.int64(THURSDAY)), np.int64(7))

    def _since(self) -> str:
        """Days since the first of March of a year that is a multiple of 400."""
        return self.graph.add("Add", self._get("date"), np.int64(719_468 + ERA * BEFORE))

    def _era(self) -> str:
        return self._divide(self._get("since"), np.int64(ERA))

    def _day_of_era(self) -> str:
        return self.graph.add("Sub", self._get("since"), self.graph.add("Mul", self._get("era"), np.int64(ERA)))

    def _year_of_era(self) -> str:
        day = self._get("day_of_era")
        left = self.graph.add("Sub", day, self._divide(day, np.int64(1460)))
        left = self.graph.add("Add", left, self._divide(day, np.int64(36_524)))
        return self._divide(self.graph.add("Sub", left, self._divide(day, np.int64(146_096))), np.int64(365))

    def _day_of_year(self) -> str:
        year = self._get("year_of_era")
        days = self.graph.add("Add", self.graph.add("Mul", year, np.int64(365)), self._divide(year, np.int64(4)))
        return self.graph.add("Sub", self._get("day_of_era"), self.graph.add("Sub", days, self._divide(year, np.int64(100))))

    def _from_march(self) -> str:
        five = self.graph.add("Mul", self._get("day_of_year"), np.int64(5))
        return self._divide(self.graph.add("Add", five, np.int64(2)), np.int64(153))

    def _day(self) -> str:
        before = self.graph.add("Add", self.graph.add("Mul", self._get("from_march"), np.int64(153)), np.int64(2))
        first = self._divide(before, np.int64(5))
        return self.graph.add("Add", self.graph.add("Sub", self._get("day_of_year"), first), np.int64(1))

    def _month(self) -> str:
        """0 is January."""
        return self.graph.add("Mod", self.graph.add("Add", self._get("from_march"), np.int64(2)), np.int64(12))

    def _year(self) -> str:
        years = self.graph.add("Add", self.graph.add("Mul", self._get("era"), np.int64(400)), self._get("year_of_era"))
        late = self.graph.add("Cast", self.graph.add("Less", self._get("month"), np.int64(2)), to="int64")
        return self.graph.add("Sub", self.graph.add("Add", years, late), np.int64(400 * BEFORE))

    def _divide(self, value: str, by: np.generic) -> str:
        return self.graph.add("Div", value, by)

    def _double(self, value: str) -> str:
        return self.graph.add("Cast", value, to="double")
