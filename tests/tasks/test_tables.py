"""Files in and out: found by looking, written whole or not at all, and one clear line for each that is broken."""

import gzip
import io
import os
import sys

import numpy as np
import pandas as pd
import pytest

from netloom.errors import DataError, FileError, NetloomError
from netloom.tasks import read_table, tables, write_table

FRAME = pd.DataFrame(
    {
        "number": [1.1, np.nan, 1 / 3],
        "text": ["x,y", None, 'q"; \n'],
        "when": pd.to_datetime(["2024-01-01 00:00", "2024-01-02 12:30", None]),
        "flag": [True, False, True],
        "whole": [1, 2, 3],
    }
)


def read(content):
    return read_table(io.BytesIO(content if isinstance(content, bytes) else content.encode()))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"], ids=["comma", "semicolon", "tab", "bar"])
def test_the_separator_is_found(separator):
    text = f"name{separator}size\nx y{separator}1\n{separator}2.5\n"
    frame = read(text)
    assert frame.columns.tolist() == ["name", "size"] and frame["size"].tolist() == [1, 2.5]
    assert frame.name.isna().tolist() == [False, True]


def test_separators_inside_text_and_quotes_do_not_count():
    assert read("price, EUR;amount\n1,5;3\n2,25;4\n")["price, EUR"].tolist() == [1.5, 2.25]
    frame = read('a,"b;c;d"\n1,"x;y;z"\n2,"multi\nline"\n')
    assert frame.columns.tolist() == ["a", "b;c;d"] and frame.iloc[1, 1] == "multi\nline"
    assert read('a, "b"\n1, "x, y"\n').iloc[0].tolist() == [1, "x, y"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
def test_the_encoding_is_found(encoding):
    frame = read("größe;é\n1;ü\n2;ß\n".encode(encoding))
    assert frame.columns.tolist() == ["größe", "é"] and frame["é"].tolist() == ["ü", "ß"]


def test_decimal_commas_are_numbers():
    frame = read("a;b;c;d\n1,5;1.234,5;x,y;7\n-2;2,25;z;\n")
    assert frame.a.tolist() == [1.5, -2] and frame.b.tolist() == [1234.5, 2.25] and frame.c.tolist() == ["x,y", "z"]
    points = read("a;b\n1.5;1,2\n2.5;3,4\n")  # decimal points elsewhere: the comma means something else
    assert points.a.tolist() == [1.5, 2.5] and points.b.tolist() == ["1,2", "3,4"]
    assert read('a,b\n"1,5",2\n').a.tolist() == ["1,5"]  # may be thousands


@pytest.mark.parametrize(
    "first, second, moment",
    [
        ("2024-01-31", "", "2024-01-31"),
        ("2024-01-31 12:00", "2024-02-01 13:30", "2024-01-31 12:00"),
        ("2024-01-31", "2024-02-01 13:30:01.5", "2024-01-31"),
        ("2024-01-31T12:00:00Z", "2024-01-31T12:00:00+02:00", "2024-01-31 12:00+00:00"),
    ],
)
def test_iso_dates_are_read(first, second, moment):
    frame = read(f"n,when\n1,{first}\n2,{second}\n")
    assert frame.when.dtype.kind == "M" and frame.when[0] == pd.Timestamp(moment)
    assert pd.isna(frame.when[1]) == (second == "")


@pytest.mark.parametrize(
    "values", [("2024-01-31", "soon"), ("2024-02-30", "2024-01-01"), ("2024-01-31 12:00", "2024-01-31 12:00Z"), ("1-2-3", "x")]
)
def test_what_is_not_all_dates_stays_text(values):
    assert read("when,n\n{},1\n{},2\n".format(*values)).when.tolist() == list(values)


def test_missing_values_by_many_names():
    frame = read("a,b\n1,x\n,?\nNA,\nn/a,y\nnull,NaN\n")
    assert frame.a.isna().tolist() == [False, True, True, True, True] and frame.b.isna().tolist() == [False, True, True, False, True]


def test_names_stay_as_they_are():
    assert read("a, a ,,b.1\n1,2,3,4\n").columns.tolist() == ["a", "a", "Unnamed: 2", "b.1"]


def test_line_ends_and_blank_lines():
    for end in ("\n", "\r\n", "\r"):
        assert read(f"a,b{end}1,2{end}{end}3,4").to_numpy().tolist() == [[1, 2], [3, 4]]


def test_a_header_alone_is_a_table_without_rows():
    assert read("a,b\n").shape == (0, 2)


def test_one_column():
    assert read("x\n1\n2\n").x.tolist() == [1, 2]


def test_wide_files():
    frame = read(",".join(f"c{j}" for j in range(5000)) + "\n" + ",".join(map(str, range(5000))) + "\n")
    assert frame.shape == (1, 5000) and frame.iloc[0].sum() == sum(range(5000))


def test_json_lines_and_an_array_of_objects():
    lines = '{"a": 1, "b": "x", "when": "2024-01-31"}\n\n{"b": null, "a": 2}\n'
    for content in (lines, "\ufeff" + lines, "[" + lines.replace("\n\n", ",") + "]"):
        frame = read(content)
        assert frame.a.tolist() == [1, 2] and frame.b.isna().tolist() == [False, True] and frame.when.dtype.kind == "M"


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "ndjson", "parquet"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_what_is_written_is_read(ending, packed, tmp_path):
    path = tmp_path / f"table.v1.{ending}{packed}"
    write_table(FRAME, path)
    pd.testing.assert_frame_equal(read_table(path), FRAME, check_dtype=False)
    pd.testing.assert_frame_equal(read_table(io.BytesIO(path.read_bytes())), FRAME, check_dtype=False)  # the name does not matter
    assert path.read_bytes()[:2] == b"\x1f\x8b" or not packed
    assert os.listdir(tmp_path) == [path.name]


def test_a_named_index_in_parquet_is_a_column(tmp_path):
    FRAME.set_index("whole").to_parquet(tmp_path / "x.parquet")
    assert sorted(read_table(tmp_path / "x.parquet").columns) == sorted(FRAME.columns)


def test_standard_input_and_output(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b"a,b\n1,2\n", mtime=0))))
    write_table(read_table("-"), "-")
    assert capsys.readouterr().out == "a,b\n1,2\n"
    assert read_table(io.StringIO("ä,b\n1,2\n")).columns.tolist() == ["ä", "b"]


