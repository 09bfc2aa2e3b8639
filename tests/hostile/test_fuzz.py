"""Fuzzing of the doors that strangers' bytes come through: a network's file, its memory, a table. Only a NetloomError may come out.

`make fuzz` runs the slow test for 60 seconds (NETLOOM_FUZZ_SECONDS); `make test` runs a few fixed cases of each.
Hypothesis shrinks what fails.
"""

import json
import os
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from safetensors.numpy import save as to_safetensors

from netloom import TargetNetwork, Task
from netloom.errors import NetloomError
from netloom.refine import Memory
from netloom.target import file
from netloom.tasks.tables import read_table

SECONDS = float(os.environ.get("NETLOOM_FUZZ_SECONDS", "60"))
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
    | st.sampled_from([-1, 0, 2**31, 2**63, 2**70, 10**320, 1e308, "", "regression", "number", "category", "date"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
NAMES = st.sampled_from(["size", "weight", "grade", "colour", "member", "age", "day", "y", "", " ", "a", "ä"])
ODD = ["1", "2.5", "-3e8", "1e999", "", "NA", "?", "red", "true", "2024-01-31", "2024-02-30", "1,5", '"', '""', "'", "\0", "{", "[1"]
FIELD = st.sampled_from(ODD) | st.text(max_size=6)


def fuzz_network(woven, path):
    """A property: a good network's file with some entries, tensors or bytes replaced loads and predicts, or is refused."""

    def use():
        network = TargetNetwork.load(path)
        network.summary()
        network.predict_row(["1", 2, 3, "red", True, 40.0, None])

    return fuzz_file(woven / "classes.netloom", path, use)


def fuzz_memory(woven, path):
    """A property: so it is with a network's memory, which is loaded and given new rows."""
    network, rows = TargetNetwork.load(woven / "good.netloom"), pd.read_csv(woven / "new.csv", parse_dates=["day"])
    learned, new = (Task.from_frame(part, target="y", kind="regression") for part in (rows[:60], rows[60:]))
    source = path.with_suffix(".good")
    Memory.begin(network, learned).save(source)

    def use():
        memory = Memory.load(path)
        network.update(new, memory, reweave="never").memory.save(path)

    return fuzz_file(source, path, use)


def fuzz_file(source, path, use):
    """A property: ``use`` does its work on a spoiled copy of ``source`` at ``path``, or raises a NetloomError."""
    tensors, document = file.read(source)
    raw = source.read_bytes()
    values = [tensor for tensor in tensors.values() if tensor.ndim]

    def places(content, at=()):
        for key in content if isinstance(content, dict) else range(len(content)):
            yield (*at, key)
            if isinstance(content[key], dict | list):
                yield from places(content[key], (*at, key))

    spots = list(places(document))

    @given(st.data())
    def check(data):
        if data.draw(st.booleans()):  # the document and the tensors
            forged, arrays = json.loads(json.dumps(document)), dict(tensors)
            for _ in range(data.draw(st.integers(0, 2))):
                spot = data.draw(st.sampled_from(spots))
                at = forged
                try:
                    for key in spot[:-1]:
                        at = at[key]
                    at[spot[-1]] = data.draw(ANY)
                except (KeyError, TypeError, IndexError):  # an earlier change has cut this branch
                    continue
            for _ in range(data.draw(st.integers(0, 2))):
                name = data.draw(st.sampled_from(sorted(tensors)))
                how = data.draw(st.sampled_from(["drop", "swap", "huge", "negative", "zero", "reshape"]))
                old = tensors[name]
                if how == "drop":
                    arrays.pop(name, None)
                elif how == "reshape":
                    arrays[name] = old.reshape(-1)
                elif how == "swap":
                    arrays[name] = data.draw(st.sampled_from(values))
                else:
                    largest = np.iinfo(old.dtype).max if old.dtype.kind == "i" else np.finfo(old.dtype).max
                    arrays[name] = np.full_like(old, {"huge": largest, "negative": -1, "zero": 0}[how])
            content = to_safetensors(arrays, metadata={"netloom": json.dumps(forged)})
        else:  # the bytes
            spoiled = bytearray(raw)
            for _ in range(data.draw(st.integers(1, 4))):
                at = data.draw(st.integers(0, len(spoiled) - 1))
                spoiled[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
            content = bytes(spoiled)
        path.write_bytes(content)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # numbers at the end of what a float holds
            try:
                use()
            except NetloomError as error:
                assert "\n" not in str(error)

    return check


def fuzz_table(path):
    """A property: any text that looks a little like a table, and any bytes, are a table or refused."""
    lines = st.lists(st.lists(FIELD, min_size=1, max_size=4), max_size=5)
    table = st.tuples(
        st.lists(NAMES, min_size=1, max_size=4), lines, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n", "\r"])
    )
    text = table.map(lambda t: t[3].join(t[2].join(row) for row in [t[0], *t[1]]))
    encoded = st.tuples(text, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])).map(lambda t: t[0].encode(t[1], "replace"))
    lines_of_json = st.lists(ANY, max_size=3).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())
    magic = st.tuples(st.sampled_from([b"", b"\x1f\x8b", b"PAR1", b"{", b"[", b"\xef\xbb\xbf", b"PK\x03\x04"]), st.binary(max_size=60))

    @given(encoded | lines_of_json | magic.map(b"".join))
    def check(content):
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                frame = read_table(path)
            except NetloomError as error:
                assert "\n" not in str(error)
            else:
                assert frame.shape[1] >= 1 or len(frame) == 0 or content.strip()[:1] in (b"{", b"[")

    return check


def configured(check, examples):
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=examples, deadline=None, database=None, suppress_health_check=quiet)(check)


def doors(woven, folder):
    """The properties, by what a stranger may give."""
    network, memory, table = (folder / name for name in ("f.netloom", "f.netloom.memory", "f.csv"))
    return {"network": fuzz_network(woven, network), "memory": fuzz_memory(woven, memory), "table": fuzz_table(table)}


@pytest.mark.parametrize("door", ["network", "memory", "table"])
def test_a_few_hundred_cases(woven, tmp_path, door):
    seed(0)(configured(doors(woven, tmp_path)[door], 150))()


@pytest.mark.slow
def test_as_many_cases_as_the_time_allows(woven, tmp_path):
    end, batches = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        for check in doors(woven, tmp_path).values():
            seed(time.time_ns())(configured(check, 300))()
            batches += 1
    print(f"{300 * batches:,} cases in {SECONDS:.0f} s, nothing but refusals")
