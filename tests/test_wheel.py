"""What is shipped works: the wheel, in a clean environment and an empty folder, weaves, saves, loads and predicts."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
WEAVE = """
import netloom, numpy as np, pandas as pd
from pathlib import Path
assert Path(netloom.__file__).is_relative_to(Path("env").resolve()), netloom.__file__
table = pd.read_csv(Path(netloom.__file__).parent / "data" / "penguins.csv").iloc[::6]
network = netloom.Loom.pretrained().weave(netloom.Task.from_frame(table, target="species"))
network.save("penguins.netloom")
again = netloom.TargetNetwork.load("penguins.netloom").predict(table)
assert (again == network.predict(table)).all()
print("accuracy", np.mean(again == table["species"].to_numpy()))
"""


def call(*command, cwd, **environment):
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    run = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, env=clean | environment)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy so that nothing is left in the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(REPOSITORY / "src", folder / "source" / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder / "source")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, folder / "source", cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_weights_data_and_types(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"netloom/py.typed", "netloom/data/penguins.csv", "netloom/data/moneyball.csv", "netloom/data/README.md"} <= names
    assert any(name.startswith("netloom/weights/") and name.endswith(".safetensors") for name in names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks")) or name.endswith(".pyc")]


def test_the_wheel_weaves_in_a_clean_environment(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=False, symlinks=os.name != "nt")
    paths = {"base": str(tmp_path / "env"), "platbase": str(tmp_path / "env")}
    site = Path(sysconfig.get_path("purelib", scheme="venv", vars=paths))
    bin = Path(sysconfig.get_path("scripts", scheme="venv", vars=paths))
    python = bin / Path(sys.executable).name
    call(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps", "--no-compile", wheel, cwd=tmp_path)
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(sorted(here)), encoding="utf-8")  # after the wheel on sys.path, so the wheel wins
    assert "accuracy" in call(python, "-c", WEAVE, cwd=tmp_path, OMP_NUM_THREADS="1")
    assert "predict" in call(bin / "netloom", "--help", cwd=tmp_path)
