"""The examples run, and write what they say."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_the_demo_runs_and_writes_what_it_says(tmp_path):
    run = subprocess.run([sys.executable, EXAMPLES / "demo.py", tmp_path / "demo"], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    written = {path.name for path in (tmp_path / "demo").iterdir()}
    expected = {f"{name}{end}" for name in ("penguins", "moneyball") for end in (".netloom", "_predictions.csv")}
    assert expected | {"demo.png"} == written
    assert run.stdout.count("held-out rows") == 2