def test_repeated_names_survive_csv(tmp_path):
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    write_table(frame, tmp_path / "x.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "x.csv"), frame)


@pytest.mark.parametrize(
    "content, kind, text",
    [
        (b"", DataError, "is empty; a table needs a header line and rows"),
        (b" \n\n", DataError, "is empty; a table needs a header line and rows"),
        (gzip.compress(b"", mtime=0), DataError, "is empty; a table needs a header line and rows"),
        (b"a,b\n1,2\n3\n", DataError, ": line 3 has 1 field, the header has 2; complete it or quote its text"),
        (b"a,b\n1,2\n\n3,4,5\n", DataError, ": line 4 has 3 fields, the header has 2; complete it or quote its text"),
        (b'a,b\n1,"x\ny"\n3\n', DataError, ": line 4 has 1 field, the header has 2; complete it or quote its text"),
        (b'a,b\n1,2\n1,"2\n3,4\n', DataError, ": the quote opened in line 3 is never closed; close it, or get the whole file"),
        (
            b"a,b\n1,\0\n",
            FileError,
            "is not a text table (it holds binary data); give CSV, JSON lines or Parquet, or one of these with .gz",
        ),
        (
            bytes(range(256)) * 4,
            FileError,
            "is not a text table (it holds binary data); give CSV, JSON lines or Parquet, or one of these with .gz",
        ),
        (b"PK\x03\x04rest", FileError, "is a zip archive or Excel workbook, which is not read; save it as " + tables.ENDINGS),
        (b'{"a": 1}\n{"a": \n', DataError, ": line 2 is not JSON: Expecting value at character 7"),
        (b'{"a": 1}\n[2]\n', DataError, ': line 2 holds [2]; each must be an object like {"name": value}'),
        (b'[{"a": 1}, 2]', DataError, ': entry 2 holds 2; each must be an object like {"name": value}'),
        (b"[" * 100_000, DataError, "is not JSON that can be read: too deep, or a number too long"),
        (b'{"a": 1' + b"0" * 5000 + b"}", DataError, ": line 1 is not JSON that can be read: too deep, or a number too long"),
        (b"[]", DataError, "is empty; a table needs rows"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, bytes) else "",
)
def test_a_broken_file_is_one_clear_line(content, kind, text):
    with pytest.raises(kind) as caught:
        read(content)
    assert str(caught.value) == "the open file" + ("" if text.startswith(":") else " ") + text


def _parquet():
    buffer = io.BytesIO()
    FRAME.to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("whole", [gzip.compress(b"a,b\n1,2\n" * 50, mtime=0), _parquet()], ids=["gzip", "parquet"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_cut_file_says_what_it_is(whole, keep):
    with pytest.raises(FileError, match=r"^the open file is a damaged (or cut gzip|Parquet) file \(.*\); get it again$") as caught:
        read(whole[: int(len(whole) * keep)])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_an_error_of_ours(seed):
    noise = np.random.default_rng(seed).bytes(400)
    for content in (noise, b"\x1f\x8b" + noise, b"PAR1" + noise, b"{" + noise, b"\xff\xfe" + noise):
        with pytest.raises(NetloomError) as caught:
            read(content)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "table.csv").write_text("a\n1\n")
    with pytest.raises(FileError) as caught:
        read_table(tmp_path / "tabel.csv")
    assert str(caught.value) == f"{str(tmp_path / 'tabel.csv')!r}: there is no such file (did you mean {str(tmp_path / 'table.csv')!r}?)"
    with pytest.raises(FileError, match="there is no such file, nor a folder"):
        read_table(tmp_path / "no" / "table.csv")
    with pytest.raises(FileError, match="is a folder; give the path of a file in it$"):
        read_table(tmp_path)
    with pytest.raises(FileError, match="^'a\\\\x00b': cannot read it"):
        read_table("a\0b")
    with pytest.raises(FileError, match="not from int$"):
        read_table(3)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    write_table(FRAME, path)
    before = path.read_bytes()

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(FileError, match="cannot write it: No space left on device$"):
        write_table(FRAME, path)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_table(FRAME, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.csv"]


def test_a_link_keeps_its_place(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    write_table(FRAME[["whole"]], tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "real.csv").read_text() == "whole\n1\n2\n3\n"


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(FileError, match=r"the ending must be \.csv, \.tsv, \.jsonl, \.ndjson or \.parquet, each also with \.gz$"):
        write_table(FRAME, tmp_path / "x.xlsx")
    with pytest.raises(FileError, match="cannot write it: No such file or directory$"):
        write_table(FRAME, tmp_path / "no" / "x.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(FileError, match="cannot write it: Is a directory$"):
        write_table(FRAME, tmp_path / "folder.csv")
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    for ending in ("jsonl", "parquet"):
        with pytest.raises(DataError, match="cannot hold"):
            write_table(twice, tmp_path / f"x.{ending}")
    assert os.listdir(tmp_path) == ["folder.csv"]


def test_a_pipe_is_written_not_replaced(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_table(FRAME[["whole"]], pipe)
    assert os.read(reader, 100) == b"whole\n1\n2\n3\n" and os.listdir(tmp_path) == ["pipe.csv"]
    os.close(reader)


def test_text_with_awkward_letters_survives(tmp_path):
    frame = pd.DataFrame({"t": ['"', "'", "a\nb", "ä€\U0001f600", "; , | \t x", "1,5"], "n": range(6)})
    for ending in ("csv", "tsv", "jsonl", "parquet"):
        write_table(frame, tmp_path / f"x.{ending}")
        assert read_table(tmp_path / f"x.{ending}").t.tolist() == frame.t.tolist()
