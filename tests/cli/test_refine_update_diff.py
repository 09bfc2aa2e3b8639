"""``netloom refine``, ``update`` and ``diff`` through typer's runner: what they print and write, and one line for each mistake."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from netloom import Loom, TargetNetwork
from netloom.cli import app
from netloom.tasks import Task


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.uniform(-2, 2, 400).round(3), "colour": rng.choice(["red", "blue", None], 400)})
    return frame.assign(price=(np.sin(2 * frame["size"]) + (frame["colour"] == "red") + 0.1 * rng.normal(size=400)).round(3))


@pytest.fixture
def cli(tmp_path, monkeypatch, table):
    """Runs commands in a folder with old.csv, new.csv and m.netloom."""
    monkeypatch.chdir(tmp_path)
    table[:80].to_csv("old.csv", index=False)
    table[80:].to_csv("new.csv", index=False)
    Loom.pretrained().weave(Task.from_frame(table[:80], target="price")).save("m.netloom")
    return lambda *words: CliRunner().invoke(app, list(map(str, words)))


def test_refine_says_what_came_of_it(cli):
    result = cli("refine", "m.netloom", "old.csv", "--until", "steps=4 | seconds=9999", "--out", "r.netloom", "--json", "--quiet")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["taken"] == 4 and facts["written"] == "r.netloom" and facts["curve"][0][0] == 0
    assert TargetNetwork.load("r.netloom").metrics["refined"]["kept"] is facts["kept"]


def test_refine_in_place_writes_only_what_is_better(cli):
    with open("m.netloom", "rb") as file:
        before = file.read()
    result = cli("refine", "m.netloom", "old.csv", "--until", "steps=0")
    assert result.exit_code == 0 and "left as woven" in result.stdout and "m.netloom stays as it was" in result.stdout
    with open("m.netloom", "rb") as file:
        assert file.read() == before


def test_update_then_diff(cli):
    TargetNetwork.load("m.netloom").save("before.netloom")
    result = cli("update", "m.netloom", "new.csv", "--table", "old.csv", "--reweave", "never", "--quiet")
    assert result.exit_code == 0 and result.stdout.startswith("added: version 2: 400 rows solved exactly"), result.output
    assert "320 new rows, 400 in all; memory in m.netloom.memory" in result.stdout
    result = cli("diff", "before.netloom", "m.netloom", "--table", "new.csv")
    assert result.exit_code == 0, result.output
    for words in ("version        1 -> 2", "neurons are the same", "behaviour on 320 given rows", "squared error", "rows that moved most"):
        assert words in result.stdout
    facts = json.loads(cli("diff", "before.netloom", "m.netloom", "--json").stdout)
    assert facts["source"] == "synthetic" and facts["same_neurons"] and facts["behaviour"]["moved"] > 0
    again = cli("update", "m.netloom", "new.csv", "--json")
    assert again.exit_code == 3 and "these 320 rows were added before" in again.stderr and again.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words, code, message",
    [
        (("refine", "m.netloom", "old.csv", "--until", "soon"), 2, "until 'soon': is no criterion"),
        (("refine", "m.netloom", "old.csv", "--until", "accuracy>=0.9"), 2, "a regression network has rmse and r2"),
        (("refine", "m.netloom", "none.csv"), 4, "none.csv"),
        (("refine", "m.netloom", "m.netloom"), 2, "is the network itself"),
        (("refine", "old.csv", "old.csv"), 4, "not a .netloom file but text"),
        (("update", "m.netloom", "new.csv"), 2, "give those rows once (--table)"),
        (("update", "none.netloom", "new.csv"), 4, "no such file"),
        (("diff", "m.netloom", "old.csv"), 4, "not a .netloom file but text"),
        (("diff", "m.netloom", "m.netloom", "--table", "none.csv"), 4, "none.csv"),
    ],
)
def test_mistakes_are_one_line(cli, words, code, message):
    result = cli(*words)
    assert result.exit_code == code and message in result.stderr and result.stderr.count("\n") == 1, result.output
