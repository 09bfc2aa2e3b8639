"""The memory beside a network, cut, forged or of another network: `netloom update` refuses it in one line and touches nothing."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save as to_safetensors

from netloom import TargetNetwork, Task
from netloom.errors import FileError, NetloomError
from netloom.refine import Memory
from netloom.target import file

TENSORS = ["mean", "prior", "start", "gradient", "theta", "X", "y", "weight", "losses", "residuals", "gram", "cross"]
ENTRIES = ["memory", "features", "readouts", "head", "penalty", "factor", "pending", "rows", "woven", "dropped", "errors", "seen"]
ANY_LENGTH = ("losses", "residuals")  # of the newest rows
WAYS = {
    "absent": lambda a: None,
    "one number": lambda a: np.zeros((), a.dtype),
    "nothing": lambda a: np.zeros((0, *a.shape[1:]), a.dtype),
    "longer": lambda a: np.concatenate([a, a[-1:]]),
    "shorter": lambda a: a[:-1],
    "another axis": lambda a: a[..., None],
    "infinite": lambda a: np.full([max(length, 1) for length in a.shape], np.inf),
}
COMMAND = ("update", "good.netloom", "newest.csv", "--reweave", "never", "--quiet")


@pytest.fixture(scope="session")
def rows(woven):
    frame = pd.read_csv(woven / "new.csv", parse_dates=["day"])
    return frame[:60], frame[60:].reset_index(drop=True)


@pytest.fixture(scope="session")
def memory(woven, rows):
    """Tensors and header of good.netloom's memory."""
    begun = Memory.begin(TargetNetwork.load(woven / "good.netloom"), Task.from_frame(rows[0], target="y", kind="regression"))
    begun.save(woven.parent / "good.memory")
    return file.read(woven.parent / "good.memory")


@pytest.fixture
def beside(place, memory, rows):
    """Write a memory beside good.netloom, forged past every check of our own writer; newest.csv holds rows to add."""
    rows[1].to_csv(place / "newest.csv", index=False)

    def write(tensors=(), path=(), value=None):
        arrays = {name: array for name, array in (memory[0] | dict(tensors)).items() if array is not None}
        document = copy.deepcopy(memory[1])
        at = document
        for key in path[:-1]:
            at = at[key]
        if path:
            at[path[-1]] = value
        (place / "good.netloom.memory").write_bytes(to_safetensors(arrays, metadata={"netloom": json.dumps(document)}))
        return place / "good.netloom.memory"

    return write


def not_used(path):
    """The one line with which a memory is refused, when it is read or when it is put beside its network."""
    with pytest.raises(NetloomError) as caught:
        Memory.load(path).check(TargetNetwork.load("good.netloom"))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    return str(caught.value)


def test_the_memory_is_used_as_it_is(beside, survives):
    beside()
    assert survives(*COMMAND).exit_code == 0


@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.1, 0.5, 0.9, 0.9999])
def test_a_cut_memory_is_one_line(place, beside, refused, share):
    path = beside()
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    assert "good.netloom.memory: " in refused(*COMMAND, codes=(4,))


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("way", WAYS)
def test_a_tensor_that_does_not_fit_is_refused(beside, memory, name, way):
    forged = WAYS[way](memory[0][name])
    if name in ANY_LENGTH and way in ("nothing", "longer", "shorter"):
        pytest.skip("it may be of any length")
    not_used(beside({name: forged}))


@pytest.mark.parametrize("value", [None, [], {}, "x", -1, 0.5, True, 10**400, [[]]], ids=repr)
@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_of_another_kind_is_refused(beside, name, value):
    if (name, value) in [("seen", []), ("penalty", 0.5), ("factor", 0.5), ("memory", True)]:
        pytest.skip("it may be that")
    not_used(beside(path=(name,), value=value))


@pytest.mark.parametrize("value", [None, "1", [1], -(10**400), True], ids=lambda value: repr(value)[:10])
@pytest.mark.parametrize("name", ["promised", "spread", "of", "rows", "total"])
def test_errors_that_are_no_numbers_are_refused(beside, name, value):
    not_used(beside(path=("errors", name), value=value))


@pytest.mark.parametrize(
    "tensors, path, value",
    [
        ({"gram": lambda a: -a}, (), None),
        ({"gram": lambda a: a * 0 - 1e300}, (), None),
        ({"weight": lambda a: -a}, (), None),
        ({"y": lambda a: a.astype(np.int64)[:, 0]}, (), None),
        ({}, ("pending",), 61),
        ({}, ("head",), "svm"),
        ({}, ("head",), "logistic"),
        ({}, ("penalty",), -1.0),
        ({}, ("features",), "0" * 16),
        ({}, ("readouts",), ["0" * 16]),
        ({}, ("memory",), 2),
        ({}, ("format",), 7),
    ],
    ids=[
        *("sums below zero", "infinite sums", "weights below zero", "classes", "all pending", "svm", "logistic", "no penalty"),
        *("of another network", "of another readout", "of another kind", "newer"),
    ],
)
def test_every_forged_memory_is_one_line_and_leaves_the_network(beside, memory, refused, tensors, path, value):
    beside({name: forge(memory[0][name]) for name, forge in tensors.items()}, path, value)
    refused(*COMMAND, codes=(3, 4))


@pytest.mark.parametrize("code", [-1, 3, 2**40])
def test_a_class_that_is_none_is_refused(place, code):
    network = TargetNetwork.load("classes.netloom")
    frame = pd.read_csv("new.csv", parse_dates=["day"]).drop(columns="y")
    frame["y"] = network.predict(frame)
    begun = Memory.begin(network, Task.from_frame(frame, target="y"))
    begun.y[7] = code
    begun.save("classes.netloom.memory")
    with pytest.raises(NetloomError, match="damaged or forged"):
        Memory.load("classes.netloom.memory").check(network)


def test_a_memory_larger_than_any_is_refused_before_it_is_read(place, rows, refused):
    rows[1].to_csv(place / "newest.csv", index=False)
    with open(place.parent / "huge", "wb") as huge:
        huge.truncate(200 * 2**30)  # a hole
    try:
        with pytest.raises(FileError, match="larger than the limit"):
            Memory.load(place.parent / "huge")
    finally:
        (place.parent / "huge").unlink()


@pytest.mark.parametrize("what", ["network", "table", "folder", "pickle"])
def test_something_else_in_its_place_is_one_line(place, beside, refused, what):
    path = beside()
    path.unlink()
    if what == "folder":
        path.mkdir()
    else:
        path.write_bytes({"network": (place / "good.netloom").read_bytes(), "table": b"a,b\n1,2\n", "pickle": b"\x80\x04\x95\0cos\n"}[what])
    assert "good.netloom.memory" in refused(*COMMAND, codes=(4,))
