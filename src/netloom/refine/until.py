"""When to stop: ``Score("log_loss", 0.3) | NoImprovement(200) & Steps(500) | Seconds(30)``; `&` binds tighter than `|`, as in Python.

A criterion is asked at every evaluation on held-out rows. `parse_until` reads the same from words, for the command line.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Final

from netloom.errors import ConfigError

__all__ = ["SCORES", "Course", "Criterion", "NoImprovement", "Score", "Seconds", "Steps", "Until", "parse_until"]

SCORES: Final = {"classification": ("log_loss", "accuracy"), "regression": ("rmse", "r2")}
HIGHER: Final = ("accuracy", "r2")


@dataclass
class Course:
    """How far refining has come: steps, seconds, held-out scores now, and the step at which the held-out loss was lowest."""

    step: int = 0
    seconds: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    best_step: int = 0


class Until(ABC):
    """A criterion, or several joined by ``|`` (either) and ``&`` (both)."""

    @abstractmethod
    def met(self, course: Course) -> bool:
        """Whether it is time to stop."""

    @abstractmethod
    def share(self, course: Course) -> float:
        """About how much is done (0 to 1), for a progress bar."""

    @abstractmethod
    def parts(self) -> list[Criterion]:
        """All criteria in it."""

    def __or__(self, other: Until) -> Until:
        return Joined((self, _criterion(other)), every=False)

    def __and__(self, other: Until) -> Until:
        return Joined((self, _criterion(other)), every=True)


class Criterion(Until):
    """One criterion."""

    def parts(self) -> list[Criterion]:
        return [self]


@dataclass(frozen=True)
class Steps(Criterion):
    """After so many gradient steps; 0 refines nothing."""

    steps: int

    def __post_init__(self) -> None:
        _check("Steps", self.steps, whole=True)

    def met(self, course: Course) -> bool:
        return course.step >= self.steps

    def share(self, course: Course) -> float:
        return min(course.step / max(self.steps, 1), 1.0)

    def __str__(self) -> str:
        return f"steps={self.steps}"


@dataclass(frozen=True)
class Seconds(Criterion):
    """After so many seconds of training; weaving the held-out folds comes before and takes about a fit's time."""

    seconds: float

    def __post_init__(self) -> None:
        _check("Seconds", self.seconds)

    def met(self, course: Course) -> bool:
        return course.seconds >= self.seconds

    def share(self, course: Course) -> float:
        return min(course.seconds / max(self.seconds, 1e-9), 1.0)

    def __str__(self) -> str:
        return f"seconds={self.seconds:g}"


@dataclass(frozen=True)
class NoImprovement(Criterion):
    """Once the held-out loss has not been lower for so many steps."""

    steps: int = 200

    def __post_init__(self) -> None:
        _check("NoImprovement", self.steps, whole=True)

    def met(self, course: Course) -> bool:
        return course.step - course.best_step >= self.steps

    def share(self, course: Course) -> float:
        return min((course.step - course.best_step) / max(self.steps, 1), 1.0)

    def __str__(self) -> str:
        return f"patience={self.steps}"


@dataclass(frozen=True)
class Score(Criterion):
    """Once a held-out score is reached: "log_loss" or "accuracy" for classes, "rmse" or "r2" for values (of all targets together)."""

    name: str
    reach: float

    def __post_init__(self) -> None:
        names = sum(SCORES.values(), ())
        if self.name not in names:
            raise ConfigError(f"Score({self.name!r}): unknown score; use one of {', '.join(names)}")
        if not isinstance(self.reach, int | float) or self.reach != self.reach:
            raise ConfigError(f"Score({self.name!r}, {self.reach!r}): must be a number")

    def met(self, course: Course) -> bool:
        now = course.scores.get(self.name)
        return now is not None and (now >= self.reach if self.name in HIGHER else now <= self.reach)

    def share(self, course: Course) -> float:
        return 1.0 if self.met(course) else 0.0

    def __str__(self) -> str:
        return f"{self.name}{'>=' if self.name in HIGHER else '<='}{self.reach:g}"


@dataclass(frozen=True)
class Joined(Until):
    """Criteria of which every one, or any one, must be met."""

    members: tuple[Until, ...]
    every: bool

    def met(self, course: Course) -> bool:
        return (all if self.every else any)(member.met(course) for member in self.members)

    def share(self, course: Course) -> float:
        return (min if self.every else max)(member.share(course) for member in self.members)

    def parts(self) -> list[Criterion]:
        return [criterion for member in self.members for criterion in member.parts()]

    def __str__(self) -> str:
        shown = [f"({m})" if self.every and isinstance(m, Joined) and not m.every else str(m) for m in self.members]
        return (" & " if self.every else " | ").join(shown)


WORDS = "use steps=500, seconds=30, patience=200, log_loss<=0.3, accuracy>=0.9, rmse<=2 or r2>=0.8, joined by | and &"


def parse_until(text: str) -> Until:
    """Criteria from words: ``"patience=200 | seconds=30 & steps=500"``; ``&`` binds tighter, there are no brackets.

    Raises
    ------
    ConfigError : for a word that is no criterion
    """
    either = [_every([_word(word) for word in part.split("&")]) for part in text.split("|")]
    return either[0] if len(either) == 1 else Joined(tuple(either), every=False)


def _every(members: list[Until]) -> Until:
    return members[0] if len(members) == 1 else Joined(tuple(members), every=True)


def _word(word: str) -> Until:
    found = re.fullmatch(r"\s*(\w+)\s*(<=|>=|=)\s*(-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)\s*", word)
    if found is None:
        raise ConfigError(f"until {word.strip()!r}: is no criterion; {WORDS}")
    name, sign, number = found[1], found[2], float(found[3])
    if sign == "=" and name == "seconds":
        return Seconds(number)
    if sign == "=" and name in ("steps", "patience") and number.is_integer():
        return Steps(int(number)) if name == "steps" else NoImprovement(int(number))
    if name in sum(SCORES.values(), ()) and sign == (">=" if name in HIGHER else "<="):
        return Score(name, number)
    raise ConfigError(f"until {word.strip()!r}: is no criterion; {WORDS}")


def _criterion(other: object) -> Until:
    if not isinstance(other, Until):
        raise ConfigError(f"until: {other!r} is no criterion; join Score, NoImprovement, Seconds and Steps by | and &")
    return other


def _check(name: str, value: object, whole: bool = False) -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    if not fits or (whole and value != int(value)):  # type: ignore[call-overload]
        raise ConfigError(f"{name}({value!r}): must be a {'whole ' if whole else ''}number of at least 0")
