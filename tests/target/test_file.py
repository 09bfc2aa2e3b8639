"""The file: what goes in comes out, the same bytes for the same content, and every way to abuse it is one clear line."""

import errno
import io
import json
import os
import pickle
import stat
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from netloom.errors import FileError
from netloom.target import file
from netloom.target.file import read, write

TENSORS = {
    "w1": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.array([0.5, -1.0]),
    "codes": np.array([[1, 2], [3, 4]], dtype=np.int64),
    "half": np.array([1.5], dtype=np.float16),
    "bytes": np.array([0, 255], dtype=np.uint8),
    "nothing": np.zeros((0, 3), dtype=np.float32),
    "one": np.array(3, dtype=np.int32),
}
HEADER = {"kind": "classification", "labels": ["a", 'ä\n"[{', None], "deep": {"x": [1, 2.5, True]}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.netloom"


@pytest.fixture
def good(path):
    write(path, TENSORS, HEADER)
    return path


def forge(path, header, body=b""):
    """A file with this safetensors header."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + body)


def document(**more):
    return {"__metadata__": {"netloom": json.dumps({"format": 1, **more})}}


def refused(path, **options):
    """The one line with which a file is refused."""
    with pytest.raises(FileError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    assert message.startswith(str(path)) or not str(path).isprintable()
    return message


def test_what_is_written_is_read(good):
    tensors, header = read(good)
    assert header == {**HEADER, "format": 1}
    assert list(tensors) == sorted(TENSORS)
    for name, array in TENSORS.items():
        assert tensors[name].dtype == array.dtype and tensors[name].shape == array.shape
        np.testing.assert_array_equal(tensors[name], array)
        assert tensors[name].flags.writeable or array.size == 0


def test_safetensors_itself_reads_the_file(good):
    loaded = load_safetensors(good.read_bytes())
    np.testing.assert_array_equal(loaded["w1"], TENSORS["w1"])


def test_same_content_gives_the_same_bytes(good, tmp_path):
    again = tmp_path / "again.netloom"
    write(again, dict(reversed(TENSORS.items())), dict(reversed(HEADER.items())))
    assert again.read_bytes() == good.read_bytes()


def test_layout_in_memory_does_not_matter(path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    write(path, {"t": array.T, "s": array[:, ::2], "big": array.astype(">f4")}, {})
    tensors, _ = read(path)
    np.testing.assert_array_equal(tensors["t"], array.T)
    np.testing.assert_array_equal(tensors["s"], array[:, ::2])
    np.testing.assert_array_equal(tensors["big"], array)


def test_no_tensors_and_no_header_are_a_file(path):
    write(path, {}, {})
    assert read(path) == ({}, {"format": 1})


def test_newer_format_says_upgrade(path):
    forge(path, {"__metadata__": {"netloom": '{"format": 2}'}})
    assert refused(path) == f"{path}: written by a newer netloom (format 2, this one reads 1); upgrade netloom"


@pytest.mark.parametrize("wrong", ["0", "-1", "true", "1.0", '"1"', "null", "[1]"])
def test_format_must_be_a_positive_integer(path, wrong):
    forge(path, {"__metadata__": {"netloom": f'{{"format": {wrong}}}'}})
    assert "not a positive integer" in refused(path)


def test_empty_file(path):
    path.write_bytes(b"")
    assert "is empty" in refused(path)


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", b"x" * 100)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content, looks",
    [
        (pickle.dumps({"w": [1.0] * 100}), "pickle"),
        (pickle.dumps({}, protocol=2), "pickle"),
        (zipped(), "zip archive"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.0.1" + b"\0" * 100, "ONNX"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "HDF5"),
        (b"PAR1" + b"\0" * 100, "parquet"),
        (b"\x1f\x8b\x08" + b"\0" * 100, "gzip"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b'{"age": 3}', "JSON"),
        (b"age,sex\n3,male\n", "text"),
        ("größe;alter\n1;2\n".encode(), "text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_file_given_by_mistake_is_recognised(path, content, looks):
    path.write_bytes(content)
    assert looks in refused(path)


def test_random_bytes_are_refused(path):
    path.write_bytes(bytes(range(128, 256)))
    assert "not a .netloom file" in refused(path)


def test_someone_elses_safetensors_file(path):
    path.write_bytes(save_safetensors({"w": np.zeros(3, np.float32)}, metadata={"format": "pt"}))
    assert "not netloom's" in refused(path)


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**31, 2**63, 2**64 - 1])
def test_forged_header_length(good, length):
    data = good.read_bytes()
    good.write_bytes(length.to_bytes(8, "little") + data[8:])
    assert "damaged" in refused(good)


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "entries, body, why",
    [
        ({"w": {**F32, "dtype": "BF16"}}, bytes(8), "type"),
        ({"w": {**F32, "dtype": ["F32"]}}, bytes(8), "type"),
        ({"w": {**F32, "shape": [3]}}, bytes(8), "fill"),
        ({"w": {**F32, "shape": [-2]}}, bytes(8), "shape"),
        ({"w": {**F32, "shape": [2.0]}}, bytes(8), "shape"),
        ({"w": {**F32, "shape": [True, 2]}}, bytes(8), "shape"),
        ({"w": {**F32, "shape": "2"}}, bytes(8), "shape"),
        ({"w": {**F32, "shape": [2**61, 0], "data_offsets": [0, 0]}}, b"", "shape"),
        ({"w": {**F32, "shape": [1] * 9 + [2]}}, bytes(8), "shape"),
        ({"w": {**F32, "data_offsets": [0, 9]}}, bytes(8), "outside"),
        ({"w": {**F32, "data_offsets": [8, 0]}}, bytes(8), "outside"),
        ({"w": {**F32, "data_offsets": [0]}}, bytes(8), "outside"),
        ({"w": {**F32, "data_offsets": [-8, 0]}}, bytes(8), "outside"),
        ({"w": {"dtype": "F32"}}, bytes(8), "entry"),
        ({"w": 3}, bytes(8), "entry"),
        ({"w": F32}, bytes(12), "follow"),
        ({"v": F32, "w": F32}, bytes(8), "overlap"),
        ({"w": {**F32, "data_offsets": [4, 12]}}, bytes(12), "gaps"),
    ],
)
def test_inconsistent_tensors_are_refused(path, entries, body, why):
    forge(path, {**document(), **entries}, body)
    message = refused(path)
    assert why in message and "damaged or forged" in message


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a',
        b"{}x",
        b'{"__metadata__": {"netloom": "{\\"format\\": NaN}"}}',
        b'{"__metadata__": {"netloom": "{\\"format\\": 1, \\"x\\": 1e999}"}}',
        b'{"__metadata__": {"netloom": "{\\"format\\": 1, \\"format\\": 2}"}}',
        b'{"__metadata__": {"netloom": "\\ud800"}}',
        b'{"__metadata__": {"netloom": "[1]"}}',
        b'{"__metadata__": {"netloom": "' + b"[" * 100_000 + b'"}}',
        b'{"a":' * 100_000,
        b'{"__metadata__": {"netloom": "{\\"format\\": ' + b"9" * 10_000 + b'}"}}',
        b'{"\xff": 1}',
    ],
)
def test_bad_json_is_refused(path, raw):
    forge(path, raw)
    assert "damaged or forged" in refused(path)


def test_brackets_in_text_are_not_depth(path):
    write(path, {}, {"label": "[" * 1000 + '"\\' + "{" * 1000})
    assert read(path)[1]["label"].startswith("[[[")


def test_too_large_is_refused_and_the_limit_said(good):
    message = refused(good, max_bytes=100)
    assert "larger than the limit of 100 bytes" in message
    good.write_bytes(b"x")
    os.truncate(good, file.MAX_BYTES + 1)
    assert "64 MiB" in refused(good)
    with pytest.raises(FileError, match="more than the limit of 1 MiB"):
        write(good, {"w": np.zeros(2**18, np.float32)}, {}, max_bytes=2**20)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(path, number):
    with pytest.raises(FileError, match="tensor 'w2' holds NaN or infinite"):
        write(path, {"w1": np.zeros(2), "w2": np.array([0.0, number])}, {})
    assert not path.exists()
    path.write_bytes(save_safetensors({"w2": np.array([number])}, metadata={"netloom": '{"format": 1}'}))
    assert "tensor 'w2' holds NaN or infinite" in refused(path)


@pytest.mark.parametrize(
    "tensors, header, why",
    [
        ({"w": np.array(["a"])}, {}, "type"),
        ({"w": np.array([1j])}, {}, "type"),
        ({"w": np.array([None])}, {}, "type"),
        ({"w": np.array([True])}, {}, "type"),
        ({}, {"x": {1, 2}}, "JSON"),
        ({}, {"x": float("nan")}, "JSON"),
        ({}, {"x": np.float32(1)}, "JSON"),
    ],
)
def test_what_cannot_be_stored_is_refused(path, tensors, header, why):
    with pytest.raises(FileError, match=why):
        write(path, tensors, header)
    assert list(path.parent.iterdir()) == []


def test_deep_header_is_refused_when_writing(path):
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(FileError, match="nested deeper"):
        write(path, {}, {"x": deep})
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(FileError, match="header cannot be stored"):
        write(path, {}, {"x": deep})


def test_gone_suggests_the_closest_name(good):
    wrong = good.with_name("n.netloom")
    assert refused(wrong) == f"{wrong}: no such file; did you mean {good}?"
    assert "folder" in refused(good.parent / "nowhere" / "m.netloom")
    assert "check the path" in refused(good.parent / "quite-another")


def test_folder_is_refused(tmp_path):
    assert "is a folder" in refused(tmp_path)
    with pytest.raises(FileError, match="is a folder; give a file name"):
        write(tmp_path, {}, {})


def test_pipe_is_refused_without_waiting(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "not a regular file" in refused(pipe)
    with pytest.raises(FileError, match="not a regular file"):
        write(pipe, {}, {})


def test_odd_paths_stay_on_one_line(tmp_path):
    for name in ("a\nb.netloom", "a\x00b.netloom", "a\udc80b.netloom", "x" * 5000):
        with pytest.raises(FileError) as caught:
            read(str(tmp_path / name))
        assert len(str(caught.value).splitlines()) == 1
    for name in ("a\x00b.netloom", "x" * 5000):
        with pytest.raises(FileError) as caught:
            write(str(tmp_path / name), {}, {})
        assert len(str(caught.value).splitlines()) == 1


def test_writing_into_no_folder_names_it(tmp_path):
    with pytest.raises(FileError, match="nowhere does not exist; create it first"):
        write(tmp_path / "nowhere" / "m.netloom", {}, {})


@pytest.mark.parametrize("function", ["replace", "fsync", "open", "chmod"])
@pytest.mark.parametrize("code, why", [(errno.ENOSPC, "no space left"), (errno.EACCES, "no permission"), (errno.EIO, "cannot be written")])
def test_failed_write_leaves_the_old_file_and_nothing_else(good, monkeypatch, function, code, why):
    before = good.read_bytes()

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch, pytest.raises(FileError) as caught:
        patch.setattr(f"netloom.target.file.os.{function}", fail)
        write(good, {"w": np.ones(3)}, {})
    assert why in str(caught.value) and "\n" not in str(caught.value)
    assert good.read_bytes() == before
    assert [entry.name for entry in good.parent.iterdir()] == [good.name]


def test_disk_full_in_the_middle_of_writing(good, monkeypatch):
    before = good.read_bytes()

    class Full(io.FileIO):
        def write(self, data):
            super().write(data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(FileError, match="no space left on the disk \\(needs .* bytes\\); free some"):
        patch.setattr("netloom.tasks.replacing.open", Full, raising=False)
        write(good, TENSORS, {})
    assert good.read_bytes() == before and len(list(good.parent.iterdir())) == 1


def test_interrupt_leaves_nothing(good, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    before = good.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("netloom.target.file.os.replace", interrupt)
        write(good, {}, {})
    assert good.read_bytes() == before and len(list(good.parent.iterdir())) == 1


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read and write everything")
def test_no_permission(good):
    good.chmod(0)
    assert "no permission" in refused(good)


def test_no_permission_to_read_is_said(good, monkeypatch):
    def fail(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", fail)
    assert "no permission to read it" in refused(good)


def test_mode_is_kept_and_links_are_followed(good):
    good.chmod(0o640)
    link = good.with_name("link.netloom")
    link.symlink_to(good)
    write(link, {"w": np.ones(1)}, {})
    assert link.is_symlink() and stat.S_IMODE(good.stat().st_mode) == 0o640
    assert list(read(good)[0]) == ["w"]


def test_a_new_file_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write(tmp_path / "m.netloom", {}, {})
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "m.netloom").stat().st_mode) == 0o640


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_refused_or_harmless(tmp_path, data):
    path = tmp_path / "fuzz.netloom"
    write(path, TENSORS, HEADER)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "header"]))
        if how == "flip":
            raw[at] ^= data.draw(st.integers(1, 255))
        elif how == "cut":
            del raw[at : at + data.draw(st.integers(1, 50))]
        elif how == "insert":
            raw[at:at] = data.draw(st.binary(max_size=8))
        else:
            raw[min(at, 7)] ^= data.draw(st.integers(1, 255))
        if not raw:
            break
    path.write_bytes(raw)
    try:
        tensors, header = read(path)
    except FileError as error:
        assert "\n" not in str(error)
    else:
        assert header["format"] == 1 and all(np.isfinite(array).all() for array in tensors.values())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path, raw):
    path = tmp_path / "fuzz.netloom"
    path.write_bytes(raw)
    with pytest.raises(FileError):
        read(path)


def test_every_cut_is_refused(good):
    raw = good.read_bytes()
    for size in range(len(raw)):
        good.write_bytes(raw[:size])
        refused(good)
