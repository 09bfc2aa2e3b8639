"""Model files that are cut, forged, too large, from elsewhere: every command and the library refuse them in one line."""

import copy
import json
import os
import struct

import numpy as np
import pytest
from safetensors.numpy import save as to_safetensors

from netloom import NetworkHandle, TargetNetwork
from netloom.errors import FileError
from netloom.target import file

DELETED = object()


def not_loaded(path):
    """The line with which a network is refused."""
    with pytest.raises(FileError) as caught:
        TargetNetwork.load(path)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 600 and os.path.basename(path) in said
    with pytest.raises(FileError):
        NetworkHandle(path)
    return said


def change(content, path, value):
    """A copy of a JSON value with the entry at ``path`` replaced, or deleted."""
    content = copy.deepcopy(content)
    at = content
    for step in path[:-1]:
        at = at[step]
    if value is DELETED:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return content


def forge(source, target, *, tensors=None, header=None):
    """Write ``source`` again with other tensors or entries, past every check of our own writer."""
    old, document = file.read(source)
    old = {name: value for name, value in (old | (tensors or {})).items() if value is not DELETED}
    document = document if header is None else change(document, *header)
    target.write_bytes(to_safetensors(old, metadata={"netloom": json.dumps(document)}))
    return target


# ------------------------------------------------------------------------------------------ every command, every kind of damage


def whole(raw):
    return len(raw) // 2


