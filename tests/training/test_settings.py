"""Settings refuse what cannot be, in one line that names the key."""

import dataclasses
from pathlib import Path

import pytest

from netloom.errors import ConfigError, FileError
from netloom.training.__main__ import parse_changes
from netloom.training.schedule import learning_rate, progress
from netloom.training.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "content, message",
    [
        ({"stepz": 5}, "stepz: no such setting; did you mean steps?"),
        ({}, "steps, minutes: give exactly one"),
        ({"steps": 5, "minutes": 1}, "steps, minutes: give exactly one"),
        ({"steps": -5}, "give exactly one"),
        ({"steps": 5, "rows": [10, 5]}, r"rows = \[10, 5\]: must rise"),
        ({"steps": 5, "rows": [1, 5]}, "between 5 and"),
        ({"steps": 5, "rows": 10}, "rows = 10: must be two numbers"),
        ({"steps": 5, "columns": [0, 5]}, "columns"),
        ({"steps": 5, "outputs": [1, 5]}, "outputs"),
        ({"steps": 5, "lr": float("nan")}, "lr = nan: must be between"),
        ({"steps": 5, "lr": "fast"}, "lr = 'fast': must be a number"),
        ({"steps": 5.5}, "steps = 5.5: must be a whole number"),
        ({"steps": True}, "steps = True: must be a whole number"),
        ({"steps": 5, "mixed": 1}, "mixed = 1: must be true or false"),
        ({"steps": 5, "schedule": "sine"}, "schedule = 'sine': must be one of cosine"),
        ({"steps": 5, "device": "tpu"}, "device = 'tpu'"),
        ({"steps": 5, "half": 1}, "half = 1: says which half"),
        ({"steps": 5, "width": 60}, "width = 60: must be a multiple of 8"),
    ],
)
def test_impossible_settings_are_refused(content, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Settings.from_dict(content)
    assert "\n" not in str(caught.value)


def test_the_example_is_valid_and_every_key_is_explained():
    assert Settings.from_toml(ROOT / "examples" / "pretrain.toml").minutes == 60
    page = (ROOT / "docs" / "pretrain.md").read_text()
    missing = [field.name for field in dataclasses.fields(Settings) if f"`{field.name}`" not in page]
    assert not missing


@pytest.mark.parametrize("content, message", [(None, "cannot be read"), ("steps = ", "is not TOML"), (b"\xff\xfe", "is not TOML")])
def test_a_file_that_is_no_toml(tmp_path, content, message):
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileError, match=message):
        Settings.from_toml(path)


def test_changes_are_toml_values_or_bare_text():
    given = parse_changes(["lr=1e-4", "rows=[24,640]", "out=a/b c", "mixed=true"])
    assert given == {"lr": 1e-4, "rows": [24, 640], "out": "a/b c", "mixed": True}
    with pytest.raises(ConfigError, match="must be KEY=VALUE"):
        parse_changes(["lr"])


@pytest.mark.parametrize("schedule, middle", [("cosine", 0.5), ("linear", 0.5), ("constant", 1.0)])
def test_the_rate_warms_up_and_falls(schedule, middle):
    settings = Settings(steps=1000, lr=0.1, last_lr=0.0, warmup=10, schedule=schedule)
    assert learning_rate(settings, 0, 0.0) == pytest.approx(0.01, rel=1e-3)
    assert learning_rate(settings, 500, 0.0) == pytest.approx(0.1 * middle)
    assert learning_rate(settings, 1000, 0.0) == pytest.approx(0.1 if schedule == "constant" else 0.0)
    assert progress(Settings(minutes=2), 7, 60.0) == 0.5
