"""The examples run, and write what they say."""

import re
import subprocess
import sys
from importlib.util import find_spec
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


RECIPES = {  # script: arguments that make it short, picture, what it must print
    "few_shot_sinusoids.py": (["--iterations", "300"], "few_shot_sinusoids.png", "mean squared error on 500 new sines"),
    "digit_tasks.py": (["--iterations", "30"], "digit_tasks.png", "right on 320 new tasks"),
    "implicit_images.py": (["--iterations", "50"], "implicit_images.png", "variance explained"),
    "lora_transformer.py": (["--iterations", "30"], "lora_transformer.png", "letters right"),
    "continual_digits.py": ([], "continual_digits.png", "after the last task"),
    "article/with_torch.py": (["--tasks", "12"], "article_torch.png", "median steps"),
    "article/with_keras.py": (["--tasks", "3"], "article_keras.png", "stateless_call  gradient reaches the hypernetwork: yes"),
}


@pytest.mark.slow
@pytest.mark.parametrize("script", list(RECIPES))
def test_recipes_run_and_draw_their_picture(script, tmp_path):
    if "keras" in script and find_spec("keras") is None:  # not imported here: without KERAS_BACKEND it looks for tensorflow
        pytest.skip("needs keras")
    pytest.importorskip("matplotlib")
    options, picture, says = RECIPES[script]
    run = subprocess.run([sys.executable, EXAMPLES / script, *options, "--out", tmp_path], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert says in run.stdout
    assert (tmp_path / picture).stat().st_size > 5000


@pytest.mark.slow
def test_generated_features_tell_new_digits_apart(tmp_path):
    options = ["--iterations", "300", "--out", tmp_path]
    run = subprocess.run([sys.executable, EXAMPLES / "digit_tasks.py", *options], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    right = {kind: float(share) for kind, share in re.findall(r"(\w+) features: (\d\.\d+)", run.stdout)}
    assert right["generated"] > 0.88, right  # chance is .2
    assert right["generated"] > right["pixels"] + 0.04, right


@pytest.mark.parametrize("script", [name for name in RECIPES if "/" not in name])
def test_recipes_are_short(script):
    assert len((EXAMPLES / script).read_text(encoding="utf-8").splitlines()) < 100
