"""What a table given to the report says: scores on it, what each column is worth there, drift, and rows unlike the training rows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import pandas as pd

from netloom.errors import DataError
from netloom.explain import Drift, Finding, Losses, check_task, drift, has_target, losses
from netloom.explain.evidence import read_calibration
from netloom.report.charts import dots_with_intervals
from netloom.report.markup import Markup, h, percent, plural
from netloom.report.scores import calibration_cards, shown
from netloom.target.explain import Explanation
from netloom.target.network import TargetNetwork
from netloom.tasks.frames import as_frame
from netloom.tasks.task import Task

__all__ = ["Given", "given_findings", "given_section", "look_at"]

EXPLAINED, LISTED, DRIFTS, WORTHS = 300, 12, 12, 12
MANY_UNLIKE = 0.05


@dataclass(frozen=True, eq=False)
class Given:
    """A table and what was found in it; ``frame`` holds the rows explained, every ``step``-th of ``rows``."""

    name: str
    rows: int
    frame: pd.DataFrame
    step: int
    explanation: Explanation
    drifts: list[Drift]
    losses: Losses | None
    findings: list[Finding]


def look_at(network: TargetNetwork, table: Any, name: str) -> Given:
    """Everything about a table of at least one row.

    Raises
    ------
    DataError : if it has no row, or lacks a column
    """
    frame = as_frame(table)[0].reset_index(drop=True)
    if not len(frame):
        raise DataError(f"{name}: the table has no row to report on; give one with rows")
    step = max(1, -(-len(frame) // EXPLAINED))
    some = frame.iloc[::step].reset_index(drop=True)
    labelled = has_target(network, frame)
    found: list[Finding] = []
    if labelled:
        inputs = [column for column in frame.columns if str(column) in {c.name for c in network.schema.columns} | set(network.target_names)]
        try:
            target: Any = list(network.target_names)
            task = Task.from_frame(frame[inputs].rename(columns=str), target=target if len(target) > 1 else target[0], kind=network.kind)  # type: ignore[arg-type]
            found = check_task(task)
        except DataError:  # one class only, or too few rows: nothing to check
            found = []
    scored = None
    if labelled:
        with contextlib.suppress(DataError):  # no row has a target that the network knows: the rest can be told all the same
            scored = losses(network, frame)
    return Given(name, len(frame), some, step, network.explain(some), drift(network, frame), scored, found)


def given_findings(given: Given) -> list[Finding]:
    """Warnings about the table."""
    found = [Finding(f.what, f.column, f"in {given.name}: {f.says}") for f in given.findings]
    for moved in [d for d in given.drifts if d.drifted][:5]:
        then, now = moved.missing
        said = (
            f"missing in {percent(now)} of the rows of {given.name}, in training in {percent(then)}" if abs(now - then) > moved.gap else ""
        )
        said = said or f"is distributed otherwise in {given.name} than in training, {percent(moved.gap)} apart"
        found.append(Finding("drift", moved.column, f"{said}; the scores of training do not hold for such rows"))
    share = sum(map(bool, given.explanation.unlike)) / max(len(given.explanation.unlike), 1)
    if share > MANY_UNLIKE:
        found.append(Finding("unlike", "", f"{percent(share)} of the rows of {given.name} are unlike those of training (0.5 % is usual)"))
    if given.losses is not None and given.losses.strange:
        found.append(
            Finding("unlike", "", f"{plural(given.losses.strange, 'row')} of {given.name} have a class that the network does not know")
        )
    return found


def given_section(given: Given) -> list[Markup]:
    """The pictures and tables."""
    parts: list[Markup] = []
    if given.losses is not None:
        parts += _losses(given, given.losses)
    else:
        parts.append(h("p", "The table has no target that the network knows, so there is no score on it.", class_="note"))
    parts += [h("h3", "Then and now, column by column"), _drift_table(given)]
    strange = [(i, reasons) for i, reasons in enumerate(given.explanation.unlike) if reasons]
    looked = len(given.explanation.unlike)
    verb = "is" if len(strange) == 1 else "are"
    said = f"{plural(len(strange), 'row')} of the {looked:,} that were explained {verb} unlike the training rows."
    parts += [h("h3", "Rows unlike the training rows"), h("p", said + " Some 0.5 % are usual.", class_="note")]
    if strange:
        items = [h("tr", h("td", f"{i * given.step:,}", class_="n"), h("td", "; ".join(reasons))) for i, reasons in strange[:LISTED]]
        more = len(strange) - LISTED
        if more > 0:
            items.append(h("tr", h("td"), h("td", f"and {more} more")))
        head = h("thead", h("tr", h("th", "row", class_="n"), h("th", "why")))
        parts.append(h("div", h("table", head, h("tbody", items)), class_="card"))
    return parts


def _losses(given: Given, found: Losses) -> list[Markup]:
    rows = []
    for name, (value, error) in found.scores.items():
        if name.startswith("constant "):
            continue
        plain = found.scores.get(f"constant {name}")
        rows.append(
            h(
                "tr",
                h("th", name, scope="row"),
                h("td", shown(value, error), class_="n"),
                h("td", shown(*plain) if plain else "–", class_="n"),
            )
        )
    head = h(
        "thead",
        h("tr", h("th", f"{found.rows:,} rows with a target"), h("th", "netloom", class_="n"), h("th", "constant", class_="n")),
    )
    table = h("div", h("table", head, h("tbody", rows)), class_="card scroll")
    note = h("p", "If these rows were also used to fit the network, the scores flatter.", class_="note")
    cards = calibration_cards(read_calibration(found.calibration))
    worth = [(name, value, error, value > 2 * error) for name, (value, error) in list(found.shuffled.items())[:WORTHS]]
    if worth:
        title = f"How much worse the {found.loss} gets when one column is shuffled"
        words = "The network does without what lies at 0. Two standard errors each way; columns that tell the same share their worth."
        cards.insert(0, h("figure", h("h3", title), dots_with_intervals(worth, title, left=110), h("p", words), class_="card"))
    return [table, note, h("div", cards, class_="grid wide")]


def _drift_table(given: Given) -> Markup:
    rows = []
    for moved in given.drifts[:DRIFTS]:
        then, now = moved.missing
        missing = f"{percent(then)} → {percent(now)}" if then or now else "–"
        cells = [h("th", moved.column, scope="row"), h("td", moved.kind), h("td", percent(moved.gap), class_="n")]
        cells += [h("td", percent(moved.outside, 1) if moved.outside else "–", class_="n"), h("td", missing, class_="n")]
        cells.append(h("td", "drifted" if moved.drifted else ""))
        rows.append(h("tr", cells, class_="ours" if moved.drifted else None))
    names = ("column", "kind", "apart", "never seen", "missing", "")
    head = h("thead", h("tr", [h("th", name, class_="n" if 1 < k < 5 else None) for k, name in enumerate(names)]))
    left = len(given.drifts) - DRIFTS
    more = h("p", f"{left} more columns are less far apart.") if left > 0 else None
    return h("div", h("table", head, h("tbody", rows)), more, class_="card scroll")
