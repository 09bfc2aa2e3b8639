"""A light import is kept light, and `__all__` is what is public."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import netloom

HEAVY = ("torch", "sklearn", "scipy", "matplotlib")
HELP = """
import contextlib, sys
sys.argv = ["netloom", "--help"]
from netloom.cli import main
with contextlib.suppress(SystemExit):
    main()
"""


def loaded_after(code):
    """Heavy packages in sys.modules once a fresh interpreter has run the code."""
    report = f"import sys; print('loaded', *[m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return run.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("code", ["import netloom", HELP], ids=["import", "help"])
def test_nothing_heavy_is_imported(code):
    assert loaded_after(code) == []


def test_a_network_needs_no_torch():
    names = loaded_after("import netloom; netloom.TargetNetwork, netloom.Task, netloom.Budget, netloom.NetloomError")
    assert set(names) <= {"scipy"}


def test_help_of_the_command_imports_no_pandas():
    run = subprocess.run([sys.executable, "-c", HELP + "\nprint('pandas' in sys.modules)"], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"


def test_nothing_waits_for_the_compiler():
    """torch.optim's constructors import torch's compiler, seconds of every start: netloom.toolkit.adamw stands in their place."""
    files = sorted(Path(netloom.__file__).parent.rglob("*.py"))
    assert files and [path.name for path in files if "torch.optim" in path.read_text(encoding="utf-8")] == []


def test_all_is_what_is_public():
    assert sorted(netloom.__all__) == netloom.__all__
    for name in netloom.__all__:
        assert getattr(netloom, name) is not None
    assert set(netloom.__all__) <= set(dir(netloom))
    with pytest.raises(AttributeError, match="no attribute 'Lom'"):
        netloom.Lom  # noqa: B018


@pytest.mark.parametrize("name", [m.name for m in pkgutil.walk_packages(netloom.__path__, "netloom.") if not m.name.endswith("__main__")])
def test_every_module_imports_and_has_what_it_names(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public), f"{name}.__all__ names '{public}', which is not there"
