"""A table at the door: whatever holds rows and columns becomes a DataFrame, or one clear line why not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from netloom.errors import ColumnTypeError, DataError


def as_frame(table: Any) -> tuple[pd.DataFrame, bool]:
    """A DataFrame with the rows of ``table``, and whether its columns have names. The values are not copied where possible.

    Parameters
    ----------
    table : DataFrame, mapping of columns, anything with ``to_pandas`` (polars, arrow), a list of
        mappings (named), or rows x columns: an array or a list of rows (not named)

    Raises
    ------
    DataError : if it is not two-dimensional
    ColumnTypeError : if it is sparse
    """
    if isinstance(table, pd.DataFrame):
        return table, True
    if hasattr(table, "toarray") and hasattr(table, "nnz"):
        raise ColumnTypeError("the table is sparse, which is not supported; use table.toarray() if it fits into memory")
    if isinstance(table, Mapping):
        try:
            return pd.DataFrame(table), True
        except ValueError as error:  # columns of different lengths, or one row of plain values
            raise DataError(f"the table is a mapping that holds no columns ({error}); give a list of values per name") from None
    if hasattr(table, "to_pandas"):
        frame = table.to_pandas()
        if isinstance(frame, pd.DataFrame):
            return frame, True
    if isinstance(table, pd.Series):
        table = table.to_numpy()
    if isinstance(table, list | tuple) and table and all(isinstance(row, Mapping) for row in table):
        return pd.DataFrame(table), True
    if isinstance(table, list | tuple):
        table = _stack(table)
    elif not isinstance(table, np.ndarray):
        table = np.asarray(table)
    if table.ndim == 2:
        return pd.DataFrame(table, copy=False), False
    if table.dtype.names and table.ndim == 1:
        return pd.DataFrame(table), True
    raise DataError(
        f"the table is {table.ndim}-dimensional, must have rows and columns. Reshape your data with .reshape(-1, 1) if it is one column "
        "or .reshape(1, -1) if it is one row"
    )


def _stack(rows: list | tuple) -> np.ndarray:
    """Rows of mixed values as an array; numpy alone would turn the numbers beside a text into text."""
    lengths = {len(row) if isinstance(row, list | tuple | np.ndarray) else -1 for row in rows}
    if len(lengths) > 1:
        raise DataError(f"the rows of the table have different lengths: {', '.join(map(str, sorted(lengths)))}")
    array = np.asarray(rows)
    if array.ndim == 2 and array.dtype.kind in "USO":
        array = np.empty((len(rows), len(rows[0])), dtype=object)
        for i, row in enumerate(rows):
            array[i, :] = row
    return array


def close_matches(name: str, names: Iterable[str]) -> str:
    """What to append to an error: a few names much like this one, or nothing."""
    found = difflib.get_close_matches(name, list(dict.fromkeys(map(str, names))), n=3, cutoff=0.6)
    lower = [other for other in dict.fromkeys(map(str, names)) if other.lower() == name.lower() and other not in found]
    near = lower + found
    return f" (did you mean {' or '.join(map(repr, near[:3]))}?)" if near else ""
