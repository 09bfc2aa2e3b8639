"""Two processes make the gradient of one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from netloom.training import trainer
from netloom.training.trainer import pretrain

ROOT = Path(trainer.__file__).parents[2]


def start(config, count):
    """Processes as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    command = [sys.executable, "-m", "netloom.training", str(config)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen(command, env={**shared, "RANK": str(rank)}, **pipes) for rank in range(count)]


def write(settings, path):
    path.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.to_dict().items()))
    return path


@pytest.mark.slow  # two starts of torch
def test_two_processes_give_the_gradient_of_one(tiny, tmp_path):
    alone = tiny(steps=1, out=str(tmp_path / "alone"), warmup=0)
    together = tiny(steps=1, out=str(tmp_path / "together"), warmup=0)
    pretrain(alone, lambda line: None)
    processes = start(write(together, tmp_path / "c.toml"), 2)
    said = [process.communicate(timeout=900) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "done at step 1" in said[0][0] and said[1][0] == ""  # only the first speaks
    one, two = (load_file(Path(settings.out) / "run.safetensors") for settings in (alone, together))
    left_out = 0
    for key in one:  # after one step the first moment is 0.1 of the gradient
        own, other = one[key].numpy(), two[key].numpy()
        name = key.partition("/")[2]
        if key.startswith(("loom/", "average/")) and f"first/{name}" in one:
            # a step divides the gradient by its own size: where that is the rounding of a sum, so is the step
            first = np.abs(one[f"first/{name}"].numpy())
            rounding = (first > 0) & (first < 1e-8)
            left_out += int(rounding.sum())
            own, other = own[~rounding], other[~rounding]
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-8, err_msg=key)
    moments = [value for key, value in two.items() if key.startswith("first/")]
    assert left_out < 0.02 * sum(value.numel() for value in moments)
    assert sum(float(value.abs().sum()) for value in moments) > 0
    reports = [json.loads((Path(settings.out) / "run.json").read_text())["state"]["tasks"] for settings in (alone, together)]
    assert reports[0] == reports[1]


@pytest.mark.slow
def test_a_lost_process_ends_the_other_with_one_line(tiny, tmp_path):
    settings = tiny(steps=100_000)
    processes = start(write(settings, tmp_path / "c.toml"), 2)
    report = Path(settings.out) / "run.json"
    while not report.exists():
        assert all(process.poll() is None for process in processes)
    processes[1].kill()
    _, said = processes[0].communicate(timeout=900)
    assert processes[0].returncode == 1
    assert [line for line in said.splitlines() if line.startswith("netloom:")][0].startswith("netloom: a process of this run was lost")
    assert load_file(Path(settings.out) / "run.safetensors")
