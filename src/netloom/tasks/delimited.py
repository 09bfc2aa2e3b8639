"""Delimited text (CSV and its relatives) to a table: encoding, separator, decimal comma and dates are found by looking.

A header is always the first line. Missing are empty fields, "?" (as in the UCI tables) and the usual words (NA, n/a, null, NaN).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator

import pandas as pd

from netloom.errors import DataError, FileError

SEPARATORS = (";", "\t", "|", ",")  # a comma is the most likely to stand within text, so it wins no tie
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")  # no text has them
SAMPLE = 200  # rows looked at to find the separator
DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s?(?:Z|[+-]\d\d:?\d\d)?)?")
DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+)?(?:,\d+)?(?:[eE][+-]?\d+)?")


def read_delimited(content: bytes, where: str) -> pd.DataFrame:
    """The table in a CSV file.

    Raises
    ------
    FileError : if it is not text
    DataError : if it is empty, or a line has more or fewer fields than the header
    """
    text = decode(content, where)
    if not text.strip():
        raise DataError(f"{where} is empty; a table needs a header line and rows")
    separator = find_separator(text)
    header = next(_rows(text, separator))
    last = _check_fields(text, separator, len(header), where)
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=0,
            names=list(range(len(header))),  # names may repeat, and pandas would rename them
            index_col=False,
            na_values=["?"],
            skipinitialspace=True,
            low_memory=False,
        )
    except (ValueError, OverflowError) as error:  # ParserError is a ValueError
        if "EOF inside string" in str(error):
            raise DataError(f"{where}: the quote opened in line {last} is never closed; close it, or get the whole file") from None
        raise DataError(f"{where} cannot be read as a table: {_one_line(error)}") from None
    texts = [j for j in frame.columns if frame[j].dtype.kind not in "iufb"]
    points = separator == ";" and any(dtype.kind == "f" and not _whole(frame[j]) for j, dtype in frame.dtypes.items())
    for j in texts:
        frame[j] = _better(frame[j], comma=separator == ";" and not points)  # decimal points and commas exclude each other
    names = [name.strip() for name in header]
    frame.columns = pd.Index([name or f"Unnamed: {j}" for j, name in enumerate(names)])
    return frame


def decode(content: bytes, where: str) -> str:
    """Text of bytes in UTF-8, UTF-16 or, failing these, Windows-1252 or Latin-1."""
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    if encoding is None and content[:1000].count(b"\0") > len(content[:1000]) // 4:  # UTF-16 without its mark: every other byte
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    for name in [encoding] if encoding else ["utf-8", "cp1252", "latin-1"]:
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        if CONTROL.search(text) is None:
            return text
        break
    raise FileError(f"{where} is not a text table (it holds binary data); give CSV, JSON lines or Parquet, or one of these with .gz")


def find_separator(text: str) -> str:
    """The separator that cuts most rows into as many fields as the header, and into the most."""
    best, chosen = (0.0, 0), ","
    for separator in SEPARATORS:
        counts = [len(row) for row, _ in zip(_rows(text, separator), range(SAMPLE), strict=False)]
        if counts[0] > 1:
            fit = (round(sum(count == counts[0] for count in counts) / len(counts), 2), counts[0])
            if fit > best:
                best, chosen = fit, separator
    return chosen


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    """Rows of fields, without blank lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    previous = csv.field_size_limit(2**31 - 1)  # the module's own limit is 128 kB
    try:
        for row in reader:
            if row:
                yield row
    finally:
        csv.field_size_limit(previous)


def _check_fields(text: str, separator: str, expected: int, where: str) -> int:
    """The line in which the last row begins. pandas fills up short lines without a word; a cut file must not pass."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    start, line = 1, 1
    try:
        for row in reader:
            start = line
            if len(row) != expected and row and not (expected == 1 and not row[0].strip()):
                fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
                raise DataError(f"{where}: line {line} has {fields}, the header has {expected}; complete it or quote its text")
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{where}: line {line} cannot be read: {error}") from None
    return start


def _whole(values: pd.Series) -> bool:
    """Integers that are floats only because some, or all, are missing."""
    present = values.dropna()
    return bool((present == present.round()).all())


def _better(values: pd.Series, comma: bool) -> pd.Series:
    """A column of text as dates or decimal-comma numbers, if every value is one."""
    present = values.dropna()
    if not len(present) or not all(isinstance(value, str) for value in present):
        return values
    return as_dates(values) if DATE.fullmatch(present.iloc[0].strip()) else _as_decimals(values) if comma else values


def as_dates(values: pd.Series) -> pd.Series:
    """The column as datetimes if each value that is not missing is an ISO date or time; else as it is."""
    texts = values.dropna().astype(str).str.strip()
    if not len(texts) or not all(map(DATE.fullmatch, texts)):
        return values
    zones = {re.search(r"(Z|[+-]\d\d:?\d\d)?$", text[10:]).group() for text in texts}  # type: ignore[union-attr]
    if "" in zones and len(zones) > 1:
        return values  # some with a zone, some without: no one clock
    try:
        moments = pd.to_datetime(texts, format="ISO8601", utc=zones != {""})
    except (ValueError, OverflowError):  # 2024-02-30
        return values
    return moments.reindex(values.index)


def _as_decimals(values: pd.Series) -> pd.Series:
    texts = values.dropna().astype(str).str.strip()
    if not all(map(DECIMAL_COMMA.fullmatch, texts)):
        return values
    numbers = texts.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    try:
        return numbers.astype(float).reindex(values.index)
    except ValueError:
        return values


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
