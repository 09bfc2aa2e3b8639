"""The command line through typer's runner: what it prints, what it writes, and one line for each mistake."""

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from netloom import TargetNetwork, __version__
from netloom.cli import app
from netloom.cli.options import parse_budget
from netloom.errors import BudgetError
from netloom.target.budget import Budget

FAST = ["--no-baselines", "--quiet"]


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Runs commands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=60).round(3), "colour": rng.choice(["red", "blue", None], 60)})
    frame["price"] = (2 * frame["size"] + (frame["colour"] == "red") + 0.1 * rng.normal(size=60)).round(3)
    frame["dear"] = np.where(frame["price"] > 0.5, "yes", "no")
    return frame


@pytest.fixture
def csv(tmp_path, table):
    table.to_csv(tmp_path / "things.csv", index=False)
    return tmp_path / "things.csv"


@pytest.fixture(scope="module")
def network(tmp_path_factory, table):
    """A classifier of ``dear`` from size and colour."""
    folder = tmp_path_factory.mktemp("woven")
    table.drop(columns="price").to_csv(folder / "things.csv", index=False)
    result = CliRunner().invoke(app, ["fit", str(folder / "things.csv"), "--target", "dear", "--out", str(folder / "dear.netloom"), *FAST])
    assert result.exit_code == 0, result.output
    return folder / "dear.netloom"


def test_version_and_help(cli):
    assert cli("--version").output == f"netloom {__version__}\n"
    for command in ("fit", "predict", "inspect", "report", "bench"):
        assert command in cli("--help").output
        assert cli(command, "--help").exit_code == 0


def test_fit_prints_scores_beside_baselines_and_saves(cli, csv):
    result = cli("fit", "things.csv", "--target", "price")
    assert result.exit_code == 0 and result.stderr == ""
    for word in ("netloom", "constant", "linear", "rf300", "histgb", "rmse", "why", "parameters", "kB", "one row in", "things.netloom"):
        assert word in result.stdout
    model = TargetNetwork.load("things.netloom")
    assert model.target_names == ("price",) and set(model.metrics["beside_baselines"]["scores"]) >= {"netloom", "rf300"}
    assert sorted(os.listdir()) == ["things.csv", "things.netloom"]


def test_fit_as_json_is_one_object(cli, csv):
    result = cli("fit", "things.csv", "--target", "dear", "--out", "d.netloom", "--json", "--budget", "9kB,700p", "--seed", 3, *FAST)
    facts = json.loads(result.stdout)
    assert facts["kind"] == "classification" and facts["classes"] == ["no", "yes"] and facts["rows"] == 60 and facts["note"] is None
    assert facts["parameters"] <= 700 and facts["bytes"] <= 9000 and facts["bytes"] == os.path.getsize("d.netloom")
    assert facts["held_out"]["rows"][0]["model"] == "netloom" and facts["row_microseconds"] > 0 and facts["provenance"]["seed"] == 3


def test_a_quick_fit_says_that_nothing_was_compared(cli, csv):
    facts = json.loads(cli("fit", csv, "--target", "dear", "--quick", "--json", *FAST).stdout)
    assert "without folds" in facts["architecture"]["why"]
    assert TargetNetwork.load("things.netloom").architecture["blocks"] == 1


def test_fit_takes_weights_kind_and_several_targets(cli, csv, table):
    table.assign(w=1.0, half=table["price"] / 2).to_csv("more.csv", index=False)
    result = cli("fit", "more.csv", "--target", "price", "--target", "half", "--weight", "w", "--kind", "regression", *FAST)
    assert result.exit_code == 0, result.output
    model = TargetNetwork.load("more.netloom")
    assert model.target_names == ("price", "half")
    assert [column.name for column in model.schema.columns] == ["size", "colour", "dear"]


