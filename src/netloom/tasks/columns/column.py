"""What every kind of column has in common: a name, features, a way to and from JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from netloom.errors import DataError, FileError

LARGEST = 1e30  # numbers are clipped to +-LARGEST, so that float32 (3.4e38) never overflows later


@dataclass(frozen=True)
class Feature:
    """One encoded number: the index of its column (-1: none), a label for people, and whether it is a yes/no."""

    column: int
    label: str
    binary: bool


@dataclass(frozen=True)
class Column(ABC):
    """One column of a table and what was learned of it on the training rows.

    Attributes
    ----------
    name : str
    missing : bool, whether the column has a 0/1 feature that says its value is missing
    """

    kind: ClassVar[str]
    name: str
    missing: bool

    @abstractmethod
    def labels(self) -> tuple[tuple[str, bool], ...]:
        """(label, binary) of each value feature, without the one for missing."""

    @abstractmethod
    def encode(self, values: pd.Series, out: np.ndarray) -> np.ndarray:
        """Write the value features of n rows into ``out`` (n, width), which holds zeros; return what is missing, bool (n,)."""

    @abstractmethod
    def encode_value(self, value: Any, row: np.ndarray, start: int) -> bool:
        """Write the value features of one value into ``row[start:]``, which holds zeros; return whether it is missing."""

    def check(self) -> None:  # noqa: B027  most kinds have something to check, a boolean little: not abstract
        """Raise ValueError if the learned numbers cannot belong together (a forged file)."""

    def to_json(self) -> dict:
        """The column as plain JSON: strings, booleans, finite numbers and lists of them."""
        plain = {name: getattr(self, name) for name in _names(type(self))}
        return {"kind": self.kind} | {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


@cache
def _names(cls: type[Column]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


def from_json(cls: type[Column], content: dict, where: str) -> Column:
    """The inverse of `Column.to_json`; FileError on an unknown, absent or impossible entry."""
    expected = {field.name: str(field.type) for field in fields(cls)}
    content = {field.name: list(field.default) for field in fields(cls) if isinstance(field.default, tuple)} | content  # files from before
    if content.keys() - {"kind"} != expected.keys():
        wrong = sorted(str(key) for key in (content.keys() - {"kind"}) ^ expected.keys())
        raise FileError(f"{where}: entries {', '.join(wrong)} are unknown or absent; the file is damaged or from another version")
    for key, kind in expected.items():
        if not _FITS[kind](content[key]):
            raise FileError(f"{where}: entry {key!r} holds {shorten(content[key])}, not a {kind}")
    learned: dict[str, Any] = {key: tuple(content[key]) if isinstance(content[key], list) else content[key] for key in expected}
    column = cls(**learned)
    try:
        column.check()
    except ValueError as error:
        raise FileError(f"{where}: {error}") from None
    return column


def _is_float(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= LARGEST  # NaN is not


# every type a field of a column may have, by its annotation
_FITS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: type(value) is int,
    "float": _is_float,
    "tuple[str, ...]": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    "tuple[float, ...]": lambda value: isinstance(value, list) and all(map(_is_float, value)),
}


def is_missing(value: Any) -> bool:
    """Whether one value is None, NaN (also of Decimal), NaT or pd.NA."""
    if value is None or value is pd.NA:
        return True
    if isinstance(value, str):
        return False
    try:
        return bool(value != value)
    except ArithmeticError:  # a signalling NaN of Decimal
        return True
    except (TypeError, ValueError):  # an array
        return False


def unreadable(name: str, row: int | None, value: Any, was: str, instead: str) -> DataError:
    """The error for a value that does not fit what its column was in training; ``row`` counts from 0."""
    holds = "holds" if row is None else f"row {row} holds"
    return DataError(f"column {name!r}: {holds} {shorten(value)}, but was {was} in training; use {instead} or leave it empty")


def shorten(value: Any, limit: int = 60) -> str:
    """repr of a value on one line, cut after ``limit`` characters."""
    text = repr(value.item() if isinstance(value, np.generic) else value).replace("\n", " ")
    return text if len(text) <= limit else text[: limit - 3] + "..."
