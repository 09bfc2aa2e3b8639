"""A table becomes numbers: which, whatever the order of rows and columns, and always finite."""

import datetime
import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.errors import ColumnTypeError, DataError, FileError
from netloom.tasks import Schema


def labels(schema):
    return [feature.label for feature in schema.features]


def encoded(values, later=None):
    """Labels and encoding of a single column called x."""
    schema = Schema.learn(pd.DataFrame({"x": values}))
    return labels(schema), schema.encode(pd.DataFrame({"x": values if later is None else later}))


# ---- hypothesis: tables of every kind of column

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


# ---- numbers


def test_numbers_keep_their_unit_and_missing_is_the_mean_and_a_feature():
    names, features = encoded([1.0, 2.0, None, 6.0])
    assert names == ["x", "x missing"]
    np.testing.assert_array_equal(features, [[1, 0], [2, 0], [3, 1], [6, 0]])


def test_infinities_become_the_extremes_seen():
    _, features = encoded([-2.0, 5.0, 1.0], later=[np.inf, -np.inf, 1e6])
    np.testing.assert_array_equal(features[:, 0], [5, -2, 1e6])


def test_huge_numbers_are_clipped_so_that_float32_holds_them():
    _, features = encoded(pd.Series([1e300, -1e300, 0.0, 10**400], dtype=object))
    assert features[:, 0].tolist() == [1e30, -1e30, 0, 1e30]
    assert np.isfinite(features.astype(np.float32)).all()


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, None, 3], dtype="Int64"),
        pd.array([1, None, 3], dtype="Float64"),
        pd.array([1, None, 3], dtype="int32[pyarrow]"),
        pd.array([1.0, None, 3.0], dtype="double[pyarrow]"),
        pd.Series([1, None, 3], dtype=object),
        pd.Series([1, pd.NA, 3.0], dtype=object),
        pd.Series([Decimal(1), Decimal("NaN"), Decimal(3)]),
        pd.Series([Decimal(1), None, 3], dtype=object),
        pd.Series([Fraction(1), None, np.float32(3)], dtype=object),
        np.array([1, np.nan, 3], dtype=np.float16),
        np.array([1, np.nan, 3], dtype=np.longdouble),
        pd.to_timedelta([1, None, 3], unit="s"),
        [datetime.timedelta(seconds=1), None, datetime.timedelta(seconds=3)],
        [datetime.time(0, 0, 1), None, datetime.time(0, 0, 3)],
    ],
    ids=lambda values: str(getattr(values, "dtype", type(values[0]).__name__)),
)
def test_every_way_to_hold_numbers_gives_the_same(values):
    names, features = encoded(values)
    assert names == ["x", "x missing"]
    np.testing.assert_array_equal(features, [[1, 0], [2, 1], [3, 0]])


def test_arrow_decimals_are_numbers():
    pa = pytest.importorskip("pyarrow")
    values = pd.array([Decimal("1.5"), None, Decimal("2.5")], dtype=pd.ArrowDtype(pa.decimal128(5, 2)))
    np.testing.assert_array_equal(encoded(values)[1], [[1.5, 0], [2, 1], [2.5, 0]])


def test_numbers_given_as_text_later_are_read_and_empty_text_is_missing():
    _, features = encoded([1.0, 2.0, 6.0], later=["1.5", "", " 7 "])
    np.testing.assert_array_equal(features[:, 0], [1.5, 3, 7])


def test_text_in_a_numeric_column_names_column_row_and_way_out():
    schema = Schema.learn(pd.DataFrame({"age": [1.0, 2, 3, 4]}))
    text = "column 'age': row 3 holds 'n/a', but was numeric in training; use a number or leave it empty"
    with pytest.raises(DataError) as caught:
        schema.encode(pd.DataFrame({"age": ["1", "2", "3", "n/a"]}))
    assert str(caught.value) == text
    with pytest.raises(DataError) as caught:
        schema.encode_row({"age": "n/a"})
    assert str(caught.value) == text.replace("row 3 holds", "holds")


@pytest.mark.parametrize("value", [datetime.datetime(2024, 1, 1), "x" * 500, [1.0], 1j, {"a": 1}], ids=lambda v: type(v).__name__)
def test_what_is_no_number_is_one_short_line(value):
    schema = Schema.learn(pd.DataFrame({"age": [1.0, 2]}))
    for encode in (lambda: schema.encode(pd.DataFrame({"age": [1.0, value]})), lambda: schema.encode_row([value])):
        with pytest.raises(DataError, match=r"column 'age': .* but was numeric in training") as caught:
            encode()
        assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)


