"""The command line as a process: standard input and output, closed pipes, interrupts, and what it imports."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import netloom

DATA = Path(netloom.__file__).parent / "data" / "penguins.csv"
NETLOOM = [sys.executable, "-m", "netloom.cli"]
FAST = ["--no-baselines", "--quiet"]


@pytest.fixture(scope="module")
def penguins(tmp_path_factory):
    """A network woven from standard input."""
    folder = tmp_path_factory.mktemp("process")
    with open(DATA, "rb") as file:
        words = [*NETLOOM, "fit", "-", "--target", "species", "--out", "penguins.netloom", *FAST]
        run = subprocess.run(words, stdin=file, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr == "", run.stderr
    return folder / "penguins.netloom"


def test_predict_from_stdin_to_stdout_without_torch(penguins):
    code = "import sys; from netloom.cli import app; app(sys.argv[1:], standalone_mode=False); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code, "predict", str(penguins), "-"], input=DATA.read_bytes(), capture_output=True)
    lines = run.stdout.decode().splitlines()
    assert run.returncode == 0 and run.stderr == b"", run.stderr
    assert len(lines) == 346 and lines[0].startswith("species,chance of Adelie") and lines[-1] == "False"


def test_a_closed_pipe_is_quiet(penguins):
    run = subprocess.Popen([*NETLOOM, "predict", str(penguins), str(DATA)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run.stdout.close()
    assert run.stderr.read() == b"" and run.wait() == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_behind_stdout_is_one_line(penguins):
    with open("/dev/full", "w") as full:
        run = subprocess.run([*NETLOOM, "predict", str(penguins), str(DATA)], stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 4 and run.stderr == "netloom: output: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_ends_with_one_line_and_no_file(tmp_path):
    words = [*NETLOOM, "fit", "-", "--target", "species", "--out", "m.netloom"]
    pipes: dict = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs, and their children, do not hear it
    run = subprocess.Popen(words, **pipes, cwd=tmp_path, text=True, preexec_fn=heard)
    assert run.stdin is not None
    run.stdin.write("mass,species\n" + "1,a\n" * 50_000)  # more than a pipe holds: once this is written, the table is being read
    run.stdin.flush()
    run.send_signal(signal.SIGINT)
    out, said = run.communicate(timeout=60)
    assert run.returncode == 130 and out == "" and said == "netloom: interrupted; nothing was written\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(word):
    code = f"""
import sys
from netloom.cli import app
app([{word!r}], standalone_mode=False)
print(*[name for name in ("torch", "pandas", "numpy", "sklearn", "scipy", "pyarrow", "safetensors") if name in sys.modules])"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == ""
