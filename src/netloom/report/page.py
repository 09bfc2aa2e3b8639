"""The whole page: sections in the order in which one asks, each with a sentence on how to read it."""

from __future__ import annotations

from typing import Any

from netloom.explain.evidence import Calibration, Scores, calibration_of, scores_of
from netloom.explain.findings import Finding, findings_from
from netloom.report.architecture import draw_architecture
from netloom.report.card import facts, families, limits, schema_table
from netloom.report.columns import key, pair_card, shape_cards, share_table
from netloom.report.given import Given, given_findings, given_section
from netloom.report.markup import Markup, h, join, percent, plural
from netloom.report.rows import row_cards
from netloom.report.scores import calibration_cards, lead, score_cards, score_name, shown
from netloom.report.style import STYLE
from netloom.target.explain import Explanation
from netloom.target.network import TargetNetwork

__all__ = ["build_page"]

DOMINANT, TOO_SURE = 0.9, 0.08
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # nothing is asked of any host, whatever a name holds


def build_page(network: TargetNetwork, explanation: Explanation | None, given: Given | None, file: str, version: str) -> str:
    """The HTML of a report; ``explanation`` is None for a network without a summary of its training rows."""
    scores, sure = scores_of(network), calibration_of(network)
    found = warnings_of(network, explanation, scores, sure) + (given_findings(given) if given else [])
    sections = [
        _section("good", "How good it is", _good(scores)),
        _section("sure", "How sure it is", _sure(network, sure)),
        _section("columns", "What the columns do", _columns(network, explanation)),
        _section("rows", "Rows explained", _rows(network, given)),
        _section("data", f"The table {given.name}" if given else "", given_section(given) if given else []),
        _section("network", "The network", _network(network)),
        _section("card", "Model card", [facts(network, file), h("h3", "What it is for, and what not"), limits(network)]),
        _section("schema", "Columns in training", [schema_table(network)]),
    ]
    kept = [section for section in sections if section is not None]
    links = h("nav", [h("a", title, href=f"#{name}") for name, title, _ in kept])
    target = ", ".join(network.target_names)
    what = f"{len(network.classes)} classes" if network.classes is not None else "a number" if len(network.target_names) == 1 else "numbers"
    rows = network.provenance.get("rows")
    origin = f"learned from {rows:,} rows" if type(rows) is int else "origin unknown"
    header = h(
        "header",
        h("h1", f"A network for {target}"),
        h("p", lead(scores, network.kind), class_="lead"),
        h(
            "p",
            f"{what} from {plural(len(network.schema.columns), 'column')}, {origin}; "
            f"{network.n_parameters:,} parameters in {network.n_bytes / 1000:.1f} kB.",
        ),
        links,
    )
    body = h("main", header, _warnings(found), [section for _, _, section in kept], _footer(network, version))
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width,initial-scale=1"),
        h("meta", name="color-scheme", content="light dark"),
        h("meta", http_equiv="Content-Security-Policy", content=POLICY),
        h("meta", name="referrer", content="no-referrer"),
        h("title", f"{target}: a network's report"),
        h("style", Markup(STYLE)),
    )
    return "<!doctype html>\n" + h("html", head, h("body", body), lang="en") + "\n"


def warnings_of(network: TargetNetwork, explanation: Explanation | None, scores: Scores | None, sure: Calibration | None) -> list[Finding]:
    """What must be said before anything else: kept from the fit, and what follows from scores and shares."""
    found = findings_from(network.metrics.get("warnings"))
    if scores is not None:
        for name in ("log_loss", "rmse"):
            rival, gap, error = scores.differences.get(name, ("", 0.0, 0.0))
            if rival and gap > 2 * error:
                said = f"{rival} has a better {score_name(name)} on the same rows, by {shown(gap, error)}; consider it instead"
                found.append(Finding("baseline", "", said))
    if explanation is not None and len(explanation.columns) > 1 and explanation.shares.max(initial=0) > DOMINANT:
        j = int(explanation.shares.argmax())
        said = f"alone makes up {percent(float(explanation.shares[j]))} of what moves the output; is it known when you predict?"
        found.append(Finding("dominant", explanation.columns[j], said))
    if sure is not None:
        for asked, inside in sure.coverage:
            if asked == 0.9 and inside < asked - TOO_SURE:
                found.append(
                    Finding("unsure", "", f"its {percent(asked)} intervals held {percent(inside)} of the held-out values: too narrow")
                )
    return found


