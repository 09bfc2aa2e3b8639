"""What is printed: progress on standard error, tables on standard output, JSON without NaN."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

__all__ = ["print_json", "print_rich", "progress"]

NARROWEST = 110  # columns of output that goes to a file or a pipe


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """Gives ``tell(share done, message)``: a bar on standard error, or nothing where that is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda share, message: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, message: bar.update(task, completed=share, description=message)


def print_json(content: Any) -> None:
    """One JSON object; what is not finite becomes null."""
    typer.echo(json.dumps(_plain(content), ensure_ascii=False, allow_nan=False, indent=2))


def print_rich(content: Any) -> None:
    """A rich table, in colour on a terminal only."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=NARROWEST)
    console.print(content)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):  # a number of numpy
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | bool | int) else str(value)
