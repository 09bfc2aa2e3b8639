"""Each kind of column, in every way a table can hold it: what it becomes, and what is refused in one line."""

import datetime
import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from netloom.errors import ColumnTypeError, DataError, FileError
from netloom.tasks import Schema


def encoded(values, later=None):
    """Labels and encoding of a single column called x."""
    schema = Schema.learn(pd.DataFrame({"x": values}))
    return [feature.label for feature in schema.features], schema.encode(pd.DataFrame({"x": values if later is None else later}))


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
    assert names[64:] == ["x other", "x in order", "x frequency"]
    assert features[:, :65].max() == 1 and features[:, 66].max() <= np.log(4) + 1e-9
    schema = Schema.learn(pd.DataFrame({"x": values}))
    assert len(json.dumps(schema.to_json())) < 60_000


def test_free_text_gives_its_length():
    names, features = encoded(["a sentence", "another one", "and a third, longer"])
    assert names == ["x length"]
    assert features[:, 0].tolist() == [10, 11, 19]


def test_a_level_is_known_by_its_text_whatever_the_type():
    _, features = encoded(["1", "2", "3"] * 2, later=pd.Series([1.0, 2, 3, None, 1, 2]))
    assert features[:, :3].argmax(axis=1).tolist()[:3] == [0, 1, 2] and not features[3, :3].any()
    with_categories, _ = encoded(pd.Categorical([1, 2, 3, 1, 2, 3]))
    assert with_categories == ["x=1", "x=2", "x=3", "x in order"]


def test_mixed_types_are_categories_of_their_text():
    names, _ = encoded([1, "a", 2.5, 1, "a", 2.5, True, True])
    assert sorted(names) == ["x=1", "x=2.5", "x=True", "x=a"]


def test_intervals_are_categories():
    names, features = encoded(pd.cut(np.arange(9.0), 3))
    assert len(names) == 4 and (features[:, :3].sum(axis=1) == 1).all()
    assert features[:, 3].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("levels", "sorted_levels"),
    [
        (["5-9", "<5", "10-14", ">=15", "unknown"], ["<5", "5-9", "10-14", ">=15", "unknown"]),
        (["10", "9", "2.5", "more"], ["2.5", "9", "10", "more"]),
        (["-1", "-10", "3", "-2 to 5"], ["-10", "-1", "-2 to 5", "3"]),
        (["(-0.5, 2.5]", "(2.5, 5.0]", "(-3.5, -0.5]"], ["(-3.5, -0.5]", "(-0.5, 2.5]", "(2.5, 5.0]"]),
        (["0<=X<200", "<0", ">=200", "no checking"], ["<0", "0<=X<200", ">=200", "no checking"]),
    ],
)
def test_levels_of_numbers_stand_in_their_order(levels, sorted_levels):
    schema = Schema.learn(pd.DataFrame({"x": levels * 3 + levels[:1] + [None]}))
    assert [feature.label for feature in schema.features][-2:] == ["x in order", "x missing"]
    place = {level: float(i) for i, level in enumerate(sorted_levels)}
    mean = np.mean([place[level] for level in levels * 3 + levels[:1]])
    for one in (schema, Schema.from_json(json.loads(json.dumps(schema.to_json())))):
        features = one.encode(pd.DataFrame({"x": [*sorted_levels, "never seen", None]}))
        np.testing.assert_allclose(features[:, -2], [*place.values(), mean, mean])
        for i, value in enumerate([*sorted_levels, "never seen", None]):
            np.testing.assert_array_equal(one.encode_row([value]), features[i])


def test_an_ordered_category_has_the_order_that_it_was_given():
    values = pd.Categorical(["low", "high", "middle", "low", "low", "high", "middle"], ["low", "middle", "high"], ordered=True)
    names, features = encoded(values)
    assert names[3:] == ["x in order"]
    assert features[:, 3].tolist() == [0, 2, 1, 0, 0, 2, 1]
    names, _ = encoded(pd.Categorical(list(values)))
    assert len(names) == 3  # words have no order of their own


@pytest.mark.parametrize("levels", [list("abc"), ["1", "2", "three", "four"], ["1", "2"]])
def test_words_and_two_levels_have_no_order(levels):
    names, _ = encoded(levels * 3)
    assert "x in order" not in names


def test_a_schema_from_before_places_is_read():
    content = Schema.learn(pd.DataFrame({"x": list("aabbcc")})).to_json()
    del content["columns"][0]["places"]
    assert Schema.from_json(content).columns[0].places == ()


def test_places_that_are_no_places_are_refused():
    content = Schema.learn(pd.DataFrame({"x": ["1-2", "3-4", "5-6"] * 2})).to_json()
    content["columns"][0]["places"] = [0.0, 1.0]
    with pytest.raises(FileError, match="2 places for 3 levels"):
        Schema.from_json(content)


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
