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
