"""A folder with two small networks and a table, and a command line that is watched: one line, the right code, nothing written."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

METRICS = {
    "accuracy": 0.8,
    "accuracy_se": 0.05,
    "log_loss": 0.5,
    "log_loss_se": 0.1,
    "temperature": 1.0,
    "calibration": {"how": "3 folds of 80 rows", "chances": [[0.1, 0.2, 20], [0.9, 0.8, 20]], "coverage": [[0.5, 0.5], [0.9, 0.85]]},
    "warnings": [{"what": "identifier", "column": "size", "says": "it looks like a number of the row"}],
}
COMMANDS = {  # each command that reads a network, FILE in its place
    "predict": "predict FILE new.csv",
    "predict to a file": "predict FILE new.csv --out predicted.csv",
    "inspect": "inspect FILE",
    "inspect rows": "inspect FILE --explain new.csv --json",
    "report": "report FILE --out report.html",
    "report on data": "report FILE --data new.csv",
    "export python": "export FILE m.py",
    "export C": "export FILE m.h",
    "export onnx": "export FILE m.onnx",
    "diff from": "diff FILE good.netloom",
    "diff to": "diff good.netloom FILE --table new.csv",
    "refine": "refine FILE new.csv --until steps=1 --quiet",
    "update": "update FILE new.csv --table new.csv --quiet",
    "fit over it": "fit new.csv --target y --out FILE --no-baselines --quiet",
}


def files(folder):
    """Every file below a folder: its name, bytes and mode."""
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mode) for p in Path(folder).rglob("*") if p.is_file()}


@pytest.fixture(scope="session")
def woven(make_network, tmp_path_factory):
    """good.netloom (values), classes.netloom (three classes) and the rows they were made from, new.csv."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, kind in (("good", "regression"), ("classes", "classification")):
        network, frame = make_network(kind, neurons=2, n=80)
        replace(network, metrics=METRICS).save(folder / f"{name}.netloom")
        if name == "good":
            frame.to_csv(folder / "new.csv", index=False)
    return folder


@pytest.fixture
def place(woven, tmp_path, monkeypatch):
    """The current folder: a copy of ``woven`` that a test may spoil."""
    for path in woven.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(place):
    """Run a command that must fail: one line on standard error that starts with ``netloom:``, no output, no file touched."""

    def run(*words, codes=(2, 3, 4), input=None):
        before = files(place)
        result = CliRunner().invoke(app(), [str(word) for word in words], input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        assert result.exit_code in codes, f"{result.exit_code}: {result.output}"
        assert result.stderr.startswith("netloom: ") and result.stderr.endswith("\n") and result.stderr.count("\n") == 1, result.stderr
        assert len(result.stderr) < 520 and result.stdout == "" and "Traceback" not in result.stderr, result.output
        assert files(place) == before
        return result.stderr

    return run


@pytest.fixture
def survives(place):
    """Run a command that may fail or not: if it fails, then in one line and without a trace of it in the folder."""

    def run(*words, input=None):
        before = files(place)
        result = CliRunner().invoke(app(), [str(word) for word in words], input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        if result.exit_code:
            assert result.exit_code in (2, 3, 4) and result.stderr.startswith("netloom: ") and result.stderr.count("\n") == 1, result.output
            assert files(place) == before
        return result

    return run


def app():
    from netloom.cli import app

    return app


def pytest_generate_tests(metafunc):
    """A test that takes ``command`` runs with every command that reads a network."""
    if "command" in metafunc.fixturenames:
        metafunc.parametrize("command", list(COMMANDS))


@pytest.fixture
def on():
    """The words of a command of `COMMANDS`, with its file in place."""
    return lambda command, path: [os.fspath(path) if word == "FILE" else word for word in COMMANDS[command].split()]


@pytest.fixture
def commands():
    return list(COMMANDS)
