"""What several commands take: budgets in words, threads, where to write."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netloom.errors import BudgetError, ConfigError, FileError
from netloom.tasks.replacing import pointed_at

if TYPE_CHECKING:
    from netloom.target.budget import Budget

__all__ = ["BUDGET_HELP", "TABLE_HELP", "Json", "Threads", "check_place", "parse_budget", "same_file", "use_threads", "writable_network"]

Threads = Annotated[int, typer.Option(min=1, help="Threads for computing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

TABLE_HELP = "CSV, TSV, JSON lines or Parquet, also with .gz; - is standard input."
UNITS = {  # unit -> (limit, factor)
    "b": ("max_bytes", 1),
    "kb": ("max_bytes", 1_000),
    "mb": ("max_bytes", 1_000_000),
    "p": ("max_parameters", 1),
    "kp": ("max_parameters", 1_000),
    "s": ("max_seconds", 1),
    "min": ("max_seconds", 60),
}
BUDGET_HELP = (
    "Limits on the network: a number with its unit, B kB MB for the file, p kp for parameters, s min for the time to weave; "
    "several by commas or by repeating the option, e.g. 50kB,20kp,5s. With no limit on bytes or parameters: about 96 kB at most."
)


def parse_budget(words: Sequence[str] | None) -> Budget | None:
    """A `Budget` from words like ``50kB`` or ``20kp,5s``; None for no words.

    Raises
    ------
    BudgetError : a word that is no limit, or two limits of one kind
    """
    if not words:
        return None
    limits: dict[str, Any] = {}
    for word in ",".join(words).split(","):
        found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-zA-Z]+)", word.strip())
        if found is None or found[2].lower() not in UNITS:
            raise BudgetError(f"--budget {word.strip()!r}: must be a number with a unit of B, kB, MB, p, kp, s, min, e.g. 50kB,20kp,5s")
        limit, factor = UNITS[found[2].lower()]
        if limit in limits:
            raise BudgetError(f"--budget {word.strip()!r}: {limit.removeprefix('max_')} are limited twice; give one limit of each kind")
        amount = float(found[1]) * factor
        limits[limit] = amount if limit == "max_seconds" else int(amount)
    from netloom.target.budget import Budget

    if "max_parameters" in limits:  # who counts parameters does not mean the default size of the file
        limits.setdefault("max_bytes", None)
    return Budget(**limits)


def use_threads(threads: int) -> None:
    """Let numpy, and torch where it is imported later, use so many threads; call before either is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)


def writable_network(out: Path | None, table: str, force: bool) -> Path:
    """Where a network may be written: ``out``, or the table's name with .netloom, here; FileError early, not after the work.

    An existing file is replaced only if it is a network, or if forced.
    """
    if out is None:
        if table == "-":
            raise ConfigError("--out is needed when the table comes from standard input, e.g. --out prices.netloom")
        out = Path(re.sub(r"(?i)(\.(csv|tsv|txt|parquet|json|jsonl|ndjson))?(\.gz)?$", "", Path(table).name) + ".netloom")
    check_place(out, "m.netloom")
    if same_file(out, table):
        raise ConfigError(f"--out {str(out)!r} is the table itself; give another name")
    if out.exists() and not force:
        from netloom.target.network import TargetNetwork

        try:
            TargetNetwork.load(out)
        except FileError:
            raise FileError(f"{str(out)!r} exists and is not a network that can be read; give another --out, or --force") from None
    return out


def check_place(out: Path, example: str) -> None:
    """FileError where no file can be written, for its folder's sake or a link's; said before the work, not after it."""
    if out.is_dir():
        raise FileError(f"{str(out)!r} is a folder; give the name of a file in it, e.g. {str(out / example)!r}")
    try:
        folder = Path(pointed_at(str(out))).parent
    except OSError as error:
        raise FileError(f"{str(out)!r}: {error.strerror}; give another name") from None
    if not folder.is_dir():
        raise FileError(f"{str(folder)!r}: there is no such folder; make it first")
    if not os.access(folder, os.W_OK):
        raise FileError(f"{str(folder)!r}: no permission to write in this folder")


def same_file(first: str | Path, second: str | Path) -> bool:
    """Whether both names stand for one existing file."""
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return False
