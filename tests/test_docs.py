"""The reference builds without a warning, and the ten lines of the guide run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.slow
def test_sphinx_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    run = subprocess.run([sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", DOCS, tmp_path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "LowRank" in (tmp_path / "api.html").read_text(encoding="utf-8")


def test_the_guide_to_the_toolkit_runs_as_it_stands():
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "toolkit.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(blocks[0], names)
    first = float(names["loss"])
    assert first < 0.9, "a slope of variance 1 is learned in part after 100 steps"
    exec(blocks[2], names)  # diagnose


def test_the_columns_of_the_page_on_columns_become_what_it_says():
    text = (DOCS / "columns.md").read_text(encoding="utf-8")
    names: dict = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], names)
    assert re.findall(r"```\n(height.*?)\n```", text, re.DOTALL)[0].replace("\n", ", ").split(", ") == names["labels"]
