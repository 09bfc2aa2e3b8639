"""A table becomes numbers: which, whatever the order of rows and columns, and always finite."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.errors import DataError, FileError
from netloom.tasks import Schema


def labels(schema):
    return [feature.label for feature in schema.features]


def encoded(values, later=None):
    """Labels and encoding of a single column called x."""
    schema = Schema.learn(pd.DataFrame({"x": values}))
    return labels(schema), schema.encode(pd.DataFrame({"x": values if later is None else later}))


CELLS = {
    "number": st.none() | st.floats(width=64, allow_nan=True, allow_infinity=True),
    "integer": st.none() | st.integers(-(10**20), 10**20),
    "boolean": st.none() | st.booleans(),
    "text": st.none() | st.sampled_from(["a", "b", "c", "", "ä", "a long text", "1"]),
    "mixed": st.none() | st.sampled_from(["a", 1, 1.0, True, "1", 2.5]),
    "date": st.none() | st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)),
    "day": st.none() | st.dates(datetime.date(1, 1, 1), datetime.date(9999, 12, 31)),
    "span": st.none() | st.timedeltas(datetime.timedelta(-9999), datetime.timedelta(9999)),
    "clock": st.none() | st.times(),
}


@st.composite
def frames(draw):
    n = draw(st.integers(1, 12))
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=5))
    columns = {f"{kind}{j}": draw(st.lists(CELLS[kind], min_size=n, max_size=n)) for j, kind in enumerate(kinds)}
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


@settings(max_examples=150, deadline=None)
@given(frames(), st.randoms())
def test_encoding_follows_names_and_rows_and_survives_json(frame, random):
    schema = Schema.learn(frame)
    features = schema.encode(frame)
    assert np.isfinite(features).all() and features.shape == (len(frame), len(schema.features))
    assert np.abs(features).max() <= 1e30

    shuffled = random.sample(list(frame.columns), frame.shape[1])
    np.testing.assert_array_equal(schema.encode(frame[shuffled].assign(extra=[[1]] * len(frame))), features)

    rows = random.sample(range(len(frame)), len(frame))
    np.testing.assert_array_equal(schema.encode(frame.iloc[rows]), features[rows])
    relearned = Schema.learn(frame.iloc[rows])
    assert labels(relearned) == labels(schema)
    np.testing.assert_allclose(relearned.encode(frame), features, rtol=1e-9, atol=1e-9 * max(1, np.abs(features).max()))

    copy = Schema.from_json(json.loads(json.dumps(schema.to_json(), allow_nan=False)))
    assert copy == schema
    np.testing.assert_array_equal(copy.encode(frame), features)

    for i in range(len(frame)):
        values = frame.iloc[i].tolist()
        np.testing.assert_array_equal(schema.encode_row(values), features[i])
        np.testing.assert_array_equal(schema.encode_row(dict(zip(frame.columns, values, strict=True))), features[i])
        np.testing.assert_array_equal(schema.encode(frame.iloc[[i]])[0], features[i])


@pytest.mark.parametrize("values", [[3, 3, 3], ["a", "a", "a"], [None] * 3, [pd.NaT] * 3, [np.nan] * 3, [True] * 3, [np.inf] * 3])
def test_constant_and_all_missing_columns_have_no_feature(values):
    schema = Schema.learn(pd.DataFrame({"x": values, "y": [1, 2, 3]}))
    assert [column.kind for column in schema.columns] == ["constant", "number"] and labels(schema) == ["y"]
    assert schema.encode(pd.DataFrame({"y": [5.0]})).tolist() == [[5.0]]  # and may be absent


def test_one_value_and_missing_ones_is_a_feature_for_missing():
    names, features = encoded([7.0, None, 7.0])
    assert names == ["x missing"] and features[:, 0].tolist() == [0, 1, 0]
    names, features = encoded(["a", None, "a"])
    assert names == ["x missing"] and features[:, 0].tolist() == [0, 1, 0]


def test_nothing_that_varies_is_one_feature_of_zeros():
    for frame in (pd.DataFrame({"x": [1, 1]}), pd.DataFrame(index=range(2))):
        schema = Schema.learn(frame)
        assert schema.encode(frame).tolist() == [[0.0], [0.0]] and schema.features[0].column == -1


def test_the_same_rows_missing_are_told_once():
    gaps = [1.0, None, 3.0, None]
    schema = Schema.learn(pd.DataFrame({"a": gaps, "b": ["u", None, "v", None], "c": [None, 1.0, 2.0, 3.0]}))
    assert labels(schema) == ["a", "a missing", "b=v", "c", "c missing"]


def test_missing_only_later_is_the_mean():
    _, features = encoded([1.0, 2.0, 3.0], later=[None, np.nan, pd.NA])
    assert features[:, 0].tolist() == [2, 2, 2]


def test_repeated_names_are_matched_by_occurrence():
    frame = pd.DataFrame([[1, 2, 3], [4, 5, 7]], columns=["a", "b", "a"])
    schema = Schema.learn(frame)
    np.testing.assert_array_equal(schema.encode(frame.iloc[:, [1, 0, 2]]), frame.to_numpy())
    with pytest.raises(DataError, match="column 'a' is not in the table"):
        schema.encode(frame.iloc[:, :2])
    with pytest.raises(DataError, match="column 'a' occurs more than once"):
        schema.encode_row({"a": 1, "b": 2})


def test_names_that_are_no_strings_are_matched_by_their_text():
    schema = Schema.learn(pd.DataFrame([[1.0, 2.0], [3.0, 5.0]]))
    np.testing.assert_array_equal(schema.encode(pd.DataFrame({"1": [2.0], "0": [1.0]})), [[1, 2]])
    np.testing.assert_array_equal(schema.encode_row({1: 2.0, 0: 1.0}), [1, 2])


def test_an_absent_column_is_named_with_the_way_out():
    schema = Schema.learn(pd.DataFrame({"age": [1, 2], "size": [3, 4], "mass": [1, 5]}))
    with pytest.raises(DataError) as caught:
        schema.encode(pd.DataFrame({"Age": [1], "size": [1], "mass": [1]}))
    assert (
        str(caught.value) == "column 'age' is not in the table (did you mean 'Age'?); training had it: add it, empty where it is not known"
    )
    with pytest.raises(DataError, match=r"^column 'age' is not in the table, nor is one other \('mass'\);"):
        schema.encode(pd.DataFrame({"size": [1]}))
    with pytest.raises(DataError, match=r"^the row has no 'age', 'mass'; give each column"):
        schema.encode_row({"size": 1})


def test_arrays_are_matched_by_position():
    X = np.arange(6.0).reshape(3, 2)
    schema = Schema.learn(X)
    assert not schema.named
    np.testing.assert_array_equal(schema.encode(pd.DataFrame(X, columns=["p", "q"])), X)
    named = Schema.learn(pd.DataFrame(X, columns=["p", "q"]))
    np.testing.assert_array_equal(named.encode(X.tolist()), X)
    for encode in (schema.encode, named.encode):
        with pytest.raises(DataError, match=r"^the table has 3 columns, training had 2, and without names only their order tells$"):
            encode(np.zeros((1, 3)))
    with pytest.raises(DataError, match=r"^the row has 3 values, training had 2 columns$"):
        schema.encode_row([1, 2, 3])
    with pytest.raises(DataError, match=r"^a row must be a sequence"):
        schema.encode_row("12")


def test_tables_of_many_makes():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    schema, expected = Schema.learn(frame), [[1, 0], [2, 1]]
    for table in (
        frame.to_dict("list"),
        frame.to_dict("records"),
        frame.to_records(index=False),
        frame.to_numpy(),
        frame.to_numpy().tolist(),
    ):
        np.testing.assert_array_equal(schema.encode(table), expected)


def test_the_table_given_is_not_changed():
    X = np.array([[1.0, np.nan], [np.inf, 2.0], [3.0, 4.0]])
    before = X.copy()
    schema = Schema.learn(X)
    schema.encode(X)[:] = 7
    schema.encode_row(X[2])[:] = 7
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("kind", ["number", "mixed"])
def test_no_rows_to_encode_and_one_row_to_learn(kind):
    frame = pd.DataFrame({"a": [1.0], "b": ["x"]}) if kind == "mixed" else pd.DataFrame({"a": [1.0]})
    schema = Schema.learn(frame)
    assert schema.encode(frame.iloc[:0]).shape == (0, 1)
    with pytest.raises(DataError, match="^the table is empty; training needs rows$"):
        Schema.learn(frame.iloc[:0])


def test_wide_tables_of_numbers():
    X = np.random.default_rng(0).normal(size=(7, 10_000))
    X[3, ::2] = np.nan
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(10_000)])
    schema = Schema.learn(frame)
    assert len(schema.features) == 10_001  # one pattern of missing rows
    features = schema.encode(frame[frame.columns[::-1]])
    np.testing.assert_array_equal(features[0, np.delete(np.arange(10_001), 1)], X[0])


@pytest.mark.parametrize("table", [np.zeros(3), np.zeros((1, 2, 3)), 5, "text", {"a": 1}, [[1, 2], [3]]], ids=repr)
def test_what_is_no_table_is_a_data_error(table):
    with pytest.raises(DataError):
        Schema.learn(table)


GOOD = Schema.learn(
    pd.DataFrame({"n": [1.0, 2, 4], "b": [True, False, None], "c": ["u", "v", "w"], "d": pd.date_range("2024", periods=3), "k": [1, 1, 1]})
).to_json()


def _forge(change):
    content = json.loads(json.dumps(GOOD))
    change(content)
    return content


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        _forge(lambda c: c.update(format=2)),
        _forge(lambda c: c.update(format=True)),
        _forge(lambda c: c.update(extra=1)),
        _forge(lambda c: c.update(named="yes")),
        _forge(lambda c: c.update(columns={})),
        _forge(lambda c: c["columns"].append(3)),
        _forge(lambda c: c["columns"][0].update(kind="code")),
        _forge(lambda c: c["columns"][0].update(kind=["number"])),
        _forge(lambda c: c["columns"][0].update(low=float("nan"))),
        _forge(lambda c: c["columns"][0].update(high=1e31)),
        _forge(lambda c: c["columns"][0].update(low=5)),
        _forge(lambda c: c["columns"][0].update(name=3)),
        _forge(lambda c: c["columns"][0].update(more=3)),
        _forge(lambda c: c["columns"][0].pop("fill")),
        _forge(lambda c: c["columns"][1].update(fill=2)),
        _forge(lambda c: c["columns"][2].update(kept=3)),
        _forge(lambda c: c["columns"][2].update(kept=-1)),
        _forge(lambda c: c["columns"][2].update(kept=True)),
        _forge(lambda c: c["columns"][2].update(extra="frequency")),
        _forge(lambda c: c["columns"][2].update(pair=True)),
        _forge(lambda c: c["columns"][2].update(levels=["a", "a"])),
        _forge(lambda c: c["columns"][3].update(parts=["days", "days"])),
        _forge(lambda c: c["columns"][3].update(parts=["code"])),
        _forge(lambda c: c["columns"][3].update(zone="../../etc/passwd")),
        _forge(lambda c: c["columns"][3].update(zone="Nowhere/Land")),
        _forge(lambda c: c["columns"][4].update(missing=True)),
    ],
)
def test_a_forged_schema_is_a_file_error(content):
    with pytest.raises(FileError) as caught:
        Schema.from_json(content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_the_unforged_schema_is_read():
    assert Schema.from_json(json.loads(json.dumps(GOOD))).to_json() == GOOD


def test_a_schema_can_be_pickled_after_use():
    import pickle

    frame = pd.DataFrame({"a": [1.0, 2], "b": ["x", "y"]})
    schema = Schema.learn(frame)
    schema.encode_row([1.0, "x"])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(schema)).encode(frame), schema.encode(frame))