@pytest.mark.parametrize("options", [["--no-baselines"], pytest.param([], marks=pytest.mark.slow)], ids=["alone", "with baselines"])
@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [0.5, 0.7, 0.1]}),
        pd.DataFrame({"x": [1.0, 2.0], "y": ["a", "b"]}),
        pd.DataFrame({"x": range(12), "y": ["a"] * 11 + ["b"]}),
        pd.DataFrame({"x": range(30), "y": [f"c{i // 2}" for i in range(30)]}),
        pd.DataFrame({"x": [1.0] * 20, "y": np.arange(20.0) / 3}),
        pd.DataFrame({"x": np.arange(20.0), "y": [1.5] * 20}),
        pd.DataFrame({"x": [None] * 20, "z": [f"text {i}" for i in range(20)], "y": np.arange(20.0) / 3}),
        pd.DataFrame({"x": [1e300, -1e300] * 10, "z": [np.inf, 1.0] * 10, "y": np.arange(20) * 1e20 + 0.5}),
    ],
    ids=["three rows", "two rows", "rare class", "two rows a class", "constant column", "constant target", "text", "huge"],
)
def test_fit_takes_odd_tables(cli, frame, options):
    frame.to_csv("odd.csv", index=False)
    kind = "classification" if frame["y"].dtype.kind not in "fi" else "regression"
    result = cli("fit", "odd.csv", "--target", "y", "--kind", kind, "--json", "--quiet", *options)
    assert result.exit_code == 0, result.output
    assert cli("predict", "odd.netloom", "odd.csv").stdout.count("\n") == len(frame) + 1


def test_what_cannot_be_scored_is_woven_all_the_same(cli):
    pd.DataFrame({"x": range(20), "y": [f"class {i}" for i in range(20)]}).to_csv("own.csv", index=False)
    result = cli("fit", "own.csv", "--target", "y", "--json", *FAST)
    assert result.exit_code == 0, result.output
    assert "no held-out score: " in json.loads(result.stdout)["note"] and TargetNetwork.load("own.netloom").classes.size == 20


def test_a_network_larger_than_its_budget_is_named(cli, csv):
    result = cli("fit", "things.csv", "--target", "price", "--budget", "100B", *FAST)
    assert "larger than the budget of 100 bytes" in result.stdout or result.exit_code == 2


def test_predict_keeps_rows_and_ignores_order_and_further_columns(cli, network, table):
    table[["colour", "price", "size"]].to_csv("new.csv", index=False)
    result = cli("predict", network, "new.csv")
    lines = result.stdout.splitlines()
    assert lines[0] == "dear,chance of no,chance of yes" and len(lines) == 61
    chances = np.array([[float(x) for x in line.split(",")[1:]] for line in lines[1:]])
    np.testing.assert_allclose(chances, TargetNetwork.load(network).predict_proba(table), rtol=1e-9)
    assert cli("predict", network, "new.csv", "--no-proba").stdout.splitlines()[0] == "dear"


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet", "p.csv.gz", "p.tsv"])
def test_predict_writes_by_the_name_of_out(cli, network, csv, name):
    from netloom.tasks.tables import read_table

    result = cli("predict", network, "things.csv", "--out", name)
    assert result.exit_code == 0 and result.output == ""
    assert read_table(name).shape == (60, 3)


def test_predict_gives_intervals(cli, csv):
    assert cli("fit", "things.csv", "--target", "price", *FAST).exit_code == 0
    result = cli("predict", "things.netloom", "things.csv", "--interval", 0.8, "--out", "p.csv")
    assert result.exit_code == 0, result.output
    frame = pd.read_csv("p.csv")
    assert frame.columns.tolist() == ["price", "price low", "price high"]
    assert (frame["price low"] < frame["price"]).all() and (frame["price"] < frame["price high"]).all()


def test_inspect_names_columns_and_where_it_comes_from(cli, network):
    text = cli("inspect", network).stdout
    for word in ("size", "colour", "moves", "share", "shape", "chances", "accuracy", "why", "created", "parameters"):
        assert word in text
    facts = json.loads(cli("inspect", network, "--json").stdout)
    assert [column["name"] for column in facts["columns"]] == ["size", "colour"]
    assert facts["columns"][0]["moves"] > facts["columns"][1]["moves"] > 0  # price is two times size plus at most one for the colour
    assert facts["classes"] == ["no", "yes"] and facts["bytes"] == os.path.getsize(network)


