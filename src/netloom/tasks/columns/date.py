"""Dates and times: days since 1970, and of the calendar what varies in training.

A date is read as wall-clock time: of its own zone if training had one zone, of UTC if it had several. Month, weekday and hour
return, so each is a point on a circle (sine and cosine).
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from netloom.tasks.columns.column import Column, is_missing, shorten, unreadable

PARTS = ("days", "year", "month sin", "month cos", "day", "weekday sin", "weekday cos", "hour sin", "hour cos")


@dataclass(frozen=True)
class Date(Column):
    """A moment; ``parts`` are the features that varied in training, ``fill`` their means, ``zone`` where the clock hangs."""

    kind: ClassVar[str] = "date"
    zone: str
    parts: tuple[str, ...]
    fill: tuple[float, ...]

    @classmethod
    def learn(cls, name: str, values: pd.Series) -> tuple[Date, np.ndarray]:
        zone = _zone_name(values)
        moments = _moments(values, zone, name)
        missing = np.isnat(moments)
        calendar = _calendar(moments[~missing])
        varying = [part for part in PARTS if len(calendar[part]) and np.ptp(calendar[part]) > 0]
        return cls(name, False, zone, tuple(varying), tuple(float(calendar[part].mean()) for part in varying)), missing

    def labels(self) -> tuple[tuple[str, bool], ...]:
        return tuple((self.name if part == "days" else f"{self.name}:{part}", False) for part in self.parts)

    def encode(self, values: pd.Series, out: np.ndarray) -> np.ndarray:
        return self._write(_moments(values, self.zone, self.name), out)

    def encode_value(self, value: Any, row: np.ndarray, start: int) -> bool:
        moment = _moment(value, self.zone, self.name, None)
        if not isinstance(moment, datetime.datetime):  # missing, or of numpy: as a table of one row
            moments = np.array([moment], dtype="datetime64[us]")
            return bool(self._write(moments, row[None, start : start + len(self.parts)])[0])
        for j, part in enumerate(self.parts, start):
            row[j] = _part_of(moment, part)
        return False

    def _write(self, moments: np.ndarray, out: np.ndarray) -> np.ndarray:
        missing = np.isnat(moments)
        calendar = _calendar(np.where(missing, np.datetime64(0, "us"), moments))
        for j, (part, fill) in enumerate(zip(self.parts, self.fill, strict=True)):
            out[:, j] = np.where(missing, fill, calendar[part])
        return missing

    def check(self) -> None:
        if len(self.parts) != len(self.fill) or len(set(self.parts)) < len(self.parts) or not set(self.parts) <= set(PARTS):
            raise ValueError("the parts of a date do not fit their means")
        _zone(self.zone)


def _circle(turn: np.ndarray | np.floating) -> np.ndarray:
    """Sine and cosine of parts of a turn, (..., 2). Rounded, or the sine of a whole turn would be a rounding error that varies."""
    return np.round(np.stack([np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)], axis=-1), 9) + 0.0


DAY = 86_400_000_000  # microseconds
MONTHS, WEEKDAYS = _circle(np.arange(12) / 12), _circle(np.arange(7) / 7)
FIRST = datetime.date(1970, 1, 1).toordinal()
THURSDAY = 3  # weekday of 1970-01-01, from Monday


def _calendar(moments: np.ndarray) -> dict[str, np.ndarray]:
    """All parts of moments without NaT, each float (n,)."""
    since = moments.astype(np.int64)
    day = moments.astype("datetime64[D]")
    month = moments.astype("datetime64[M]")
    on_circle = {
        "month": MONTHS[month.astype(np.int64) % 12],
        "weekday": WEEKDAYS[(day.astype(np.int64) + THURSDAY) % 7],
        "hour": _circle(since % DAY / DAY),
    }
    calendar = {
        "days": since / DAY,
        "year": moments.astype("datetime64[Y]").astype(np.int64) + 1970.0,
        "day": (day - month).astype(np.int64) + 1.0,
    }
    for part, points in on_circle.items():
        calendar[f"{part} sin"], calendar[f"{part} cos"] = points.T
    return calendar


def _part_of(moment: datetime.datetime, part: str) -> float:
    """One part of one moment: the same number as in `_calendar`, without arrays."""
    if part == "year":
        return moment.year
    if part == "day":
        return moment.day
    name, _, which = part.partition(" ")
    at = 0 if which == "sin" else 1
    if name == "month":
        return MONTHS[moment.month - 1, at]
    if name == "weekday":
        return WEEKDAYS[moment.weekday(), at]
    within = ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond
    if name == "hour":
        return _circle(np.float64(within / DAY))[at]
    return float((moment.toordinal() - FIRST) * DAY + within) / DAY


def _moments(values: pd.Series, zone: str, name: str) -> np.ndarray:
    """Wall-clock time in the zone, datetime64[us] (n,), NaT where missing."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "M":
        return values.to_numpy().astype("datetime64[us]")
    if isinstance(dtype, pd.DatetimeTZDtype):
        local = values.dt.tz_convert(_zone(zone)) if zone else values
        return local.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    if isinstance(dtype, pd.PeriodDtype):
        return values.dt.to_timestamp().to_numpy().astype("datetime64[us]")
    return np.array([_moment(value, zone, name, i) for i, value in enumerate(values)], dtype="datetime64[us]")


def _moment(value: Any, zone: str, name: str, row: int | None) -> Any:
    """One value as wall-clock time that numpy understands."""
    if is_missing(value) or (isinstance(value, str) and not value.strip()):
        return np.datetime64("NaT")
    if isinstance(value, pd.Period):
        value = value.to_timestamp()
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", value.strip()))
        except ValueError:
            raise _not_a_date(name, row, value) from None
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None and zone:
            value = value.astimezone(_zone(zone))
        return value.replace(tzinfo=None)
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, np.datetime64):
        return value
    raise _not_a_date(name, row, value)


def _not_a_date(name: str, row: int | None, value: Any) -> Exception:
    return unreadable(name, row, value, "a date", "a date like 2024-01-31")


def _zone_name(values: pd.Series) -> str:
    """The one zone of all values, "" if none has one, "UTC" if they differ or theirs has no name."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        zones = {str(values.dt.tz)}
    elif values.dtype.kind == "M" and isinstance(values.dtype, np.dtype) or isinstance(values.dtype, pd.PeriodDtype):
        return ""
    else:
        zones = {str(value.tzinfo) for value in values if getattr(value, "tzinfo", None) is not None}
    if not zones:
        return ""
    try:
        _zone(*zones)
    except (TypeError, ValueError):
        return "UTC"
    return zones.pop()


def _zone(name: str) -> datetime.tzinfo:
    offset = re.fullmatch(r"UTC(?:([+-])(\d\d):(\d\d))?", name)
    if offset is None:
        try:
            return zoneinfo.ZoneInfo(name or "UTC")
        except (OSError, ValueError, KeyError):  # unknown, a folder, a path
            raise ValueError(f"the time zone {shorten(name)} is unknown here") from None
    sign, hours, minutes = offset.groups(default="0")
    span = datetime.timedelta(hours=int(hours), minutes=int(minutes))
    return datetime.timezone(-span if sign == "-" else span)
