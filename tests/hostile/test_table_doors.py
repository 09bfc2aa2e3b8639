"""Tables that are broken or not what the network learned, through every door that takes a table."""

import gzip
import io

import pandas as pd
import pytest

from netloom import TargetNetwork, Task
from netloom.errors import DataError, NetloomError
from netloom.tasks.tables import read_table

DOORS = {
    "fit": "fit TABLE --target y --out m.netloom --no-baselines --quiet",
    "predict": "predict good.netloom TABLE --out p.csv",
    "inspect": "inspect good.netloom --explain TABLE --json",
    "report": "report good.netloom --data TABLE --out r.html",
    "diff": "diff good.netloom good.netloom --table TABLE",
    "refine": "refine good.netloom TABLE --until steps=1 --quiet",
    "update": "update good.netloom TABLE --table new.csv --quiet",
    "update, learned": "update good.netloom new.csv --table TABLE --quiet",
}
BROKEN = {
    "empty": b"",
    "blank": b" \n\n \n",
    "noise": bytes(range(256)) * 4,
    "zeros": b"\0" * 1000,
    "ragged": b"size,y\n1,2\n3\n",
    "open quote": b'size,y\n"1,2\n3,4\n',
    "other columns": b"a,b,y\n1,2,3\n4,5,6\n",
    "cut gzip": gzip.compress(b"size,y\n1,2\n" * 100)[:-9],
    "cut parquet": b"PAR1" + b"\0" * 40,
    "zip": b"PK\x03\x04" + b"\0" * 40,
    "json of depth": b"[" * 100_000,
    "json of numbers": b"[1, 2, 3]",
    "web page": b"<!doctype html><html><body>404</body></html>",
    "pickle": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0cos\nsystem\n.",
}
WRONG = {  # a column of the right table, spoiled
    "text for a number": ("size", "tall"),
    "a number for a date": ("day", "soon"),
    "text for a boolean": ("member", "perhaps"),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses_a_broken_table(place, refused, door, what):
    if door == "fit" and what == "other columns":
        pytest.skip("there no column is wrong yet")
    (place / "bad.csv").write_bytes(BROKEN[what])
    refused(*["bad.csv" if word == "TABLE" else word for word in DOORS[door].split()], codes=(3, 4))


HEADER = "size,weight,grade,colour,member,age,day,y\n"


@pytest.mark.parametrize("door", DOORS)
def test_a_table_without_rows_is_refused_or_gives_none(place, survives, door):
    (place / "none.csv").write_text(HEADER)
    result = survives(*["none.csv" if word == "TABLE" else word for word in DOORS[door].split()])
    if door == "predict":
        assert result.exit_code == 0 and (place / "p.csv").read_text() == "y\n"


def test_no_row_gives_no_chance(place, survives):
    (place / "none.csv").write_text(HEADER)
    assert survives("predict", "classes.netloom", "none.csv").stdout.startswith("y,chance of ")


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("door", [door for door in DOORS if door != "fit"])
def test_every_door_names_the_column_that_is_not_what_it_was(place, refused, door, what):
    column, value = WRONG[what]
    frame = pd.read_csv("new.csv", dtype=str)
    frame.loc[3, column] = value
    frame.to_csv("wrong.csv", index=False)
    said = refused(*["wrong.csv" if word == "TABLE" else word for word in DOORS[door].split()], codes=(3,))
    assert f"'{column}'" in said


@pytest.mark.parametrize("door", DOORS)
def test_every_door_says_that_there_is_no_table(refused, door):
    said = refused(*["newww.csv" if word == "TABLE" else word for word in DOORS[door].split()], codes=(4,))
    assert "did you mean 'new.csv'?" in said or "no such" in said


@pytest.mark.parametrize(
    "content, target, said",
    [
        ("x,y\n1,\n2,\n", "y", "y"),
        ("x,y\n1,2\n", "y", "training needs at least 2"),
        ("y\n1\n2\n3\n", "y", "no column is left"),
        ("x,y,y\n1,2,3\n4,5,6\n", "y", "y"),
        ("x,y\n1,a\n2,a\n3,a\n", "y", "y"),
        ("x,y\n" + "\n".join(f"{i},id {i}" for i in range(300)), "nothing", "nothing"),
    ],
    ids=["no targets", "one row", "no inputs", "target twice", "one class", "no such target"],
)
def test_a_table_nothing_can_be_learned_from(place, refused, content, target, said):
    (place / "t.csv").write_text(content)
    assert said in refused("fit", "t.csv", "--target", target, "--out", "t.netloom", "--no-baselines", "--quiet", codes=(3,))


@pytest.mark.parametrize("number", ["1e309", "-1e309", "nan", "1e-320", "9" * 400, "0x1F", "1_000", "١٢", "∞"])
def test_strange_numbers_are_numbers_or_refused_by_name(place, survives, number):
    frame = pd.read_csv("new.csv", dtype=str)
    frame.loc[3, "size"] = number
    frame.to_csv("odd.csv", index=False)
    result = survives("predict", "good.netloom", "odd.csv")
    if result.exit_code:
        assert "column 'size': row 3 holds" in result.stderr
    else:
        assert pd.read_csv(io.StringIO(result.stdout))["y"].notna().all()


@pytest.mark.parametrize("text", ["\udc80", "\x00", "a\nb", '"', "\u202e", "😀" * 1000, "=cmd|' /C calc'!A0", "\x1b]0;x\x07"])
def test_strange_text_is_a_level_never_seen(woven, text):
    network, frame = TargetNetwork.load(woven / "classes.netloom"), pd.read_csv(woven / "new.csv", parse_dates=["day"])
    frame["colour"] = frame["colour"].astype(object)
    frame.loc[3, "colour"] = text
    assert network.predict_proba(frame)[3].sum() == pytest.approx(1)


@pytest.mark.parametrize("table", [None, 3, "new.csv", object, [], [[]], {}, {"size": 1}, [[1, 2], [3]], [["a"] * 7], b"x"], ids=repr)
def test_what_is_no_table_is_a_data_error(woven, table):
    network = TargetNetwork.load(woven / "good.netloom")
    for use in (network.predict, network.explain if table is not None else network.predict, network.predict_row):
        with pytest.raises(NetloomError) as caught:
            use(table)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError):
        Task.from_frame(table, target="y")


def test_a_bomb_of_gzip_is_refused(tmp_path):
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(gzip.compress(b"\0" * 5_000_000)))
    with pytest.raises(NetloomError):
        read_table(path)