# ---- booleans


@pytest.mark.parametrize(
    "values", [[True, None, False, True], pd.array([True, None, False, True], dtype="boolean")], ids=["object", "boolean"]
)
def test_booleans_with_missing_values(values):
    names, features = encoded(values)
    assert names == ["x", "x missing"]
    np.testing.assert_allclose(features, [[1, 0], [2 / 3, 1], [0, 0], [1, 0]])


def test_booleans_are_also_read_as_words_and_numbers():
    _, features = encoded([True, False, True], later=["true", 0, 1.0])
    assert features[:, 0].tolist() == [1, 0, 1]
    with pytest.raises(
        DataError, match=r"^column 'x': row 1 holds 2, but was true or false in training; use True, False or leave it empty$"
    ):
        encoded([True, False], later=[1, 2])


# ---- categories


def test_two_levels_are_one_feature():
    names, features = encoded(["male", "female", "female"], later=["male", "female", "else"])
    assert names == ["x=male"]
    np.testing.assert_allclose(features[:, 0], [1, 0, 1 / 3])  # unseen: neither


def test_levels_have_a_feature_each_and_unseen_ones_none():
    names, features = encoded(list("aaabbc") + [None, "c"], later=["a", "b", "c", "d", None])
    assert names == ["x=a", "x=b", "x=c", "x missing"]
    np.testing.assert_array_equal(features, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]])


def test_rare_levels_are_other_and_frequency_is_a_number():
    names, features = encoded(list("aaaabbcd"), later=["a", "b", "c", "new", None])
    assert names == ["x=a", "x=b", "x other", "x frequency"]
    np.testing.assert_array_equal(features[:, :3], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_allclose(features[:4, 3], [np.log(4), np.log(2), 0, 0])


def test_many_levels_keep_64_features():
    values = [f"level {i}" for i in range(3000) for _ in range(2 + i % 3)]
    names, features = encoded(values)
    assert len(names) == 66 and features.max() <= np.log(4) + 1e-9
    schema = Schema.learn(pd.DataFrame({"x": values}))
    assert len(json.dumps(schema.to_json())) < 60_000


def test_free_text_gives_its_length():
    names, features = encoded(["a sentence", "another one", "and a third, longer"])
    assert names == ["x length"]
    assert features[:, 0].tolist() == [10, 11, 19]


def test_a_level_is_known_by_its_text_whatever_the_type():
    _, features = encoded(["1", "2", "3"] * 2, later=pd.Series([1.0, 2, 3, None, 1, 2]))
    assert features.argmax(axis=1).tolist()[:3] == [0, 1, 2] and not features[3].any()
    with_categories, _ = encoded(pd.Categorical([1, 2, 3, 1, 2, 3]))
    assert with_categories == ["x=1", "x=2", "x=3"]


def test_mixed_types_are_categories_of_their_text():
    names, _ = encoded([1, "a", 2.5, 1, "a", 2.5, True, True])
    assert sorted(names) == ["x=1", "x=2.5", "x=True", "x=a"]


def test_intervals_are_categories():
    names, features = encoded(pd.cut(np.arange(9.0), 3))
    assert len(names) == 3 and (features.sum(axis=1) == 1).all()


# ---- dates


def test_dates_are_days_and_what_varies_of_the_calendar():
    days = pd.date_range("2024-01-01", periods=60)
    names, features = encoded(days)
    assert names == ["x", "x:month sin", "x:month cos", "x:day", "x:weekday sin", "x:weekday cos"]
    expected = [[(day - pd.Timestamp(0)).days, day.day] for day in days]
    np.testing.assert_array_equal(features[:, [0, 3]], expected)
    np.testing.assert_allclose(features[:, 4], np.sin(2 * np.pi * days.day_of_week / 7), atol=1e-8)


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2024-01-01", None, "2024-03-03"]),
        pd.to_datetime(["2024-01-01", None, "2024-03-03"]).tz_localize("Europe/Berlin"),
        pd.array(pd.to_datetime(["2024-01-01", None, "2024-03-03"]), dtype="timestamp[us][pyarrow]"),
        pd.array([datetime.date(2024, 1, 1), None, datetime.date(2024, 3, 3)], dtype="date32[pyarrow]"),
        pd.PeriodIndex(["2024-01-01", None, "2024-03-03"], freq="D"),
        pd.Series([datetime.date(2024, 1, 1), None, datetime.date(2024, 3, 3)]),
        pd.Series([datetime.date(2024, 1, 1), pd.NaT, pd.Timestamp("2024-03-03")], dtype=object),
        pd.Series([np.datetime64("2024-01-01"), None, np.datetime64("2024-03-03")], dtype=object),
        pd.Series([pd.Period("2024-01-01"), None, pd.Period("2024-03-03")], dtype=object),
    ],
    ids=lambda values: str(values.dtype),
)
def test_every_way_to_hold_dates_gives_the_same(values):
    names, features = encoded(values)
    reference, expected = encoded(pd.to_datetime(["2024-01-01", None, "2024-03-03"]))
    assert names == reference and "x missing" in names
    np.testing.assert_array_equal(features, expected)