def test_inspect_explains_rows(cli, network, table):
    table.head(3).assign(size=[99.0, 0.1, -0.2]).to_csv("rows.csv", index=False)
    text = cli("inspect", network, "--explain", "rows.csv").stdout
    assert "row 2: " in text and "unlike the training rows: size = 99, training had" in text
    facts = json.loads(cli("inspect", network, "--explain", "rows.csv", "--json").stdout)
    for row in facts["rows"]:
        assert facts["base"][0] + sum(parts[0] for parts in row["contributions"].values()) == pytest.approx(row["output"][0], abs=1e-9)


def test_report_writes_one_page_and_replaces_only_pages(cli, network, csv):
    result = cli("report", network, "--data", "things.csv")
    assert result.exit_code == 0 and result.stdout.startswith("dear.html: "), result.output
    page = csv.with_name("dear.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "The table things.csv" in page and "on rows it has not seen" in page
    assert cli("report", network, "--out", "dear.html").exit_code == 0
    csv.with_name("notes.txt").write_text("mine")
    refused = cli("report", network, "--out", "notes.txt")
    assert refused.exit_code == 4 and "not an HTML page" in refused.stderr and csv.with_name("notes.txt").read_text() == "mine"
    assert cli("report", network, "--out", "notes.txt", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("report NETWORK --out things.csv --data things.csv", 2, "netloom: --out 'things.csv' is what is read"),
        ("report NETWORK --out no/report.html", 4, "netloom: 'no': there is no such folder"),
        ("report NETWORK --data other.csv", 3, "netloom: column 'size' is not in the table"),
        ("report things.csv", 4, "not a .netloom file"),
        ("inspect NETWORK --explain other.csv", 3, "netloom: column 'size' is not in the table"),
        ("fit things.csv", 2, "Missing option '--target'"),
        ("fit things.csv --target price --kind tree", 2, "tree"),
        ("fit things.csv --target price --threads 0", 2, "threads"),
        ("fit thing.csv --target price", 4, "netloom: 'thing.csv': there is no such file (did you mean 'things.csv'?)"),
        ("fit . --target price --out a.netloom", 4, "netloom: '.' is a folder; give the path of a file in it"),
        ("fit noise.csv --target price", 4, "netloom: 'noise.csv'"),
        ("fit empty.csv --target price", 3, "netloom: 'empty.csv' is empty"),
        ("fit things.csv --target Price", 3, "netloom: target 'Price' is not a column of the table (did you mean 'price'?)"),
        ("fit things.csv --target price --weight colour", 3, "netloom: weight"),
        ("fit things.csv --target dear --kind regression", 3, "regression needs numbers"),
        ("fit things.csv --target price --head tree", 2, "netloom: head = 'tree': unknown"),
        ("fit things.csv --target price --budget 50k", 2, "netloom: --budget '50k': must be a number with a unit"),
        ("fit things.csv --target price --budget 0kB", 2, "netloom: budget max_bytes = 0: must be above 0"),
        ("fit things.csv --target price --out things.csv --force", 2, "netloom: --out 'things.csv' is the table itself"),
        ("fit things.csv --target price --out notes.txt", 4, "netloom: 'notes.txt' exists and is not a network"),
        ("fit things.csv --target price --out no/where.netloom", 4, "netloom: 'no': there is no such folder"),
        ("fit - --target price", 2, "netloom: --out is needed"),
        ("predict things.csv things.csv", 4, "not a .netloom file"),
        ("predict NETWORK thing.csv", 4, "there is no such file"),
        ("predict NETWORK other.csv", 3, "netloom: column 'size' is not in the table"),
        ("predict NETWORK things.csv --interval 0.9", 2, "netloom: --interval: this network predicts classes"),
        ("predict NETWORK things.csv --out p.xls", 4, "netloom: 'p.xls': the ending must be"),
        ("predict NETWORK things.csv --out things.csv", 2, "netloom: --out 'things.csv' is what is read"),
        ("inspect nothing.netloom", 4, "netloom: nothing.netloom: no such file"),
        ("bench nothing", 4, "netloom: nothing/index.csv: not found"),
        ("bench . --seeds 0,x", 2, "netloom: --seeds '0,x': must be numbers by commas"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(cli, csv, network, table, words, code, said):
    csv.with_name("noise.csv").write_bytes(bytes(range(256)) * 8)
    csv.with_name("empty.csv").write_bytes(b"")
    csv.with_name("notes.txt").write_text("mine")
    table[["price"]].to_csv("other.csv", index=False)
    before = {path.name: path.read_bytes() for path in csv.parent.iterdir()}
    result = cli(*[str(network) if word == "NETWORK" else word for word in words.split()])
    assert result.exit_code == code, result.output
    assert said in result.stderr and result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1 or "Usage" in result.stderr
    assert {path.name: path.read_bytes() for path in csv.parent.iterdir()} == before


def test_force_replaces_what_is_no_network(cli, csv):
    csv.with_name("notes.txt").write_text("mine")
    assert cli("fit", "things.csv", "--target", "price", "--out", "notes.txt", "--force", *FAST).exit_code == 0
    assert cli("fit", "things.csv", "--target", "price", "--out", "notes.txt", *FAST).exit_code == 0  # now it is one
    assert TargetNetwork.load("notes.txt").kind == "regression"


def test_an_interrupt_leaves_the_old_file(cli, csv, network, monkeypatch):
    (csv.with_name("old.netloom")).write_bytes(network.read_bytes())

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("netloom.loom.fit.fit", interrupted)
    result = cli("fit", "things.csv", "--target", "price", "--out", "old.netloom", *FAST)
    assert result.exit_code == 130 and result.stderr == "netloom: interrupted; nothing was written\n"
    assert csv.with_name("old.netloom").read_bytes() == network.read_bytes()
    assert sorted(os.listdir()) == ["old.netloom", "things.csv"]


def test_a_full_disk_leaves_nothing(cli, csv, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = cli("fit", "things.csv", "--target", "price", *FAST)
    assert result.exit_code == 4 and re.search("No space left|disk", result.stderr) and result.stderr.count("\n") == 1
    assert os.listdir() == ["things.csv"]


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        (["50kB"], {"max_bytes": 50_000}),
        (["1.5MB"], {"max_bytes": 1_500_000}),
        (["20000p"], {"max_parameters": 20_000, "max_bytes": None}),
        (["20kp,5s"], {"max_parameters": 20_000, "max_bytes": None, "max_seconds": 5.0}),
        (["900B", "2min"], {"max_bytes": 900, "max_seconds": 120.0}),
        (["5s"], {"max_seconds": 5.0}),
    ],
)
def test_a_budget_in_words(words, limits):
    assert parse_budget(words) == Budget(**limits)


@pytest.mark.parametrize("words", [["5"], ["kB"], ["-5kB"], ["5kB,6MB"], [""], ["1e3p"], ["nan s"], ["5 kilo"]])
def test_words_that_are_no_budget(words):
    with pytest.raises(BudgetError, match="--budget"):
        parse_budget(words)


def test_bench_runs_and_goes_on(cli, table, tmp_path):
    (tmp_path / "suite" / "regression").mkdir(parents=True)
    table[["size", "colour", "price"]].rename(columns={"price": "target"}).to_parquet(tmp_path / "suite" / "regression" / "things.parquet")
    (tmp_path / "suite" / "index.csv").write_text("name,kind\nthings,regression\n")
    words = ("bench", "suite", "--out", "out", "--models", "constant,linear", "--quiet")
    first = cli(*words, "--seeds", "0")
    assert first.exit_code == 0, first.output
    assert "linear" in first.stdout and len(pd.read_csv("out/runs.csv")) == 2
    again = cli(*words, "--seeds", "0,1", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["scores"] and len(pd.read_csv("out/runs.csv")) == 4
