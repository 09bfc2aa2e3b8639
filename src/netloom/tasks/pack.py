"""Folders of tables to tensors, and to one safetensors file that a machine without pandas can train from.

A folder with ``index.csv`` is a suite: only tables whose licence allows it are used to train shipped weights. A folder without one is its
owner's: every table in it is used. A table that cannot be read is told and left out.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import torch

from netloom.errors import DataError, FileError, NetloomError
from netloom.tasks.real import RealTable

__all__ = ["allowed_licence", "load_tables", "read_packed", "write_packed"]

LARGEST = 20_000  # rows kept of a table
ENDINGS = (".parquet", ".csv", ".tsv", ".csv.gz", ".tsv.gz")
ALLOWED = re.compile(r"\b(CC BY|CC0|public domain|MIT)\b", re.IGNORECASE)
REFUSED = re.compile(r"\b(GPL|LGPL|AGPL|ODbL|NC|ND|SA)\b|NonCommercial|NoDeriv|ShareAlike", re.IGNORECASE)


def allowed_licence(licence: str) -> bool:
    """Whether weights trained on a table of this licence may be shipped: CC BY, CC0, public domain or MIT, and no word against it."""
    return bool(ALLOWED.search(licence)) and not REFUSED.search(licence)


def load_tables(place: str | Path, tell: Callable[[str], None], *, any_licence: bool = False) -> list[RealTable]:
    """Tables of a folder or of a packed file, in the order of their names.

    Raises
    ------
    FileError : no such folder or file, or no table in it that can be used
    """
    place = Path(place)
    if place.is_file():
        return read_packed(place)
    if not place.is_dir():
        raise FileError(f"{place}: there is no such folder of tables; give a folder, or a file made by netloom pretrain --pack")
    tables = []
    for path, target in _files(place, tell, any_licence):
        try:
            tables.append(_read(path, target))
        except (NetloomError, OSError, ValueError) as error:
            tell(f"{path}: left out: {str(error).splitlines()[0][:200]}")
    if not tables:
        raise FileError(f"{place}: holds no table that can be used; put {', '.join(ENDINGS)} files in it")
    return sorted(tables, key=lambda table: table.name)


def write_packed(path: str | Path, tables: list[RealTable]) -> None:
    """All tables in one safetensors file."""
    from safetensors.torch import save_file

    tensors = {}
    for i, table in enumerate(tables):
        for key in ("X", "of", "values", "levels"):
            tensors[f"{i}/{key}"] = getattr(table, key).contiguous()
    names = [{"name": table.name, "target": table.target} for table in tables]
    beside = Path(f"{path}.new")
    save_file(tensors, beside, {"netloom tables": json.dumps(names)})
    beside.replace(path)


def read_packed(path: Path) -> list[RealTable]:
    """The inverse of `write_packed`; FileError on anything else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            names = json.loads((file.metadata() or {})["netloom tables"])
            tables = []
            for i, entry in enumerate(names):
                X, of, values, levels = (file.get_tensor(f"{i}/{key}") for key in ("X", "of", "values", "levels"))
                tables.append(RealTable(entry["name"], X, of, values, levels, entry["target"]))
        return tables
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise FileError(f"{path}: is not a file of tables; make it with netloom pretrain --pack") from None


def _files(folder: Path, tell: Callable[[str], None], any_licence: bool) -> list[tuple[Path, str | None]]:
    """Tables of a folder with the name of their target, where the index tells it."""
    index = folder / "index.csv"
    if not index.is_file():
        paths = [path for path in sorted(folder.rglob("*")) if path.name.endswith(ENDINGS)]
        return [(path, None) for path in paths]
    with open(index, encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    licence_key = next((key for key in (lines[0] if lines else {}) if key and key.startswith("licen")), None)
    if licence_key is None and not any_licence:
        raise FileError(f"{index}: has no column for licences, so no table may be used; add one named licence, or remove the index")
    found: list[tuple[Path, str | None]] = []
    for line in lines:
        if not any_licence and not allowed_licence(line[licence_key] or ""):  # type: ignore[index]
            tell(f"{line['name']}: left out: its licence does not allow it ({line[licence_key]})")  # type: ignore[index]
            continue
        path = folder / line.get("kind", "") / f"{line['name']}.parquet"
        if path.is_file():
            found.append((path, "target"))
        else:
            tell(f"{path}: left out: not there")
    return found


def _read(path: Path, target: str | None) -> RealTable:
    """One table; without a known target the last column is taken for it."""
    import numpy as np  # here: a packed file needs none of these

    from netloom.tasks.schema import Schema
    from netloom.tasks.tables import read_table

    frame = read_table(path)
    if len(frame) > LARGEST:
        frame = frame.sample(LARGEST, random_state=0)
    if len(frame) < 30 or frame.shape[1] < 2:
        raise DataError("needs at least 30 rows and 2 columns")
    names = [str(name) for name in frame.columns]
    schema = Schema.learn(frame)
    encoded = schema.encode(frame)
    deviation = encoded.std(axis=0)
    kept = np.array([j for j, feature in enumerate(schema.features) if feature.column >= 0 and deviation[j] > 0], dtype=int)
    X = (encoded[:, kept] - encoded[:, kept].mean(axis=0)) / deviation[kept]
    values = np.full((len(frame), len(names)), np.nan)
    levels = np.zeros(len(names), dtype=np.int64)
    for j, column in enumerate(schema.columns):
        cells = frame.iloc[:, j]
        if column.kind == "number":
            given = cells.to_numpy(dtype=np.float64, na_value=np.nan)
            given = np.where(np.isfinite(given), given, np.nan)
            spread = np.nanstd(given) if np.isfinite(given).any() else 0.0
            values[:, j] = (given - np.nanmean(given)) / spread if spread > 0 else np.nan
            distinct = np.unique(given[np.isfinite(given)])
            if len(distinct) == 2:  # a number of two values is a class
                values[:, j] = np.where(np.isfinite(given), given == distinct[1], np.nan)
                levels[j] = 2
        elif column.kind in ("category", "boolean"):
            codes, texts = cells.astype(object).where(cells.notna(), None).factorize(sort=False)
            values[:, j], levels[j] = np.where(codes < 0, np.nan, codes), len(texts)
    of = np.array([schema.features[j].column for j in kept], dtype=np.int64)
    own = names.index(target) if target in names else len(names) - 1
    whole = torch.as_tensor(values, dtype=torch.float32)
    features = torch.as_tensor(X, dtype=torch.float32)
    return RealTable(path.name.split(".")[0], features, torch.as_tensor(of), whole, torch.as_tensor(levels), own)