def test_dates_are_read_on_the_clock_of_training():
    berlin = pd.date_range("2024-06-01", periods=30, freq="7h", tz="Europe/Berlin")
    schema = Schema.learn(pd.DataFrame({"x": berlin}))
    features = schema.encode(pd.DataFrame({"x": berlin}))
    for same in (berlin.tz_convert("Asia/Tokyo"), berlin.tz_localize(None), berlin.map(lambda t: t.isoformat()), berlin.astype(object)):
        np.testing.assert_array_equal(schema.encode(pd.DataFrame({"x": same})), features)


def test_several_zones_in_one_column_are_read_in_utc():
    east, west = datetime.timezone(datetime.timedelta(hours=9)), datetime.timezone(datetime.timedelta(hours=-8))
    moments = [datetime.datetime(2024, 1, 1, 9, tzinfo=east), datetime.datetime(2024, 1, 1, 16, tzinfo=west)]
    _, features = encoded(pd.Series(moments, dtype=object))
    np.testing.assert_array_equal(features[:, 0], [19723, 19724])


@pytest.mark.parametrize("value", ["tomorrow", 3, True])
def test_what_is_no_date_is_one_line(value):
    with pytest.raises(
        DataError, match=r"^column 'x': row 0 holds .*, but was a date in training; use a date like 2024-01-31 or leave it empty$"
    ):
        encoded(pd.date_range("2024", periods=3), later=[value, None, None])


# ---- columns that say nothing, missing patterns, names


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
    with pytest.raises(DataError, match=r"^column 'age' is not in the table, nor are 1 others \('mass'\);"):
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


def test_the_table_given_is_not_changed():
    X = np.array([[1.0, np.nan], [np.inf, 2.0], [3.0, 4.0]])
    before = X.copy()
    schema = Schema.learn(X)
    schema.encode(X)[:] = 7
    schema.encode_row(X[2])[:] = 7
    np.testing.assert_array_equal(X, before)


# ---- sizes


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


# ---- what no network can read


def test_sparse_tables_and_columns():
    class Sparse:
        nnz = 0

        def toarray(self):
            return np.zeros((2, 2))

    with pytest.raises(ColumnTypeError, match=r"^the table is sparse, which is not supported; use table.toarray\(\)"):
        Schema.learn(Sparse())
    with pytest.raises(ColumnTypeError, match=r"^column 'x' is sparse, which is not supported; use frame.sparse.to_dense\(\)$"):
        encoded(pd.arrays.SparseArray([0, 0, 1]))


@pytest.mark.parametrize("value", [[1], {"a": 1}, {1}, (1, 2), np.arange(2)], ids=lambda value: type(value).__name__)
def test_nested_values_name_their_column(value):
    values = np.empty(2, dtype=object)
    values[:] = [value, value]
    with pytest.raises(ColumnTypeError, match=r"^column 'x' holds .*; give each of its parts a column of its own$"):
        encoded(values)


@pytest.mark.parametrize("values", [np.array([1j, 2]), np.array([1j, 2], dtype=object)], ids=["dtype", "object"])
def test_complex_values_name_their_column(values):
    with pytest.raises(
        ColumnTypeError, match=r"^column 'x': Complex data not supported; give the real and the imaginary part a column each$"
    ):
        encoded(values)


@pytest.mark.parametrize("table", [np.zeros(3), np.zeros((1, 2, 3)), 5, "text", {"a": 1}, [[1, 2], [3]]], ids=repr)
def test_what_is_no_table_is_a_data_error(table):
    with pytest.raises(DataError):
        Schema.learn(table)


# ---- forged files

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
