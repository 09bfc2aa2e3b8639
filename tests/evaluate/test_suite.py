"""The suite runs every model on the same rows, records failures, and goes on where it was cut."""

import csv
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pandas as pd
import pytest

from netloom.errors import ConfigError, FileError
from netloom.evaluate import suite as module
from netloom.evaluate.baselines import fit_baseline
from netloom.evaluate.suite import COLUMNS, Job, read_index, run, run_one


@pytest.fixture
def folder(tmp_path):
    """A suite of two small tables."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc")).assign(word=rng.choice(["p", "q"], size=60))
    for kind, target in (("classification", pd.Categorical(np.where(X["a"] > 0, "up", "down"))), ("regression", X["a"] * 2)):
        (tmp_path / kind).mkdir()
        X.assign(target=target).to_parquet(tmp_path / kind / f"{kind}-table.parquet")
    pd.DataFrame({"name": ["classification-table", "regression-table"], "kind": ["classification", "regression"]}).to_csv(
        tmp_path / "index.csv", index=False
    )
    return tmp_path


class Network:
    """What the suite looks at in a woven network."""

    n_bytes, n_parameters = 1000, 77
    architecture = {"members": [{"family": f, "weight": w} for f, w in (("cells", 0.25), ("woven", 0.5), ("cells", 0.25))]}

    def __init__(self, task, seed):
        self.inner = fit_baseline("linear", task, seed)

    def predict_proba(self, frame):
        return self.inner.predict_proba(frame)

    def predict(self, frame):
        return self.inner.predict(frame)

    def predict_interval(self, frame, coverage):
        return self.predict(frame)[:, :, None] + np.array([-1e9, 1e9])


def broken(task, seed):
    raise RuntimeError("no loom\ntoday")


def quiet(share, message):
    pass


def test_a_line_per_table_seed_and_model(folder):
    lines = run(folder, folder / "out" / "runs.csv", fits={"netloom": Network}, seeds=(0, 1), progress=quiet)
    assert tuple(lines.columns) == COLUMNS
    assert len(lines) == 4 and lines["error"].isna().all()
    classes, values = lines[lines["kind"] == "classification"], lines[lines["kind"] == "regression"]
    assert classes["auc"].min() > 0.9 and classes["r2"].isna().all() and classes["coverage90"].isna().all()
    assert values["r2"].min() > 0.9 and (values["coverage90"] == 1).all() and values["accuracy"].isna().all()
    assert (lines["n_train"] == 30).all() and (lines["n_test"] == 30).all()
    assert (lines["bytes"] == 1000).all() and (lines["parameters"] == 77).all() and (lines["family"] == "cells 0.50, woven 0.50").all()


def test_a_model_that_fails_is_recorded_and_the_others_go_on(folder):
    said = []
    out = folder / "runs.csv"
    lines = run(folder, out, fits={"broken": broken, "netloom": Network}, seeds=(0,), progress=lambda share, message: said.append(message))
    failed = lines[lines["model"] == "broken"]
    assert failed["error"].str.startswith("RuntimeError: no loom today (test_suite.py:").all() and failed["accuracy"].isna().all()
    assert lines.loc[lines["model"] == "netloom", "error"].isna().all()
    assert said[0].startswith("[1/4] classification-table seed 0 broken: RuntimeError") and "auc" in said[1] and "r2" in said[3]


def test_goes_on_where_it_was_cut(folder):
    out, calls = folder / "runs.csv", []

    def counted(task, seed):
        calls.append((task.kind, seed))
        return Network(task, seed)

    run(folder, out, fits={"netloom": counted}, seeds=(0, 1), progress=quiet)
    whole = out.read_bytes()
    out.write_bytes(whole[:-20])  # as if killed while writing the last line
    calls.clear()
    lines = run(folder, out, fits={"netloom": counted}, seeds=(0, 1), progress=quiet)
    assert calls == [("regression", 1)] and len(lines) == 4
    assert [row[:4] for row in csv.reader(out.open())] == [row[:4] for row in csv.reader(whole.decode().splitlines())]
    run(folder, out, fits={"netloom": counted}, seeds=(0, 1), progress=quiet)
    assert len(calls) == 1


def test_a_file_of_another_kind_is_left_alone(folder):
    out = folder / "other.csv"
    out.write_text("name,score\na,1\n")
    with pytest.raises(FileError, match="its columns differ"):
        run(folder, out, fits={"netloom": Network}, progress=quiet)
    assert out.read_text() == "name,score\na,1\n"


def test_processes_give_the_lines_of_one_process(folder):
    here = run(folder, folder / "1.csv", fits={"linear": lambda task, seed: fit_baseline("linear", task, seed)}, seeds=(0,), progress=quiet)
    both = here, run(folder, folder / "2.csv", ["linear"], seeds=(0,), jobs=2, progress=quiet)
    one, two = (lines.sort_values(["name", "model"]).drop(columns=["fit_s", "predict_s"]).reset_index(drop=True) for lines in both)
    pd.testing.assert_frame_equal(one, two)
    assert (one["bytes"] > 0).all()


def test_a_process_that_dies_takes_nobody_with_it(folder, monkeypatch):
    class Pool:
        """Runs jobs at once; the killer breaks the pool for all that are not done, as a crash does."""

        def __init__(self, workers, mp_context):
            self.broken = False

        def submit(self, function, job):
            future = Future()
            self.broken = self.broken or job.model == "knn"
            if self.broken:
                future.set_exception(BrokenProcessPool("gone"))
            else:
                future.set_result(function(job))
            return future

        def shutdown(self, wait, cancel_futures):
            pass

    monkeypatch.setattr(module, "ProcessPoolExecutor", Pool)
    lines = run(folder, folder / "runs.csv", ["constant", "knn", "linear"], seeds=(0,), jobs=2, progress=quiet)
    assert len(lines) == 6
    assert lines[lines["error"].notna()][["model", "error"]].to_numpy().tolist() == [["knn", "the process died"]] * 2


def test_tables_are_chosen_by_name_or_number(folder):
    out = folder / "runs.csv"
    assert set(run(folder, out, fits={"m": Network}, max_tables=1, seeds=(0,), progress=quiet)["name"]) == {"classification-table"}
    chosen = run(folder, folder / "b.csv", fits={"m": Network}, tables=["regression-table"], seeds=(0,), progress=quiet)
    assert set(chosen["name"]) == {"regression-table"}


@pytest.mark.parametrize("most_rows", [1, 0, -5])
def test_too_few_rows_are_refused_before_anything_runs(folder, most_rows):
    with pytest.raises(ConfigError, match=f"most_rows = {most_rows}: must be 2 or more"):
        run(folder, folder / "runs.csv", ["linear"], most_rows=most_rows, progress=quiet)
    assert not (folder / "runs.csv").exists()


def test_unknown_names_are_said(folder):
    with pytest.raises(ConfigError, match="table 'iris': not in"):
        run(folder, folder / "runs.csv", ["linear"], tables=["iris"])
    with pytest.raises(ConfigError, match="model 'tabpfn': unknown; choose from netloom, quick, untrained"):
        run(folder, folder / "runs.csv", ["tabpfn"])
    with pytest.raises(FileError, match="index.csv: not found; a suite is a folder"):
        read_index(folder / "nowhere")
    assert not (folder / "runs.csv").exists()


def test_a_table_that_is_gone_is_an_error_of_its_line(folder):
    row = run_one(Job(str(folder), "missing", "regression", 0, "linear"))
    assert row["error"].startswith("FileNotFoundError") and "rmse" not in row


def test_controls_are_options_of_fit(folder, monkeypatch):
    import netloom.loom.fit

    asked = []
    monkeypatch.setattr(netloom.loom.fit, "fit", lambda task, loom, seed, **options: asked.append((seed, options)) or Network(task, seed))
    for name in module.NETWORKS:
        assert "error" not in run_one(Job(str(folder), "regression-table", "regression", 2, name))
    assert asked == [(2, options) for options in module.NETWORKS.values()]