DAMAGE = {
    "empty": lambda raw: b"",
    "cut in the header": lambda raw: raw[:300],
    "cut in the numbers": lambda raw: raw[:-5],
    "longer": lambda raw: raw + b"\0",
    "another header length": lambda raw: struct.pack("<Q", 2**63) + raw[8:],
    "newer": lambda raw: raw.replace(rb"\"format\":1,\"kind", rb"\"format\":7,\"kind"),
    "NaN weights": lambda raw: raw[:-8] + b"\xff" * 8,
    "pickle": lambda raw: b"\x80\x04\x95\x00cos\nsystem\n(S'id'\ntR.",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_command_refuses_a_damaged_network(command, damage, place, refused, on):
    raw = (place / "good.netloom").read_bytes()
    spoiled = DAMAGE[damage](raw)
    assert spoiled != raw
    (place / "bad.netloom").write_bytes(spoiled)
    said = refused(*on(command, "bad.netloom"), codes=(4,))
    assert "bad.netloom" in said


def test_every_command_refuses_a_name_that_is_none(command, refused, on):
    if command == "fit over it":
        pytest.skip("there it is the name of a new file")
    assert "no such file; did you mean good.netloom?" in refused(*on(command, "goood.netloom"), codes=(4,)) or command == "report"


def test_every_command_refuses_a_folder(command, place, refused, on):
    (place / "folder.netloom").mkdir()
    assert "is a folder" in refused(*on(command, "folder.netloom"), codes=(4,))


def test_every_command_refuses_a_pipe_without_waiting(command, place, refused, on):
    os.mkfifo(place / "pipe.netloom")
    refused(*on(command, "pipe.netloom"), codes=(2, 4))


@pytest.mark.parametrize("share", np.linspace(0, 0.999, 40).round(3).tolist())
def test_a_cut_network_is_refused(woven, tmp_path, share):
    raw = (woven / "good.netloom").read_bytes()
    path = tmp_path / "cut.netloom"
    path.write_bytes(raw[: int(share * len(raw))])
    not_loaded(path)


def test_a_file_larger_than_any_network_is_refused_before_it_is_read(place, refused):
    with open(place / "huge.netloom", "wb") as huge:
        huge.truncate(200 * 2**30)  # a hole: takes no space, and 200 GB if it were read
    os.rename(place / "huge.netloom", place.parent / f"{place.name}.huge.netloom")
    path = place.parent / f"{place.name}.huge.netloom"
    try:
        assert "larger than the limit of 64 MiB" in refused("inspect", path, codes=(4,))
        assert "larger than the limit of 64 MiB" in not_loaded(path)
    finally:
        path.unlink()


# ------------------------------------------------------------------------------------------ tensors that do not belong together

TENSORS = [
    "readout", "intercept", "centre", "scale", "view0.columns", "view0.centre", "view0.scale", "view0.many", "view0.thresholds",
    "view1.knots", "view1.heights", "layer0.weight", "layer0.bias", "layer2.onto", "reference.latent", "reference.quantiles",
    "reference.distances",
]  # fmt: skip
WAYS = {
    "absent": lambda a: DELETED,
    "one number": lambda a: np.zeros((), a.dtype),
    "nothing": lambda a: np.zeros((0, *a.shape[1:]), a.dtype),
    "longer": lambda a: np.concatenate([a, a[-1:]]),
    "shorter": lambda a: a[:-1],
    "another axis": lambda a: a[..., None],
    "NaN": lambda a: np.full(a.shape, np.nan, np.float32),
    "infinite": lambda a: np.full(a.shape, np.inf, np.float32),
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("way", WAYS)
def test_a_tensor_that_does_not_fit_is_refused(woven, tmp_path, name, way):
    tensors, _ = file.read(woven / "good.netloom")
    if name == "reference.latent" and way == "absent":
        pytest.skip("a network may have no summary of its rows")
    not_loaded(forge(woven / "good.netloom", tmp_path / "bad.netloom", tensors={name: WAYS[way](tensors[name])}))


@pytest.mark.parametrize(
    "tensors",
    [
        {"view0.columns": np.full(11, 99, np.int32)},
        {"view0.columns": np.full(11, -1, np.int32)},
        {"view0.many": np.array([99], np.int32)},
        {"view0.columns": np.arange(11, dtype=np.int32)[::-1]},
        {"view0.columns": np.zeros(11, np.int32)},
        {"view1.many": np.zeros(10, np.int32)},
        {"extra.variance": np.zeros((3, 3), np.float32)},
        {"extra.code": np.zeros(3, np.float32)},
        {"extra.interval_quantiles": np.zeros((3, 1), np.float32)},
    ],
    ids=[
        "no such column",
        "column -1",
        "bends no column",
        "columns backwards",
        "a column eleven times",
        "bends a column ten times",
        "variance of another",
        "unknown",
        "quantiles of another",
    ],
)
def test_tensors_with_impossible_numbers_are_refused(woven, tmp_path, tensors):
    not_loaded(forge(woven / "good.netloom", tmp_path / "bad.netloom", tensors=tensors))


@pytest.mark.parametrize("number", [0.0, -1.0])
@pytest.mark.parametrize("name", ["view0.scale", "view1.scale"])
def test_a_scale_that_is_not_above_zero_is_refused(woven, tmp_path, name, number):
    tensors, _ = file.read(woven / "good.netloom")
    not_loaded(forge(woven / "good.netloom", tmp_path / "bad.netloom", tensors={name: tensors[name] * 0 + number}))


# ------------------------------------------------------------------------------------------ entries of the document

ENTRIES = [
    ("kind",), ("classes",), ("target_names",), ("views",), ("layers",), ("schema",), ("architecture",), ("metrics",), ("provenance",),
    ("schema", "columns"), ("schema", "named"), ("schema", "format"), ("schema", "columns", 0), ("schema", "columns", 0, "kind"),
    ("schema", "columns", 0, "fill"), ("schema", "columns", 0, "low"), ("schema", "columns", 3, "levels"),
    ("views", 0), ("views", 0, "cells"), ("layers", 0), ("layers", 0, "view"), ("layers", 2, "earlier"),
    ("architecture", "members", 0), ("architecture", "members", 0, "weight"), ("metrics", "accuracy"), ("metrics", "accuracy_se"),
    ("metrics", "calibration"), ("metrics", "calibration", "chances"), ("metrics", "calibration", "coverage", 0),
]  # fmt: skip


OPEN = [("architecture",), ("metrics",), ("provenance",), ("metrics", "calibration")]  # later versions may say more in them


@pytest.mark.parametrize("value", [[[]], {"a": {}}, "x", 10**400], ids=["list", "object", "text", "huge"])
@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: ".".join(map(str, path)))
def test_an_entry_of_another_kind_is_refused(woven, tmp_path, path, value):
    if path in OPEN and isinstance(value, dict):
        value = [value]
    not_loaded(forge(woven / "good.netloom", tmp_path / "bad.netloom", header=(path, value)))


@pytest.mark.parametrize("name", ["kind", "classes", "target_names", "views", "layers", "schema", "architecture", "metrics", "provenance"])
def test_an_absent_entry_is_refused(woven, tmp_path, name):
    not_loaded(forge(woven / "good.netloom", tmp_path / "bad.netloom", header=((name,), DELETED)))


@pytest.mark.parametrize(
    "path, value, why",
    [
        (("architecture", "head"), "tree", "its readout is none of"),
        (("architecture", "head"), ["svm"], "its readout is none of"),
        (("architecture", "members"), [{"family": "cells"}], "not described by family, penalty and weight"),
        (("architecture", "members", 0, "penalty"), "5", "not described by family, penalty and weight"),
        (("architecture", "blocks"), 0, "how many blocks"),
        (("architecture", "blocks"), 10**9, "how many blocks"),
        (("architecture", "control"), 3, "its control"),
        (("provenance", "version"), "2", "its version is not a whole number"),
        (("provenance", "version"), -1, "its version is not a whole number"),
        (("provenance", "seed"), 0.5, "its seed is not a whole number"),
        (("provenance", "rewoven"), 2**80, "its rewoven is not a whole number"),
        (("metrics", "temperature"), None, "its temperature is not a number"),
        (("metrics", "log_loss"), 10**400, "its log_loss is not a number"),
        (("metrics", "log_loss_se"), True, "its log_loss is not a number"),
        (("metrics", "calibration", "how"), DELETED, "its calibration is not readable"),
        (("metrics", "calibration", "chances", 0, 1), "x", "its calibration is not readable"),
        (("target_names",), ["a", "b"], "has shape"),
        (("kind",), "classification", "classes do not fit the kind"),
        (("classes",), {"dtype": "object", "values": [{"os": "system"}, 1]}, "classes: the values"),
        (("layers", 0, "view"), 5, "reads a view that does not exist"),
        (("layers", 0, "earlier"), [0], "reads layers that come later"),
        (("layers", 2, "earlier"), [0, 0], "reads a layer twice"),
        (("schema", "columns", 0, "low"), 1e300, "entry 'low' holds"),
        (("schema", "columns", 0, "kind"), "__class__", "is not one of"),
        (("schema", "columns", 6, "zone"), "../../../etc/passwd", "schema: column 6"),
        (("schema", "columns", 6, "zone"), "Nowhere/No", "schema: column 6"),
    ],
)
def test_a_forged_entry_is_named(woven, tmp_path, path, value, why):
    assert why in not_loaded(forge(woven / "good.netloom", tmp_path / "bad.netloom", header=(path, value)))


@pytest.mark.parametrize(
    "path, value",
    [
        (("metrics", "calibration", "chances"), [[1, 2]]),
        (("metrics", "accuracy"), "high"),
        (("architecture", "members"), {"family": "cells"}),
        (("provenance", "version"), [1]),
        (("schema", "columns", 0, "name"), None),
        (("classes", "values"), ["a", "a", "b"]),
    ],
)
def test_every_command_names_a_forged_entry(command, place, refused, on, path, value):
    forge(place / "classes.netloom", place / "bad.netloom", header=(path, value))
    refused(*on(command, "bad.netloom"), codes=(4,))


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "\x1b[31mred", "[bold]x[/bold]", "../../x", "a\nb\r\nc", "%s%n{0}", "x" * 10_000]
)
@pytest.mark.parametrize(
    "path", [("architecture", "why"), ("schema", "columns", 0, "name"), ("target_names", 0), ("provenance", "created")]
)
def test_text_from_a_file_is_only_text(place, survives, path, text):
    forge(place / "good.netloom", place / "odd.netloom", header=(path, text))
    assert survives("inspect", "odd.netloom").exit_code == 0
    assert survives("report", "odd.netloom", "--out", "r.html").exit_code == 0
    page = (place / "r.html").read_text()
    assert "<script>alert(1)" not in page


def test_what_a_network_does_not_say_is_left_out(place, survives):
    for part in ("architecture", "metrics", "provenance"):
        forge(place / "classes.netloom", place / "bare.netloom", header=((part,), {}))
        for words in ("inspect bare.netloom", "report bare.netloom --out r.html", "diff bare.netloom classes.netloom"):
            assert survives(*words.split()).exit_code == 0
    forge(place / "classes.netloom", place / "bare.netloom", header=(("metrics", "accuracy_se"), DELETED))
    assert "accuracy 0.8000 +- nan" in survives("inspect", "bare.netloom").stdout
