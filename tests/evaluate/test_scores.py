"""Scores equal what they are by definition, computed slowly; standard errors shrink as they should."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from netloom.evaluate.scores import SCORES, auc, calibration_error, coverage, higher_is_better, paired, score, standard_errors


def probabilities(n, outputs, seed=0, right=1.0):
    """Codes and somewhat right probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(outputs, size=n)
    logits = rng.normal(size=(n, outputs)) + right * np.eye(outputs)[truth]
    return truth, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("outputs", [2, 3, 7])
def test_auc_is_the_one_of_sklearn(outputs):
    truth, predicted = probabilities(200, outputs)
    expected = roc_auc_score(truth, predicted[:, 1]) if outputs == 2 else roc_auc_score(truth, predicted, multi_class="ovo")
    assert auc(truth, predicted) == pytest.approx(expected, rel=1e-12)


def test_auc_counts_pairs_with_ties_half():
    truth, predicted = np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.4, 0.4, 0.4, 0.9])
    pairs = [(a > b) + 0.5 * (a == b) for a in predicted[truth == 1] for b in predicted[truth == 0]]
    assert auc(truth, np.column_stack([1 - predicted, predicted])) == pytest.approx(np.mean(pairs))


def test_auc_leaves_out_classes_without_rows():
    truth, predicted = probabilities(100, 4)
    rows = truth != 2
    pairs = [(a, b) for a in (0, 1, 3) for b in (0, 1, 3) if a != b]
    slow = np.mean([roc_auc_score(truth[m] == a, predicted[m, a]) for a, b in pairs for m in [np.isin(truth, (a, b))]])
    assert auc(truth[rows], predicted[rows]) == pytest.approx(slow)
    assert np.isnan(auc(np.zeros(5, dtype=int), predicted[:5]))
    assert np.isnan(auc(np.zeros(5, dtype=int), predicted[:5, :2]))


def test_log_loss_and_accuracy_row_by_row():
    truth, predicted = probabilities(50, 3)
    found = score("classification", truth, predicted)
    assert found["log_loss"] == pytest.approx(-np.mean([np.log(p[t]) for t, p in zip(truth, predicted, strict=True)]))
    assert found["accuracy"] == np.mean([np.argmax(p) == t for t, p in zip(truth, predicted, strict=True)])


def test_log_loss_of_a_class_that_is_not_in_the_rows_is_finite_even_when_sure_and_wrong():
    assert 30 < score("classification", np.array([0, 0]), np.array([[0.0, 1.0], [0.0, 1.0]]))["log_loss"] < 40


def test_calibration_error_bin_by_bin():
    truth, predicted = probabilities(500, 3)
    slow = 0.0
    for low in np.arange(15) / 15:
        inside = (predicted.max(axis=1) >= low) & (predicted.max(axis=1) < low + 1 / 15)
        if inside.any():
            slow += inside.mean() * abs((predicted.argmax(axis=1) == truth)[inside].mean() - predicted.max(axis=1)[inside].mean())
    assert calibration_error(truth, predicted) == pytest.approx(slow)
    assert calibration_error(np.array([1, 1]), np.array([[0.0, 1.0], [0.0, 1.0]])) == 0


def test_values_of_several_targets():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(40, 2))
    predicted = truth + rng.normal(size=(40, 2)) * [0.1, 0.5]
    squares = ((truth - predicted) ** 2).mean(axis=0)
    found = score("regression", truth, predicted)
    assert found["rmse"] == pytest.approx(np.mean(squares**0.5))
    assert found["r2"] == pytest.approx(np.mean(1 - squares / truth.var(axis=0)))


def test_coverage_counts_values_inside():
    truth = np.array([[0.0], [1.0], [2.0], [3.0]])
    assert coverage(truth, np.array([[[0, 1]], [[0, 1]], [[0, 1]], [[0, 1]]], dtype=float)) == 0.5


def test_error_of_accuracy_is_binomial():
    truth, predicted = probabilities(400, 2)
    share = score("classification", truth, predicted)["accuracy"]
    assert standard_errors("classification", truth, predicted)["accuracy"] == pytest.approx((share * (1 - share) / 400) ** 0.5)


@pytest.mark.parametrize("name", ["auc", "log_loss", "ece", "r2", "rmse"])
def test_errors_are_the_spread_over_fresh_samples(name):
    """Draw the test rows anew many times: the scores vary by what one sample says they do."""
    kind = next(kind for kind in SCORES if name in SCORES[kind])

    def draw(seed):
        if kind == "classification":
            return probabilities(300, 2, seed)
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=(300, 1))
        return truth, truth + rng.normal(size=(300, 1))

    spread = np.std([score(kind, *draw(seed))[name] for seed in range(200)])
    assert standard_errors(kind, *draw(1000))[name] == pytest.approx(spread, rel=0.6 if name == "ece" else 0.35)


def test_a_paired_difference_is_surer_than_two_errors():
    truth, predicted = probabilities(300, 3)
    nearly = 0.95 * predicted + 0.05 / 3
    alone = standard_errors("classification", truth, predicted)
    for name, (difference, error) in paired("classification", truth, predicted, nearly).items():
        expected = score("classification", truth, predicted)[name] - score("classification", truth, nearly)[name]
        assert difference == pytest.approx(expected)
        assert error <= alone[name]
    assert paired("classification", truth, predicted, nearly, seed=3) == paired("classification", truth, predicted, nearly, seed=3)


def test_one_row_has_no_error():
    assert np.isnan(standard_errors("regression", np.ones((1, 1)), np.ones((1, 1)))["rmse"])
    assert np.isnan(score("regression", np.ones((1, 1)), np.ones((1, 1)))["r2"])


def test_less_is_better_for_losses_only():
    assert [n for k in SCORES.values() for n in k if not higher_is_better(n)] == ["log_loss", "ece", "rmse"]


@pytest.mark.parametrize("shape", [(40, 2), (40, 1, 2)], ids=["one target", "list of one target"])
def test_coverage_compares_each_row_with_its_own_interval(shape):
    truth = np.arange(40.0)[:, None]
    interval = np.concatenate([truth - 0.5, truth + 0.5], axis=1)
    interval[:10] += 100
    assert coverage(truth, interval.reshape(shape)) == 0.75
