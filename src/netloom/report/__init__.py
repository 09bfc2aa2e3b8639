"""A network's report: one HTML file with everything in it, for people.

Read page.py (the sections in order), markup.py (every text escaped), charts.py (pictures as SVG), then a file per part: scores.py,
columns.py, rows.py, given.py (a table given to it), architecture.py, card.py; style.py is the look.
"""

from __future__ import annotations

import os
from typing import Any

from netloom import __version__
from netloom.report.given import look_at
from netloom.report.page import build_page
from netloom.target.file import write_bytes
from netloom.target.network import TargetNetwork
from netloom.target.reference import learn_reference

__all__ = ["make_report", "write_report"]


def make_report(network: TargetNetwork, data: Any = None, *, data_name: str = "the table", file: str = "") -> str:
    """The report as HTML text.

    Parameters
    ----------
    network : TargetNetwork
    data : a table to compare with the training rows and to explain rows of; scored as well if it holds the target
    data_name : what to call it
    file : the network's file, for the model card

    Raises
    ------
    DataError : if the table lacks a column or has no row
    """
    if network.reference is None and data is not None:  # an old file: the table stands for the training rows
        from dataclasses import replace

        network = replace(network, reference=learn_reference(network.schema, network.schema.encode(data)))
    given = None if data is None else look_at(network, data, data_name)
    explanation = network.explain() if network.reference is not None else None
    return build_page(network, explanation, given, file, __version__)


def write_report(
    network: TargetNetwork, path: str | os.PathLike[str], data: Any = None, *, data_name: str = "the table", file: str = ""
) -> None:
    """Write `make_report` to a file, in one move: an interrupt or a full disk leaves an existing file as it was.

    Raises
    ------
    FileError : if the file cannot be written
    """
    write_bytes(path, make_report(network, data, data_name=data_name, file=file).encode("utf-8", "replace"))
