"""Tables from files and to files: CSV, JSON lines, Parquet, each also with .gz, and standard input and output.

What a file holds is told by its first bytes, not by its name. Writing is atomic: a file beside, then os.replace, so that an
interrupt leaves the old file or the new one, never half of one.
"""

from __future__ import annotations

import datetime
import difflib
import gzip
import io
import json
import math
import os
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from netloom.errors import DataError, FileError
from netloom.tasks.columns.column import is_missing, shorten
from netloom.tasks.delimited import as_dates, decode, read_delimited
from netloom.tasks.replacing import replace_file

ENDINGS = ".csv, .tsv, .jsonl, .ndjson or .parquet, each also with .gz"
KNOWN = {
    b"PK\x03\x04": "a zip archive or Excel workbook",
    b"%PDF": "a PDF",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


def read_table(source: str | os.PathLike | Any) -> pd.DataFrame:
    """The table in a file.

    Parameters
    ----------
    source : path, "-" for standard input, or a file object of bytes or text

    Returns
    -------
    DataFrame; ISO dates are datetimes. CSV must have a header line; see `netloom.tasks.delimited` for what is found by looking.

    Raises
    ------
    FileError : if there is no such file, or it is cut, binary or not readable
    DataError : if it holds no table: empty, ragged (names the line), broken JSON (names the line)
    """
    content, where = _content(source)
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise FileError(f"{where} is a damaged or cut gzip file ({_one_line(error)}); get it again") from None
    if not content.strip():
        raise DataError(f"{where} is empty; a table needs a header line and rows")
    if content.startswith(b"PAR1"):
        return _read_parquet(content, where)
    for start, what in KNOWN.items():
        if content.startswith(start):
            raise FileError(f"{where} is {what}, which is not read; save it as {ENDINGS}")
    if content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") and not where.endswith(
        (".csv'", ".tsv'", ".csv.gz'", ".tsv.gz'")
    ):
        return _read_json_lines(decode(content, where).removeprefix("\ufeff"), where)
    return read_delimited(content, where)


def write_table(frame: pd.DataFrame, target: str | os.PathLike) -> None:
    """Write a table, without its index, to a path (by its ending) or "-" (CSV to standard output).

    Raises
    ------
    FileError : if the ending is unknown or the file cannot be written; the old file, if any, is untouched then
    DataError : if the format cannot hold the table
    """
    if str(target) == "-":
        sys.stdout.write(frame.to_csv(index=False, lineterminator="\n"))
        sys.stdout.flush()
        return
    if "\0" in str(target):
        raise FileError(f"{str(target)!r}: cannot write it: a name holds no zero byte")
    path = os.fspath(target)
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    packed = suffixes[-1:] == [".gz"]
    ending = (suffixes[:-1] if packed else suffixes)[-1:]
    if not ending or ending[0] not in _WRITERS:
        raise FileError(f"{str(target)!r}: the ending must be {ENDINGS}")
    content = _WRITERS[ending[0]](frame, repr(str(target)))
    _replace(path, gzip.compress(content, mtime=0) if packed else content)


def _replace(path: str, content: bytes) -> None:
    """Write bytes in one move; a device or a pipe cannot be replaced and is written to."""
    try:
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            Path(path).write_bytes(content)
        else:
            replace_file(path, content)
    except OSError as error:
        raise _cannot("write", path, error) from None


def _content(source: Any) -> tuple[bytes, str]:
    """All bytes of a source, and what to call it in errors."""
    if isinstance(source, str | os.PathLike):
        if str(source) == "-":
            return _read_open(getattr(sys.stdin, "buffer", sys.stdin)), "standard input"
        where = repr(os.fspath(source))
        try:
            return Path(source).read_bytes(), where
        except FileNotFoundError:
            raise FileError(f"{where}: there is no such file{_near(Path(source))}") from None
        except IsADirectoryError:
            raise FileError(f"{where} is a folder; give the path of a file in it") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            if os.path.isdir(source):  # Windows
                raise FileError(f"{where} is a folder; give the path of a file in it") from None
            raise _cannot("read", str(source), error) from None
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return _read_open(source), repr(name) if isinstance(name, str) else "the open file"
    raise FileError(f"a table is read from a path, '-' or an open file, not from {type(source).__name__}")


