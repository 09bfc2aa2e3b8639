"""Classes to JSON and back: the same labels, of the same dtype; anything else is an error."""

import datetime
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netloom.errors import FileError
from netloom.tasks import labels_from_json, labels_to_json
from netloom.tasks.labels import find_classes

LABEL = st.one_of(
    st.text(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC)),
)


@given(st.lists(LABEL, min_size=1))
def test_labels_of_any_type_survive_json(labels):
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    classes, codes = find_classes(array, "y")
    assert [(classes[code] == label, type(classes[code]) is bool) for code, label in zip(codes, labels, strict=True)] == [
        (True, type(label) is bool) for label in labels
    ]
    copy = labels_from_json(json.loads(json.dumps(labels_to_json(classes), allow_nan=False)))
    assert copy.tolist() == classes.tolist() and list(map(type, copy)) == list(map(type, classes)) and copy.dtype == classes.dtype


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "a", "äöü"]),
        np.array([3, 1, 2**40]),
        np.array([3, 1], dtype=np.uint8),
        np.array([2**64 - 1, 0], dtype=np.uint64),
        np.array([0.1, -2.5], dtype=np.float32),
        np.array([0.1, 1e300]),
        np.array([True, False]),
        np.array(["2024-01-31", "1999-12-31"], dtype="datetime64[D]"),
        np.array(["2024-01-31T12:00:00.000001", "1999-12-31"], dtype="datetime64[us]"),
    ],
    ids=lambda labels: labels.dtype.name,
)
def test_dtypes_survive_json(labels):
    classes, codes = find_classes(labels, "y")
    np.testing.assert_array_equal(classes, np.unique(labels))
    np.testing.assert_array_equal(classes[codes], labels)
    copy = labels_from_json(json.loads(json.dumps(labels_to_json(classes), allow_nan=False)))
    assert copy.dtype == classes.dtype
    np.testing.assert_array_equal(copy, classes)


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"dtype": "int64"},
        {"dtype": "int64", "values": [1, 2], "more": 1},
        {"dtype": "int64", "values": "12"},
        {"dtype": "int64", "values": []},
        {"dtype": "int64", "values": [1, 1]},
        {"dtype": "int64", "values": [1, "a"]},
        {"dtype": "int64", "values": [1, 2.5]},
        {"dtype": "int64", "values": [1, True]},
        {"dtype": "int8", "values": [1, 1000]},
        {"dtype": "float16", "values": [1e300, 1]},
        {"dtype": "float64", "values": [1, float("nan")]},
        {"dtype": "float64", "values": [1, float("inf")]},
        {"dtype": "complex128", "values": [1, 2]},
        {"dtype": "object_", "values": [1, 2]},
        {"dtype": "<U999999999", "values": ["a", "b"]},
        {"dtype": ["int64"], "values": [1, 2]},
        {"dtype": "str", "values": ["a", 1]},
        {"dtype": "datetime64[D]", "values": ["2024-02-30", "2024-01-01"]},
        {"dtype": "datetime64[D]", "values": ["NaT", "NaT"]},
        {"dtype": "object", "values": [None, 1]},
        {"dtype": "object", "values": [[1], 1]},
        {"dtype": "object", "values": [{"code": "x"}, 1]},
        {"dtype": "object", "values": [{"date": 5}, 1]},
        {"dtype": "object", "values": [{"date": "2024-13-01"}, 1]},
        {"dtype": "object", "values": [1, 1.0]},
    ],
    ids=str,
)
def test_forged_classes_are_a_file_error(content):
    with pytest.raises(FileError, match="^classes: ") as caught:
        labels_from_json(content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
