"""The page: whole, harmless whatever the names, the same each time, asking nothing of any host."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from netloom.errors import DataError, FileError
from netloom.report import make_report, write_report
from netloom.report.charts import nice_ticks
from netloom.report.markup import Markup, h, number

KINDS = [("regression", 3), ("classification", 2), ("classification", 3)]
EVIL = "<script>alert('1')</script>\"&\x00\u202e"
METRICS = {
    "beside_baselines": {
        "how": "75 of 300 rows held out",
        "scores": {
            "constant": {"rmse": [90.0, 3.0], "r2": [-0.01, 0.01], "log_loss": [1.1, 0.01], "accuracy": [0.4, 0.05]},
            "linear": {"rmse": [21.0, 0.8], "r2": [0.9, 0.01], "log_loss": [0.2, 0.03], "accuracy": [0.9, None]},
            "netloom": {"rmse": [25.0, 0.8], "r2": [0.91, 0.01], "log_loss": [0.4, 0.03], "accuracy": [0.91, 0.03]},
        },
        "differences": {"rmse": ["linear", 4.0, 0.5], "log_loss": ["linear", 0.2, 0.05]},
    },
    "calibration": {
        "how": "75 of 300 rows held out",
        "chances": [[0.05, 0.04, 100], [0.5, 0.6, 10], [0.95, 0.97, 60]],
        "coverage": [[0.5, 0.4], [0.9, 0.75]],
        "values": [[[1.0, 0.5, 1.1, 1.4, 20], [2.0, 1.5, 2.1, 2.4, 20]]],
    },
    "warnings": [{"what": "id", "column": "age", "says": "numbers the rows"}],
}
SECTIONS = ("How good it is", "How sure it is", "What the columns do", "The network", "Model card", "Columns in training")


class Reader(HTMLParser):
    """Checks that elements are closed in order; keeps tags, attributes and text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.mark.parametrize("kind, classes", KINDS)
@pytest.mark.parametrize("data", [False, True])
def test_every_section_is_there_and_nothing_is_asked_of_a_host(make_network, kind, classes, data):
    network, table = make_network(kind, classes=classes)
    network = replace(network, metrics=METRICS)
    page = make_report(network, table if data else None, data_name="new.csv")
    reader = read(page)
    text = " ".join(reader.text)
    for section in SECTIONS + (("Rows explained", "The table new.csv") if data else ()):
        assert section in text
    assert {"script", "link", "img", "iframe", "object", "embed", "form"}.isdisjoint(reader.tags)
    loading = [value for name, value in reader.attributes if name in ("src", "href", "action", "data", "srcset", "xlink:href")]
    assert all(value.startswith("#") for value in loading)
    assert not re.search(r"url\(|@import|https?://|javascript:|\bon\w+=", page)
    assert "default-src 'none'" in page.replace("&#x27;", "'") and "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", page.lower())
    assert {column.name for column in network.schema.columns} <= set(t.strip() for t in reader.text)
    assert page == make_report(network, table if data else None, data_name="new.csv")


def test_warnings_stand_first(make_network):
    network, table = make_network()
    page = make_report(replace(network, metrics=METRICS), table.assign(size=table["size"] + 40), data_name="new.csv")
    text = " ".join(read(page).text)
    assert re.search(r"\d+ warnings", text).start() < text.index("How good it is", text.index("Columns in training") + 1)
    for said in (
        "numbers the rows",
        "linear has a better RMSE",
        "90 % intervals held 75 %",
        "size",
        "distributed otherwise",
        "unlike those of training",
    ):
        assert said in text


def test_names_are_text_and_nothing_else(make_network):
    network, table = make_network("classification", rename={"size": EVIL + "1"})
    table["colour"] = table["colour"].replace("red", EVIL)
    network = replace(network, classes=np.array([EVIL, "b", "c"]), target_names=(EVIL,))
    network = replace(network, metrics={"warnings": [{"what": "id", "column": EVIL, "says": EVIL}]}, provenance={"created": EVIL})
    network = replace(network, architecture={"head": EVIL, "why": EVIL, "members": [{"family": EVIL, "weight": 1.0}]})
    page = make_report(network, table.rename(columns={"y": EVIL}), data_name=EVIL, file=EVIL)
    reader = read(page)
    assert "script" not in reader.tags and "<script" not in page and "\x00" not in page and "\u202e" not in page
    assert any("<script>alert('1')</script>\"&" in text for text in reader.text)
    assert not any(name.startswith("on") for name, _ in reader.attributes)


def test_escaping_is_where_text_is_put_in():
    assert h("a", "<b>", title='"<') == '<a title="&quot;&lt;">&lt;b&gt;</a>'
    assert h("p", Markup("<b></b>"), None, [1, "&"]) == "<p><b></b>1&amp;</p>"
    assert h("text", x=1.0, stroke_width=2) == '<text x="1" stroke-width="2"></text>'


@pytest.mark.parametrize(
    "value, text",
    [(0, "0"), (1234.5, "1,234"), (-0.012345, "−0.0123"), (99.96, "100"), (3.14159, "3.14"), (1e9, "1e+09"), (float("nan"), "–"), (7, "7")],
)
def test_numbers_are_for_people(value, text):
    assert number(value) == text


@pytest.mark.parametrize("low, high", [(0, 1), (-3e-7, 5e-7), (1e12, 1e12 + 5), (3, 3), (0, 8.3)])
def test_ticks_are_few_round_and_inside(low, high):
    ticks = nice_ticks(low, high)
    assert 1 <= len(ticks) <= 6 and all(low - 1e-6 * abs(low) <= t <= high + 1e-6 * abs(high) for t in ticks)


def test_whatever_the_metrics_hold_there_is_a_page(make_network):
    network, _ = make_network("classification")
    odd = {"beside_baselines": [1], "calibration": {"chances": "x"}, "warnings": 7}
    strange = {"members": 3, "compared": [{"family": 3}, 4], "why": 5, "head": None}
    page = make_report(replace(network, metrics=odd, architecture=strange, provenance={"rows": "many", "created": 3}))
    assert "No score on held-out rows is known" in page


def test_old_files_and_dull_networks_have_a_page(make_network):
    network, table = make_network()
    assert "no summary of its training rows" in make_report(replace(network, reference=None))
    assert "Rows explained" in make_report(replace(network, reference=None), table)
    dull = replace(network.weights, layers=(), readout=np.zeros((sum(v.width for v in network.weights.views), 1), np.float32))
    assert "the same answer for every row" in make_report(replace(network, weights=dull))
    with pytest.raises(DataError, match="no row to report on"):
        make_report(network, table.iloc[:0])
    assert "The table has no target that" in make_report(network, table.drop(columns="y"))
    assert make_report(network, table.iloc[:1])
    with pytest.raises(DataError, match="column 'size' is not in the table"):
        make_report(network, table.drop(columns="size"))


def test_many_classes_columns_and_long_names(make_network):
    network, table = make_network("classification", classes=4, rename={"size": "a very long name of a column, " * 9})
    assert "…" in make_report(network, table)


def test_a_failed_write_leaves_the_old_page(make_network, tmp_path, monkeypatch):
    import os

    network, _ = make_network()
    path = tmp_path / "r.html"
    write_report(network, path)
    old = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="no space left on the disk"):
        write_report(network, path)
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["r.html"]
    with pytest.raises(FileError, match="none does not exist; create it first"):
        write_report(network, tmp_path / "none" / "r.html")


def test_frames_with_dates_and_nothing_numeric(make_network):
    network, table = make_network()
    page = make_report(network, pd.DataFrame(table.astype(object)))
    assert "2020-" in page
