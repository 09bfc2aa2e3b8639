"""Categories of any hashable kind, compared by their text.

Two levels give one 0/1 feature; more give one per level: the `KEPT` most frequent that occur at least twice. When levels were cut,
the rest is "other" and a number feature holds the logarithm of how often the level occurred in training. Free text, where no
level occurs twice, gives its length in characters. Levels that stand in an order (that of an ordered pandas category, or of the numbers
in all of them but one: "<5", "5-9", "10-14", "unknown") also give their place in it. A missing or unseen category is all zeros
(unseen: "other" if there is one), its number features their training means; where one 0/1 feature stands for two levels, both are its
training mean, as 0 would claim the first level.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from netloom.tasks.columns.column import Column, is_missing

KEPT = 64  # levels with their own feature
STORED = 1000  # levels whose frequency is remembered
LONGEST = 200  # characters of a level worth remembering
FEWEST = 3  # levels that stand in an order
UNSEEN = "\0 a text that no table holds"
NUMBERS = re.compile(r"(?:(?<![\w.)\]])-)?[0-9]{1,15}(?:\.[0-9]{1,15})?")  # "5-9" holds no negative number, "-5" does


@dataclass(frozen=True)
class Category(Column):
    """One of several levels, the most frequent first in ``levels``; the first ``kept`` have a feature each."""

    kind: ClassVar[str] = "category"
    levels: tuple[str, ...]
    kept: int
    other: bool  # a feature for all levels that are not kept
    pair: bool  # exactly two levels: one feature, 1 for the second
    share: float  # pair: share of the second level
    extra: str  # "frequency", "length" or "": a number feature
    logs: tuple[float, ...]  # frequency: log of the count of each of the levels
    rest: float  # frequency: log of the mean count of levels that are not stored; 0 for levels seen once
    typical: float  # mean of the extra feature: what missing becomes
    places: tuple[float, ...] = ()  # of the kept levels in their order, then the mean: what any other and missing become; () without order

    @classmethod
    def learn(cls, name: str, values: pd.Series) -> tuple[Category, np.ndarray]:
        codes, texts = text_codes(values)
        missing = codes < 0
        counts = np.bincount(codes[~missing], minlength=len(texts))
        present = sorted(np.nonzero(counts)[0].tolist(), key=lambda i: (-counts[i], texts[i]))  # ties by text: no order of rows
        column = cls(name, False, (), 0, other=False, pair=False, share=0.0, extra="", logs=(), rest=0.0, typical=0.0)
        if len(present) < 2:
            return column, missing
        if len(present) == 2 and max(len(texts[i]) for i in present) <= LONGEST:
            first, second = sorted(present, key=lambda i: texts[i])
            share = float(counts[second] / (counts[first] + counts[second]))
            return replace(column, levels=(texts[first], texts[second]), kept=2, pair=True, share=share), missing
        stored = [i for i in present if counts[i] >= 2 and len(texts[i]) <= LONGEST][:STORED]
        kept = min(len(stored), KEPT)
        column = replace(column, levels=tuple(texts[i] for i in stored[:kept]), kept=kept, other=1 < kept < len(present))
        if kept >= FEWEST and (ordered := _order_of(column.levels, values)):
            places = [float(ordered.index(level)) for level in column.levels]
            column = replace(column, places=(*places, float(np.average(places, weights=counts[stored[:kept]]))))
        if kept == len(present) or len(stored) == 1:  # one level against the rest: its feature says it all
            return column, missing
        richer = replace(column, extra="length")
        if kept:
            left = counts[sorted(set(present) - set(stored))]
            rest = math.log(left.mean()) if len(left) else 0.0
            logs = tuple(math.log(counts[i]) for i in stored)
            richer = replace(column, levels=tuple(texts[i] for i in stored), extra="frequency", logs=logs, rest=rest)
        extras = richer._extras(texts)[codes[~missing]]
        return (replace(richer, typical=float(extras.mean())) if np.ptp(extras) > 0 else column), missing

    def labels(self) -> tuple[tuple[str, bool], ...]:
        if self.pair:
            return ((f"{self.name}={self.levels[1]}", True),)
        labels = [(f"{self.name}={level}", True) for level in self.levels[: self.kept]]
        labels += [(f"{self.name} other", True)] if self.other else []
        labels += [(f"{self.name} in order", False)] if self.places else []
        labels += [(f"{self.name} {self.extra}", False)] if self.extra else []
        return tuple(labels)

    def encode(self, values: pd.Series, out: np.ndarray) -> np.ndarray:
        codes, texts = text_codes(values)
        missing = codes < 0
        if self.pair:
            places = np.array([self._place.get(text, -1) for text in texts] + [-1], dtype=int)[codes]  # (n,)  the last: missing
            out[:, 0] = np.where(places < 0, self.share, places)
            return missing
        nowhere = self.kept if self.other else -1
        places = np.array([self._feature(text, nowhere) for text in texts] + [-1], dtype=int)[codes]
        hit = np.nonzero(places >= 0)[0]
        out[hit, places[hit]] = 1
        if self.places:
            out[:, self.after_levels] = np.array(self.places)[np.where((places < 0) | (places >= self.kept), self.kept, places)]
        if self.extra:
            out[:, -1] = np.append(self._extras(texts), self.typical)[codes]
        return missing

    def encode_value(self, value: Any, row: np.ndarray, start: int) -> bool:
        if is_missing(value):
            if self.pair:
                row[start] = self.share
            if self.places:
                row[start + self.after_levels] = self.places[-1]
            if self.extra:
                row[start + self.after_levels + bool(self.places)] = self.typical
            return True
        text = as_text(value)
        if self.pair:
            row[start] = self._place.get(text, self.share)
            return False
        place = self._feature(text, self.kept if self.other else -1)
        if place >= 0:
            row[start + place] = 1
        if self.places:
            row[start + self.after_levels] = self.places[place if 0 <= place < self.kept else -1]
        if self.extra:
            row[start + self.after_levels + bool(self.places)] = self._extra(text)
        return False

    @property
    def after_levels(self) -> int:
        """Which of the features is the first that is not a level's."""
        return self.kept + self.other

    def said(self) -> np.ndarray:
        """Where each level stands, (kept + other,), in order of the numbers in it, then of the alphabet; "other" before all."""
        place = np.full(self.after_levels, -1.0)
        place[sorted(range(self.kept), key=lambda i: _says(self.levels[i]))] = np.arange(self.kept)
        return place

    def check(self) -> None:
        if not 0 <= self.kept <= len(self.levels) or len(set(self.levels)) < len(self.levels) or not 0 <= self.share <= 1:
            raise ValueError(f"{self.kept} of {len(self.levels)} levels are kept, which cannot be")
        if self.extra not in ("", "length", "frequency") or len(self.logs) != (len(self.levels) if self.extra == "frequency" else 0):
            raise ValueError(f"the extra feature {self.extra!r} does not fit its numbers")
        if self.places and len(self.places) != self.kept + 1:
            raise ValueError(f"{len(self.places)} places for {self.kept} levels")
        if self.pair and (len(self.levels) != 2 or self.kept != 2 or self.other or self.extra or self.places):
            raise ValueError("a pair that is none")

    @cached_property
    def _place(self) -> dict[str, int]:
        return {level: i for i, level in enumerate(self.levels)}

    def _feature(self, text: str, nowhere: int) -> int:
        """Index of the 0/1 feature of a level, ``nowhere`` if it has none."""
        place = self._place.get(text, self.kept)
        return place if place < self.kept else nowhere

    def _extra(self, text: str) -> float:
        if self.extra == "length":
            return float(len(text))
        place = self._place.get(text)
        return self.rest if place is None else self.logs[place]

    def _extras(self, texts: list[str]) -> np.ndarray:
        return np.array([self._extra(text) for text in texts], dtype=np.float64)


