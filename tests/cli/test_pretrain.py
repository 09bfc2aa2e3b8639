"""``netloom pretrain`` end to end, and its one-line errors."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from netloom.cli import app

TINY = """
steps = 3
width = 16
neurons = 2
copies = 2
work = 2
rows = [10, 20]
columns = [1, 4]
outputs = [2, 3]
queries = 8
validation = 2
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(TINY)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["pretrain", *map(str, arguments)])


def test_a_run_and_its_continuation(config, tmp_path):
    first = run(config, "--out", tmp_path / "run", "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["step"] == 3
    second = run(config, "--out", tmp_path / "run", "--set", "steps=5", "--quiet")
    assert second.exit_code == 0 and second.stdout == f"{tmp_path / 'run' / 'loom.safetensors'}\n" and second.stderr == ""


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--set", "stepz=3"], 2, "netloom: stepz: no such setting"),
        (["--set", "rows=[3, 2]"], 2, "netloom: rows = [3, 2]: must rise"),
        (["--init", "gone.safetensors"], 4, "netloom: gone.safetensors: not found"),
        (["--tables", "gone"], 4, "netloom: gone: there is no such folder of tables"),
        (["--pack", "t.safetensors"], 2, "netloom: --pack needs tables"),
    ],
)
def test_mistakes_are_one_line(config, tmp_path, arguments, code, message):
    given = run(config, "--out", tmp_path / "run", *arguments)
    assert given.exit_code == code and given.stderr.startswith(message) and given.stderr.count("\n") == 1


def test_tables_are_packed(config, tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    pd.DataFrame({"a": range(50), "b": [i % 3 for i in range(50)]}).to_csv(folder / "t.csv", index=False)
    given = run(config, "--tables", folder, "--pack", tmp_path / "t.safetensors")
    assert given.exit_code == 0 and given.stdout.startswith("1 tables")
    trained = run(config, "--tables", tmp_path / "t.safetensors", "--out", tmp_path / "run", "--quiet")
    assert trained.exit_code == 0
