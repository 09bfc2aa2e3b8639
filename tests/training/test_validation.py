"""Scores: AUC as scikit-learn has it; the sets are the same every time; tables trained on do not judge."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from netloom.training.sources import Sources
from netloom.training.validation import Validation, auc


@pytest.mark.parametrize("classes", [2, 4])
def test_auc_is_that_of_scikit_learn(classes):
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, 200)
    logits = np.round(rng.normal(size=(200, classes)) + np.eye(classes)[y], 1)  # with ties
    share = torch.softmax(torch.as_tensor(logits), -1).numpy()
    expected = roc_auc_score(y, share[:, 1]) if classes == 2 else roc_auc_score(y, share, multi_class="ovr")
    assert auc(torch.as_tensor(logits), torch.as_tensor(y), classes) == pytest.approx(expected, abs=1e-12)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    place = tmp_path / "tables"
    place.mkdir()
    for name in ("a", "b", "c", "d"):
        x = rng.normal(size=(80, 3))
        frame = pd.DataFrame(x, columns=["u", "v", "w"]).assign(group=rng.choice(list("xyz"), 80))
        frame["target"] = x[:, 0] > 0 if name in "ab" else x @ [1, 2, 3]
        frame.to_csv(place / f"{name}.csv", index=False)
    return str(place)


def test_halves_are_disjoint_and_the_other_half_judges(tiny, folder):
    found = []
    for half in (0, 1):
        settings = tiny(tables=folder, half=half, rows=(10, 20))
        sources = Sources(settings, torch.device("cpu"))
        judging = {tasks.source for tasks in Validation(settings, sources, torch.device("cpu")).real}
        training = {table.name for table in sources.tables}
        assert training | judging == set("abcd") and not training & judging
        found.append(training)
    assert found[0] == {"a", "c"} and found[1] == {"b", "d"}


def test_a_suite_judges_with_the_tables_that_were_not_trained_on(tiny, folder):
    settings = tiny(tables=folder, suite=folder)
    assert Validation(settings, Sources(settings, torch.device("cpu")), torch.device("cpu")).real == []


def test_scores_are_the_same_every_time(tiny, folder):
    from netloom.training.trainer import Trainer

    run = Trainer(tiny(suite=folder), lambda line: None)
    first, second = run.validation.scores(run.loom), run.validation.scores(run.loom)
    assert first == second and {"loss", "real loss", "real auc", "real r2"} <= set(first)