def _section(name: str, title: str, parts: list[Any]) -> tuple[str, str, Markup] | None:
    return (name, title, h("section", h("h2", title), parts, id=name)) if parts else None


def _warnings(found: list[Finding]) -> Markup | None:
    if not found:
        return None
    items = [h("li", h("b", finding.column, " ") if finding.column else None, finding.says, ".") for finding in found]
    return h("section", h("div", h("h2", plural(len(found), "warning")), h("ul", items), class_="card warn"))


def _good(scores: Scores | None) -> list[Markup]:
    if scores is None:
        return []
    beside = " Baselines were fitted on the same training rows." if len(scores.table) > 1 else ""
    words = f"Measured on {scores.how}; the networks scored were woven without those rows, this one from all.{beside}"
    return [h("p", words), *score_cards(scores)]


def _sure(network: TargetNetwork, sure: Calibration | None) -> list[Markup]:
    cards = calibration_cards(sure)
    if not cards or sure is None:
        return []
    return [h("p", f"What it said beside what came, on held-out rows ({sure.how})."), h("div", cards, class_="grid wide")]


def _columns(network: TargetNetwork, explanation: Explanation | None) -> list[Markup]:
    if explanation is None:
        return [h("p", "Not known: this file holds no summary of its training rows. Fit the network again, or give --data.")]
    if not explanation.moves.any():
        return [h("p", "Nothing: the network gives the same answer for every row.")]
    units = {"log odds": f"in log odds of {explanation.outputs[0]}", "logit": "in logits, each class against the mean of all"}
    unit = units.get(explanation.unit, f"in units of {', '.join(explanation.outputs)}")
    source = "usual rows made up from a summary of the training rows" if explanation.synthetic else "the rows of the table given"
    words = (
        f"A column's share is the mean size of its contributions to the output, over {source}. "
        f"{percent(explanation.additive)} of what moves the output is exactly additive, each column by itself (blue); "
        "neurons add the rest (orange)."
    )
    shapes = (
        f"How the mean output moves with one column's value, {unit}. The additive part is exact; where neurons join columns, the band "
        "holds the middle 80 % of rows, and a dotted line is the additive part alone. Ticks at the bottom: where the training rows lie."
    )
    pairs = "How far two columns move the output together, beyond what each does alone, in parts of the output's deviation."
    more = len(explanation.shapes) - len(shape_cards(explanation))
    return [
        h("p", words),
        share_table(explanation),
        h("h3", "Shapes"),
        h("p", shapes),
        key(explanation),
        h("div", shape_cards(explanation), class_="grid"),
        h("p", f"{more} more columns move it less.", class_="note") if more > 0 else join([]),
        h("h3", "Pairs"),
        h("p", pairs),
        pair_card(explanation),
    ]


def _rows(network: TargetNetwork, given: Given | None) -> list[Markup]:
    if given is None:
        return []
    cards = row_cards(network, given.explanation, given.frame, given.step)
    words = (
        f"Rows of {given.name}: from the mean output, column by column, to the prediction. The parts add up exactly; what neurons do "
        "together is shared out by Shapley values."
    )
    return [h("p", words), h("div", cards, class_="grid wide")] if cards else []


def _network(network: TargetNetwork) -> list[Markup]:
    neurons = sum(layer.width for layer in network.weights.layers)
    words = (
        "From top to bottom: columns become numbers, views standardise or rank them and bend each value into cells, "
        + ("chains of neurons read those (numbers in the boxes), " if neurons else "")
        + "and one linear readout adds everything up. Dashed: the additive way past the neurons."
    )
    drawn = h("div", draw_architecture(network), class_="card")
    return [h("p", words), h("div", drawn, families(network), class_="grid wide")]


def _footer(network: TargetNetwork, version: str) -> Markup:
    created = network.provenance.get("created")
    made = f" of a network made {created}" if isinstance(created, str) else ""
    return h("footer", h("p", f"Report{made}, by netloom {version}. This page is one file and asks nothing of any host."))
