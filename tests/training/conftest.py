"""Runs so small that a step takes milliseconds."""

import pytest

from netloom.training.settings import Settings

TINY = {
    **{"width": 16, "neurons": 2, "copies": 2, "work": 2.0, "groups": 2, "rows": (10, 30), "columns": (1, 5), "outputs": (2, 3)},
    **{"queries": 8, "validation": 3, "warmup": 2, "blocks": (2, 3), "log_every": 2, "save_every": 3, "validate_every": 4},
    **{"rounds": 2, "device": "cpu"},
}


@pytest.fixture(autouse=True)
def no_plot(request, monkeypatch):
    """A plot takes longer than a tiny run: only the test of the plot draws one."""
    if "plot" not in request.node.name:
        monkeypatch.setattr("netloom.training.log.plot_run", lambda folder: None)


@pytest.fixture
def tiny(tmp_path):
    """Settings of a tiny run in a folder of its own; keywords change them."""

    def make(**changes):
        return Settings(**{**TINY, "out": str(tmp_path / "run"), "steps": 0 if "minutes" in changes else 6, **changes})

    return make
