"""The loop: it learns, resumes exactly, skips what is not finite, stops when asked, writes what it says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from netloom.errors import FileError, NotWovenError
from netloom.training import trainer
from netloom.training.__main__ import main
from netloom.training.plot import read_log
from netloom.training.trainer import Trainer, pretrain

ROOT = Path(trainer.__file__).parents[2]


def silent(line):
    pass


def tensors(folder):
    return load_file(Path(folder) / "run.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_training_lowers_the_loss_of_tasks_not_seen(tiny):
    settings = tiny(steps=120, groups=1, lr=5e-3, validate_every=1000, save_every=1000, validation=8, ema=0.8)
    run = Trainer(settings, silent)
    before = run.validation.scores(run.loom)["loss"]
    assert run.run().validation["loss"] < before - 0.02


def test_a_run_that_was_cut_goes_on_exactly(tiny, tmp_path, monkeypatch):
    whole = tiny(steps=8, out=str(tmp_path / "whole"))
    pretrain(whole, silent)
    cut = tiny(steps=8, out=str(tmp_path / "cut"))
    update = Trainer.update

    def power_fails(self, *rest):
        if self.state.step == 5:  # the last checkpoint is that of step 3
            raise SystemExit
        update(self, *rest)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Trainer, "update", power_fails)
        pretrain(cut, silent)
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["state"]["step"] == 3
    state = pretrain(cut, silent)
    assert state.step == 8 and same(tensors(whole.out), tensors(cut.out))
    steps = [event["step"] for event in read_log(tmp_path / "cut") if event["event"] == "step"]
    assert steps == [2, 4, 6, 8]


@pytest.mark.slow
def test_a_killed_process_goes_on_exactly(tiny, tmp_path):
    from dataclasses import replace

    whole = tiny(steps=150, out=str(tmp_path / "whole"))
    pretrain(whole, silent)
    settings = replace(whole, out=str(tmp_path / "killed"))
    config = tmp_path / "c.toml"
    config.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.to_dict().items()))
    command = [sys.executable, "-m", "netloom.training", str(config)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    report = tmp_path / "killed" / "run.json"
    while not report.exists() or json.loads(report.read_text())["state"]["step"] < 12:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert json.loads(report.read_text())["state"]["step"] < 150
    pretrain(settings, silent)
    assert same(tensors(whole.out), tensors(settings.out))


@pytest.mark.parametrize("how", ["raises", "nan"])
def test_batches_that_are_not_finite_are_left_out_and_counted(tiny, monkeypatch, how):
    given = trainer.query_losses
    calls = []

    def sometimes(loom, *rest):
        calls.append(1)
        losses = given(loom, *rest)
        if len(calls) % 3:
            return losses
        if how == "raises":
            raise NotWovenError("singular")
        return losses * float("nan")

    monkeypatch.setattr(trainer, "query_losses", sometimes)
    settings = tiny(steps=6)
    state = pretrain(settings, silent)
    assert state.step == 6 and state.skipped_groups == 4 and state.skipped_steps == 0
    assert all(torch.isfinite(value).all() for value in tensors(settings.out).values())


def test_a_step_without_any_gradient_changes_nothing(tiny, monkeypatch):
    def never(loom, *rest):
        raise NotWovenError("singular")

    settings = tiny(steps=3, validate_every=100)
    run = Trainer(settings, silent)
    before = [w.detach().clone() for w in run.weights]
    monkeypatch.setattr(trainer, "query_losses", never)
    state = run.run()
    assert (state.skipped_steps, state.skipped_groups, state.tasks) == (3, 6, 0)
    assert all(torch.equal(w, old) for w, old in zip(run.weights, before, strict=True))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_after_the_step_at_hand_and_saves(tiny, monkeypatch, number):
    update = Trainer.update

    def interrupted(self, *rest):
        update(self, *rest)
        if self.state.step == 1:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Trainer, "update", interrupted)
    settings = tiny(steps=50)
    before = signal.getsignal(number)
    state = pretrain(settings, silent)
    assert state.step == 2 and json.loads((Path(settings.out) / "run.json").read_text())["state"]["step"] == 2
    assert read_log(Path(settings.out))[-1]["stopped"] is True
    assert signal.getsignal(number) is before
    monkeypatch.undo()
    assert pretrain(tiny(steps=4), silent).step == 4  # and goes on


def test_minutes_end_a_run(tiny):
    settings = tiny(minutes=0.005, validate_every=10**6, save_every=10**6)
    state = pretrain(settings, silent)
    assert state.seconds >= 0.3 and state.step >= 1
    again = pretrain(settings, silent)
    assert again.step == state.step  # nothing is left to do


def test_the_same_settings_give_the_same_weights_and_another_seed_others(tiny, tmp_path):
    folders = [tiny(steps=2, out=str(tmp_path / str(i)), seed=seed) for i, seed in enumerate((5, 5, 6))]
    for settings in folders:
        pretrain(settings, silent)
    first, second, third = (tensors(settings.out) for settings in folders)
    assert same(first, second) and not same(first, third)


def test_what_is_said(tiny):
    lines = []
    settings = tiny(steps=4)
    pretrain(settings, lines.append)
    assert "new run" in lines[0] and "tasks/s" in lines[1] and "left" in lines[1]
    assert "validation" in "".join(lines) and "done at step 4" in lines[-1]
    events = [json.loads(line) for line in (Path(settings.out) / "log.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["begin", "step", "step", "validation", "end"]
    assert events[1]["tasks"] > 0 and 0 < events[1]["drawing"] < 1
    assert (Path(settings.out) / "best.safetensors").exists()


def test_a_plot_is_drawn_where_matplotlib_is(tiny):
    pytest.importorskip("matplotlib")
    settings = tiny(steps=4)
    pretrain(settings, silent)
    assert (Path(settings.out) / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_an_out_that_cannot_be_made(tiny, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="cannot be made"):
        Trainer(tiny(out=str(tmp_path / "file" / "run")), silent)


BARE = """
import importlib.abc, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pandas", "scipy", "sklearn", "typer", "rich", "pyarrow", "matplotlib"):
            raise ImportError(name + " is not on this machine")
sys.meta_path.insert(0, Refuse())
from netloom.training.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow  # a process that imports everything anew
def test_it_trains_where_only_torch_numpy_and_safetensors_are(tiny, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in tiny(steps=2).to_dict().items()))

    command = [sys.executable, "-c", BARE, str(config)]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "done at step 2" in run.stdout


def test_a_mistake_is_one_line_and_an_exit_code(tmp_path, capsys):
    config = tmp_path / "c.toml"
    config.write_text("steps = 2")
    assert main([str(config), "--set", "stepz=3"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("netloom: stepz: no such setting") and said.count("\n") == 1