def _read_open(file: Any) -> bytes:
    try:
        content = file.read()
    except (OSError, ValueError) as error:
        raise FileError(f"the open file cannot be read: {_one_line(error)}") from None
    return content.encode() if isinstance(content, str) else bytes(content)


def _near(path: Path) -> str:
    try:
        names = [other.name for other in path.parent.iterdir()]
    except OSError:
        return f", nor a folder {str(path.parent)!r}"
    found = difflib.get_close_matches(path.name, names, n=1)
    return f" (did you mean {str(path.with_name(found[0]))!r}?)" if found else ""


def _cannot(what: str, name: str, error: Exception) -> FileError:
    reason = getattr(error, "strerror", None) or _one_line(error)
    return FileError(f"{name!r}: cannot {what} it: {reason}")


def _read_parquet(content: bytes, where: str) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except ImportError:
        raise FileError(f"{where} is Parquet, which needs pyarrow: pip install pyarrow") from None
    except Exception as error:  # pyarrow has its own kinds, not to be imported for their names
        raise FileError(f"{where} is a damaged Parquet file ({shorten(_one_line(error), 120)}); get it again") from None
    named = any(name is not None for name in frame.index.names)
    return frame.reset_index(drop=not named)  # a named index was a column before


def _read_json_lines(text: str, where: str) -> pd.DataFrame:
    """One object per line, or one array of objects."""
    if text.lstrip().startswith("["):
        rows = _parse(text, f"{where}")
        numbered = list(enumerate(rows, 1)) if isinstance(rows, list) else []
        part = "entry"
    else:
        numbered = [(i, _parse(line, f"{where}: line {i}")) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
        part = "line"
    for i, row in numbered:
        if not isinstance(row, dict):
            raise DataError(f'{where}: {part} {i} holds {shorten(row)}; each must be an object like {{"name": value}}')
    if not numbered:
        raise DataError(f"{where} is empty; a table needs rows")
    frame = pd.DataFrame([row for _, row in numbered])
    for name in frame.columns:
        values = frame[name].dropna()
        if len(values) and all(isinstance(value, str) for value in values):
            frame[name] = as_dates(frame[name])
    return frame


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON: {error.msg} at character {error.colno}") from None
    except (RecursionError, ValueError):  # thousands of brackets or of digits
        raise DataError(f"{where} is not JSON that can be read: too deep, or a number too long") from None


def _csv(frame: pd.DataFrame, where: str, separator: str = ",") -> bytes:
    return frame.to_csv(index=False, sep=separator, lineterminator="\n").encode()


def _tsv(frame: pd.DataFrame, where: str) -> bytes:
    return _csv(frame, where, "\t")


def _json_lines(frame: pd.DataFrame, where: str) -> bytes:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise DataError(f"{where}: JSON lines cannot hold two columns of one name; rename one or write CSV")
    columns = [[_plain(value) for value in frame.iloc[:, j].tolist()] for j in range(len(names))]
    rows = zip(*columns, strict=True) if columns else [()] * len(frame)
    return "".join(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows).encode()


def _parquet(frame: pd.DataFrame, where: str) -> bytes:
    buffer = io.BytesIO()
    try:
        frame.rename(columns=str).to_parquet(buffer, index=False)
    except ImportError:
        raise FileError(f"{where}: Parquet needs pyarrow: pip install pyarrow") from None
    except Exception as error:  # two columns of one name, mixed types
        raise DataError(f"{where}: Parquet cannot hold this table ({shorten(_one_line(error), 120)}); write CSV") from None
    return buffer.getvalue()


_WRITERS = {".csv": _csv, ".tsv": _tsv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": _parquet}


def _plain(value: Any) -> Any:
    """A value as JSON has it: null if missing or infinite, ISO text for moments, text for anything else."""
    if is_missing(value):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
