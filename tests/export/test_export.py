"""All formats at the door: the ending, the errors, the methods of a network, the command."""

import json
import os
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from netloom import TargetNetwork
from netloom.cli import app
from netloom.cli.export import USE
from netloom.errors import ConfigError, FileError
from netloom.export import FORMATS, export


def test_an_unknown_ending_names_those_that_are_known(make, tmp_path):
    for name in ("model.tflite", "model", ".onnx"):
        with pytest.raises(ConfigError, match=r"the ending says the format and must be one of \.onnx, \.pt2, \.keras, \.py, \.h"):
            export(make("linear").network, tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", [".py", ".h", ".onnx"])
def test_the_same_network_gives_the_same_file(make, tmp_path, ending):
    pytest.importorskip("onnx") if ending == ".onnx" else None
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        size = export(make("levels").network, tmp_path / name / f"m{ending}")
        assert size == os.path.getsize(tmp_path / name / f"m{ending}")
    assert (tmp_path / "a" / f"m{ending}").read_bytes() == (tmp_path / "b" / f"m{ending}").read_bytes()


def test_a_folder_that_does_not_exist_is_one_line(make, tmp_path):
    with pytest.raises(FileError, match="its folder .* does not exist; create it first"):
        export(make("linear").network, tmp_path / "nowhere" / "m.h")


@pytest.mark.parametrize("package, ending", [("onnx", ".onnx"), ("keras", ".keras")])
def test_a_package_that_is_not_installed_is_named(make, tmp_path, monkeypatch, package, ending):
    for name in [name for name in sys.modules if name.split(".")[0] == package or name.startswith(f"netloom.export.{package}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # what an absent package looks like
    with pytest.raises(ConfigError, match=rf"the package {package} is not installed; pip install 'netloom\[{package}\]'"):
        export(make("linear").network, tmp_path / f"m{ending}")
    assert os.listdir(tmp_path) == []


def test_methods_of_a_network_hand_it_over(make, prepared, tmp_path):
    pytest.importorskip("onnx")
    import torch

    case = make("numbers, 2 classes")
    case.network.to_onnx(tmp_path / "any name")
    assert (tmp_path / "any name").stat().st_size > 1000
    numbers, codes = (torch.tensor(x) for x in prepared(case))
    np.testing.assert_allclose(case.network.to_torch()(numbers, codes).detach(), case.expected(), atol=1e-5)


@pytest.mark.parametrize("ending", [".py", ".h"])
def test_the_command_writes_a_file_and_says_how_to_use_it(make, tmp_path, ending):
    make("pairs").network.save(tmp_path / "m.netloom")
    out = tmp_path / f"m{ending}"
    run = CliRunner().invoke(app, ["export", str(tmp_path / "m.netloom"), str(out)])
    assert run.exit_code == 0 and run.stdout.splitlines()[0] == f"{out}  {out.stat().st_size / 1000:.1f} kB"
    assert ("from m import predict" if ending == ".py" else "include it") in run.stdout
    facts = json.loads(CliRunner().invoke(app, ["export", str(tmp_path / "m.netloom"), str(out), "--json"]).stdout)
    assert facts == {"file": str(out), "format": ending, "bytes": out.stat().st_size}


def test_onnx_with_grouped_inputs_is_written_by_command_and_method_alike(make, tmp_path):
    onnx = pytest.importorskip("onnx")
    make("everything, 2 classes").network.save(tmp_path / "m.netloom")
    run = CliRunner().invoke(app, ["export", str(tmp_path / "m.netloom"), str(tmp_path / "m.onnx"), "--grouped"])
    assert run.exit_code == 0 and "numbers, texts and dates go in as one input each" in run.stdout
    assert sorted(one.name for one in onnx.load(tmp_path / "m.onnx").graph.input) == ["dates", "numbers", "texts"]
    TargetNetwork.load(tmp_path / "m.netloom").to_onnx(tmp_path / "same.onnx", grouped=True)
    assert (tmp_path / "same.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()


def test_only_onnx_has_inputs_to_group(make, tmp_path):
    make("pairs").network.save(tmp_path / "m.netloom")
    run = CliRunner().invoke(app, ["export", str(tmp_path / "m.netloom"), str(tmp_path / "m.h"), "--grouped"])
    assert run.exit_code == 2 and run.stderr.strip() == "netloom: 'm.h': only .onnx has inputs that can be grouped; leave it out"
    assert sorted(os.listdir(tmp_path)) == ["m.netloom"]


def test_the_command_refuses_to_write_over_what_it_reads_and_unknown_endings(make, tmp_path):
    make("pairs").network.save(tmp_path / "m.py")
    run = CliRunner().invoke(app, ["export", str(tmp_path / "m.py"), str(tmp_path / "m.py")])
    assert run.exit_code == 2 and "is what is read; give another name" in run.stderr
    assert TargetNetwork.load(tmp_path / "m.py").classes is not None
    run = CliRunner().invoke(app, ["export", str(tmp_path / "m.py"), str(tmp_path / "m.exe")])
    assert run.exit_code == 2 and f"must be one of {', '.join(FORMATS)}" in run.stderr


def test_every_format_says_how_to_use_its_file():
    assert list(USE) == list(FORMATS)
    assert not [text for text in USE.values() if "{" in text.format(stem="m", name="m.py").replace('{"', "")]