def text_codes(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """A code per row (-1: missing), int (n,), and the distinct texts the codes stand for."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, levels = values.cat.codes.to_numpy().astype(np.int64), values.cat.categories
    elif isinstance(values.dtype, pd.StringDtype) or pd.api.types.infer_dtype(values, skipna=True) == "string":
        codes, levels = pd.factorize(values)
        return codes, [str(level) for level in levels]
    else:  # 1, True and 1.0 are one key to a dictionary: text first
        codes, levels = np.arange(len(values)), values.to_numpy(dtype=object)
        codes[pd.isna(levels)] = -1
    merged, texts = pd.factorize(np.array([as_text(level) for level in levels], dtype=object))
    return np.append(merged, -1)[codes], [str(text) for text in texts]


def _order_of(levels: tuple[str, ...], values: pd.Series) -> list[str]:
    """Levels in the order of an ordered pandas category, or by the numbers in them; [] if more than one of them holds none."""
    if isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered:
        return [text for text in dict.fromkeys(map(as_text, values.cat.categories)) if text in levels]
    return sorted(levels, key=_says) if sum(not NUMBERS.search(level) for level in levels) <= 1 else []


def _says(text: str) -> tuple:
    """Sorts "<5", "5-9", "10-14", ">=15", "unknown" so: by the mean of the numbers in it, then texts without any."""
    numbers = [float(number) for number in NUMBERS.findall(text)]
    return not numbers, sum(numbers) / max(len(numbers), 1), text


def as_text(value: Any) -> str:
    """The text by which a category is known; a whole float like its integer, as missing values turn integers into floats."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
