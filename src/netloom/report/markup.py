"""HTML and SVG from Python, every text escaped: a column named ``<script>`` is seven letters and two signs."""

from __future__ import annotations

import re
from html import escape
from typing import Any

__all__ = ["Markup", "h", "join", "number", "percent", "plural", "shorten"]

VOID = {"meta", "br", "hr"}
UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")  # control, half, turned round


class Markup(str):
    """Text that is markup already; any other text is escaped where it is put in."""

    __slots__ = ()


def h(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element. ``class_`` is class, other underscores are hyphens; None as a child or attribute is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_text(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


def join(children: Any) -> Markup:
    """Children one after the other, lists opened."""
    parts = []
    for child in children:
        if child is None:
            continue
        parts.append(join(child) if isinstance(child, list | tuple) else child if isinstance(child, Markup) else _text(child))
    return Markup("".join(parts))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) < 1e6 else f"{value:g}"
    return escape(UNSHOWN.sub("\ufffd", str(value)), quote=True)


def number(value: float, digits: int = 3) -> str:
    """A number for people: so many digits, thousands apart, a true minus."""
    if value != value:
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 10.0 ** -(digits + 2):
        text = f"{size:.{digits}g}"
    else:
        decimals = max(0, digits - 1 - len(str(int(size))) + 1) if size >= 1 else digits + int(-_exponent(size)) - 1
        text = f"{size:,.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"−{text}" if value < 0 else text


def _exponent(size: float) -> int:
    return int(f"{size:e}".split("e")[1])


def percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
