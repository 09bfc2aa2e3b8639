"""A `.netloom` file: one safetensors file whose metadata holds one JSON document under the key ``netloom``. Data only, nothing executable.

Nothing is trusted before it is checked: sizes, the header against the file, types, shapes and offsets against each other, the JSON's
depth and size, every number finite. Written beside and moved into place, so an interrupt or a full disk leaves the old file as it was.
The same content gives the same bytes. Layout: 8 bytes length, that many bytes of JSON header, then the numbers
(github.com/huggingface/safetensors).
"""

from __future__ import annotations

import codecs
import difflib
import errno
import json
import math
import os
import re
import stat
from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import save as to_safetensors

from netloom.errors import FileError
from netloom.tasks.replacing import replace_file

__all__ = ["FORMAT", "MAX_BYTES", "encode", "read", "write", "write_bytes"]

FORMAT = 1  # of the JSON document; a reader refuses what is newer
MAX_BYTES = 64 * 2**20
MAX_HEADER = 8 * 2**20  # of the safetensors header, our JSON inside it
MAX_DEPTH = 64
MAX_TENSORS = 10_000
KEY = "netloom"
TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U8": "|u1", "I8": "|i1"}

# what a file given by mistake looks like, by its first bytes
LOOKS = (
    (b"PK\x03\x04", "a zip archive (a PyTorch .pt or .keras file?)"),
    (b"\x80\x02", "a Python pickle, which is never loaded"),
    (b"\x80\x03", "a Python pickle, which is never loaded"),
    (b"\x80\x04", "a Python pickle, which is never loaded"),
    (b"\x80\x05", "a Python pickle, which is never loaded"),
    (b"\x89HDF", "an HDF5 file (an old Keras file?)"),
    (b"PAR1", "a parquet table"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x93NUMPY", "a numpy array"),
    (b"GGUF", "a GGUF model"),
    (b"\x7fELF", "a program"),
)


def write(path: str | os.PathLike[str], tensors: dict[str, np.ndarray], header: dict[str, Any], *, max_bytes: int = MAX_BYTES) -> None:
    """Write a file that `read` accepts, in one move: temporary file in the same folder, fsync, replace.

    Parameters
    ----------
    path : where to; an existing file is replaced, and stays as it was if anything fails
    tensors : names to arrays of float16/32/64, int32/64/8 or uint8, all numbers finite
    header : JSON object; ``format`` is added
    max_bytes : the largest file that is written

    Raises
    ------
    FileError : one line, if the content cannot be stored or the file cannot be written
    """
    data = encode(_line(path), tensors, header)
    if len(data) > max_bytes:
        raise FileError(f"{_line(path)}: {_size(len(data))} are more than the limit of {_size(max_bytes)}; give a smaller budget")
    _replace(os.fsdecode(path), data)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write any file in one move, as `write` does; FileError in one line if that fails."""
    _replace(os.fsdecode(path), data)


def read(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and header of a file that `write` wrote.

    Parameters
    ----------
    path : the file
    max_bytes : the largest file that is read

    Returns
    -------
    tensors : names to arrays (own memory, sorted by name)
    header : the JSON object, ``format`` included

    Raises
    ------
    FileError : one line with path, cause and way out, whatever is wrong with the file
    """
    return _decode(_line(path), _bytes(os.fsdecode(path), max_bytes))


def _bytes(path: str, max_bytes: int) -> bytes:
    """The file's content, at most max_bytes of it."""
    shown = _line(path)
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise FileError(f"{shown}: is a folder; give the .netloom file in it")
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            raise FileError(f"{shown}: is not a regular file; give a .netloom file")
        data = b""
        if found.st_size <= max_bytes:
            with open(path, "rb") as file:
                data = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise FileError(f"{shown}: no such file{_closest(path)}") from None
    except PermissionError:
        raise FileError(f"{shown}: no permission to read it; check the file's mode and owner") from None
    except FileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise FileError(f"{shown}: cannot be read ({_reason(error)}); check the path and the disk") from None
    if max(found.st_size, len(data)) > max_bytes:
        raise FileError(f"{shown}: larger than the limit of {_size(max_bytes)}; not a woven network, or pass a larger max_bytes")
    return data


def _decode(path: str, data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and header out of bytes, everything checked."""

    def broken(what: str) -> FileError:
        return FileError(f"{path}: {what}; the file is damaged or forged, get it again or write it anew")

    if not data:
        raise FileError(f"{path}: is empty; writing it was interrupted or the copy failed, get it again")
    length = int.from_bytes(data[:8], "little")
    whole = length <= MAX_HEADER and 8 + length <= len(data)
    looks = None if whole and data[8:9] == b"{" else _looks_like(data)
    if looks:
        raise FileError(f"{path}: not a .netloom file but {looks}; give a file that netloom wrote")
    if len(data) < 10 or data[8:9] != b"{":
        raise FileError(f"{path}: not a .netloom file, or its first bytes are damaged; give a file that netloom wrote")
    if not whole:
        raise broken(f"cut short or its header length is wrong (header of {length} bytes in a file of {len(data)} bytes)")
    entries = _json(data[8 : 8 + length], broken, "header")
    if not isinstance(entries, dict):
        raise broken("its header is not an object")
    metadata = entries.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(KEY), str):
        raise FileError(f"{path}: a safetensors file, but not netloom's (no '{KEY}' in its metadata); give a file that netloom wrote")
    header = _json(metadata[KEY].encode("utf-8", "surrogatepass"), broken, "netloom document")
    if not isinstance(header, dict):
        raise broken("its netloom document is not an object")
    found = header.get("format")
    if type(found) is not int or found < 1:
        raise broken(f"its format is {str(found)[:40]!r}, not a positive integer")
    if found > FORMAT:
        raise FileError(f"{path}: written by a newer netloom (format {found}, this one reads {FORMAT}); upgrade netloom")
    if len(entries) > MAX_TENSORS:
        raise broken(f"it holds {len(entries)} tensors, more than {MAX_TENSORS}")
    body = memoryview(data)[8 + length :]
    covered: list[tuple[int, int]] = []
    tensors: dict[str, np.ndarray] = {}
    for name in sorted(entries):
        start, stop, array = _tensor(name, entries[name], body, broken)
        covered.append((start, stop))
        tensors[name] = array
    end = 0
    for start, stop in sorted(covered):
        if start != end:
            raise broken("its tensors overlap or leave gaps")
        end = stop
    if end != len(body):
        raise broken(f"its tensors take {end} bytes, but {len(body)} follow the header")
    for name, array in tensors.items():
        _finite(path, name, array)
    return tensors, header


def _tensor(name: str, entry: Any, body: memoryview, broken: Callable[[str], FileError]) -> tuple[int, int, np.ndarray]:
    """One tensor: where it lies and its numbers, after checking its entry against the file."""
    shown = _short(name)
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise broken(f"tensor {shown} has no proper entry")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in TYPES:
        raise broken(f"tensor {shown} is of type {_short(kind)}, not one of {', '.join(TYPES)}")
    if not _naturals(shape) or len(shape) > 8:
        raise broken(f"tensor {shown} has an impossible shape")
    if not _naturals(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= len(body):
        raise broken(f"tensor {shown} lies outside the file")
    start, stop = offsets
    dtype = np.dtype(TYPES[kind])
    if math.prod(shape) * dtype.itemsize != stop - start:
        raise broken(f"tensor {shown} of shape {shape} does not fill its {stop - start} bytes")
    if max(shape, default=0) > 2**40:  # with a 0 beside it the product is 0, and numpy still refuses
        raise broken(f"tensor {shown} has an impossible shape")
    return start, stop, np.frombuffer(body[start:stop], dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _json(raw: bytes, broken: Callable[[str], FileError], what: str) -> Any:
    """Strict JSON: UTF-8, no NaN or infinity, no repeated keys, depth within the limit."""

    def no_constant(name: str) -> Any:
        raise ValueError(name)

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("repeated key")
        return result

    try:
        if _depth(raw) > MAX_DEPTH:
            raise broken(f"its {what} is nested deeper than {MAX_DEPTH}")
        return json.loads(raw.decode("utf-8"), parse_constant=no_constant, parse_float=finite, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise broken(f"its {what} is not valid JSON") from None


def _depth(raw: bytes) -> int:
    """How deep the brackets of a JSON text nest, without parsing it."""
    bare = np.frombuffer(re.sub(rb'"(?:[^"\\]|\\.)*"', b"", raw, flags=re.DOTALL), np.uint8)
    opened = (bare == ord("[")) | (bare == ord("{"))
    closed = (bare == ord("]")) | (bare == ord("}"))
    return int(np.cumsum(opened.astype(np.int64) - closed).max(initial=0))


def encode(path: str, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> bytes:
    """The file's bytes; the same for the same content."""
    if len(tensors) > MAX_TENSORS:
        raise FileError(f"{path}: {len(tensors)} tensors are more than {MAX_TENSORS} and cannot be stored; give a smaller budget")
    kinds = {np.dtype(code): np.dtype(code) for code in TYPES.values()}
    arrays = {}
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        kind = kinds.get(array.dtype.newbyteorder("<"))
        if kind is None:
            raise FileError(
                f"{path}: tensor {_short(name)} is of type {array.dtype}, which cannot be stored; use one of {', '.join(TYPES)}"
            )
        _finite(path, name, array)
        arrays[name] = np.array(array, dtype=kind, order="C")
    try:
        document = json.dumps({**header, "format": FORMAT}, sort_keys=True, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise FileError(
            f"{path}: the header cannot be stored as JSON ({_reason(error)}); use text, finite numbers, lists and objects"
        ) from None
    if len(document) > MAX_HEADER // 2 or _depth(document.encode()) > MAX_DEPTH:  # half: quoted inside the outer header it grows
        raise FileError(f"{path}: the header is too large or nested deeper than {MAX_DEPTH} and cannot be stored; shorten it")
    return to_safetensors(arrays, metadata={KEY: document})


def _replace(path: str, data: bytes) -> None:
    try:
        _check_place(path)
        replace_file(path, data)
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{_line(path)}: {_not_written(path, error, len(data))}") from None


def _check_place(path: str) -> None:
    """FileError where something other than a file stands."""
    try:
        found = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found):
        raise FileError(f"{_line(path)}: is a folder; give a file name in it, like {_line(os.path.join(path, 'm.netloom'))}")
    if not stat.S_ISREG(found):
        raise FileError(f"{_line(path)}: is not a regular file; give a path on a disk")


def _not_written(path: str, error: Exception, size: int) -> str:
    """Why a file could not be written, and the way out."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk (needs {_size(size)}); free some or save elsewhere"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"its folder {_line(os.path.dirname(path) or '.')} does not exist; create it first"
    if isinstance(error, PermissionError) or code == errno.EROFS:
        return "no permission to write there; choose another folder"
    return f"cannot be written ({_reason(error)}); check the path and the disk"


def _finite(path: str, name: str, array: np.ndarray) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise FileError(f"{path}: tensor {_short(name)} holds NaN or infinite numbers; such a network predicts nothing, fit it again")


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 2**62 for number in value)


def _looks_like(data: bytes) -> str | None:
    """A guess at what a file is that was given by mistake."""
    for start, what in LOOKS:
        if data.startswith(start):
            return what
    if data[:1] == b"\x08" and data[1:2] < b"\x20" and b"onnx" in data[:4096] + data[-4096:]:
        return "an ONNX model"
    head = data[:512].lstrip()
    if head[:1] == b"<":
        return "a web page or XML"
    if head[:1] in (b"{", b"["):
        return "JSON text"
    if data[:1] == b"\x08" and data[2:3] in (b"\x12", b"\x1a", b"\x3a", b"\x42"):
        return "an ONNX model"
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data[:512])  # a letter cut in half at the end is no error
    except UnicodeDecodeError:
        return None
    return "text (a CSV table?)" if all(letter.isprintable() or letter in "\r\n\t" for letter in text) else None


def _closest(path: str) -> str:
    """The way out when a file is gone: the name that was meant, if one is near."""
    folder, name = os.path.split(path)
    try:
        near = difflib.get_close_matches(name, sorted(os.listdir(folder or "."))[:10_000], n=1)
    except (OSError, ValueError):
        return f"; its folder {_line(folder)} does not exist either"
    return f"; did you mean {_line(os.path.join(folder, near[0]))}?" if near else "; check the path"


def _line(path: str | os.PathLike[str]) -> str:
    """A path as it stands in a message, on one line."""
    text = os.fsdecode(path)
    return text if text.isprintable() else ascii(text)


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:120]


def _size(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size} bytes"
