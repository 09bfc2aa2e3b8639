"""Scores with their standard errors: accuracy, ROC AUC, log loss and calibration error for classes, R2 and RMSE for values.

A prediction is an array of shape (n, O): probabilities in the order of the class codes, or values. Rows weigh the same.
Scores that are means over rows get their standard error from the rows; the others from resampled rows (bootstrap).
"""

from collections.abc import Callable, Iterator

import numpy as np
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error

__all__ = ["MAIN_SCORE", "SCORES", "auc", "calibration_error", "coverage", "higher_is_better", "paired", "score", "standard_errors"]


def auc(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Area under the ROC curve: one-against-one, mean over pairs of classes (Hand & Till 2001); NaN if fewer than two classes are present.

    Pairs with a class that has no row are left out, where scikit-learn's ``multi_class="ovo"`` (the same number otherwise) gives up.

    Parameters
    ----------
    truth : int array of shape (n,), class codes
    predicted : array of shape (n, O), probabilities
    """
    if predicted.shape[1] == 2:  # both directions of the one pair are the same
        return _above(predicted[truth == 1, 1], predicted[truth == 0, 1])
    present = [code for code in range(predicted.shape[1]) if (truth == code).any()]
    columns = [[predicted[truth == b, a] for b in present] for a in present]  # [a][b]: probabilities of a on rows of class b
    pairs = [_above(columns[i][i], columns[i][j]) for i in range(len(present)) for j in range(len(present)) if i != j]
    return float(np.mean(pairs)) if pairs else float("nan")


def calibration_error(truth: np.ndarray, predicted: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of the most probable class: equal-width bins of its probability (Guo et al. 2017)."""
    confidence, right = predicted.max(axis=1), predicted.argmax(axis=1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(place, weights=right - confidence, minlength=bins)  # (bins,) rows in the bin times (accuracy - confidence)
    return float(np.abs(gap).sum() / len(truth))


def coverage(truth: np.ndarray, interval: np.ndarray) -> float:
    """Share of true values inside their interval: truth (n, O), interval (n, O, 2), or (n, 2) for one target."""
    interval = interval.reshape(*truth.shape, 2)  # (n, 1) against (n,) would compare every row with every other
    return float(np.mean((truth >= interval[..., 0]) & (truth <= interval[..., 1])))


def _above(upper: np.ndarray, lower: np.ndarray) -> float:
    """Probability that a draw of `upper` exceeds one of `lower`, ties half: Mann-Whitney; roc_auc_score is too slow for a bootstrap."""
    if not len(upper) or not len(lower):
        return float("nan")
    lower = np.sort(lower)
    below = np.searchsorted(lower, upper, "left") + np.searchsorted(lower, upper, "right")
    return float(below.mean() / (2 * len(lower)))


def _accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(accuracy_score(truth, predicted.argmax(axis=1)))


def _log_loss(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(log_loss(truth, predicted, labels=np.arange(predicted.shape[1])))


def _r2(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(r2_score(truth, predicted)) if len(truth) > 1 else float("nan")


def _rmse(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(root_mean_squared_error(truth, predicted))


SCORES: dict[str, dict[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    "classification": {"accuracy": _accuracy, "auc": auc, "log_loss": _log_loss, "ece": calibration_error},
    "regression": {"r2": _r2, "rmse": _rmse},
}
MAIN_SCORE = {"classification": "log_loss", "regression": "rmse"}  # what baselines are chosen by
_LOWER_IS_BETTER = {"log_loss", "ece", "rmse"}
_ROW_VALUES = {  # scores that are a mean over rows
    "accuracy": lambda truth, predicted: predicted.argmax(axis=1) == truth,
    "log_loss": lambda truth, predicted: -np.log(np.clip(predicted[np.arange(len(truth)), truth], np.finfo(predicted.dtype).eps, 1)),
}


def higher_is_better(name: str) -> bool:
    """Whether more of this score is better; false for log loss, calibration error and RMSE."""
    return name not in _LOWER_IS_BETTER


def score(kind: str, truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """All scores of a kind of task; truth holds (n,) class codes or (n, O) values, predicted (n, O)."""
    predicted = _checked(kind, predicted)
    return {name: function(truth, predicted) for name, function in SCORES[kind].items()}


def standard_errors(kind: str, truth: np.ndarray, predicted: np.ndarray, *, seed: int = 0, resamples: int = 200) -> dict[str, float]:
    """Standard error of each score from the test rows: of the mean where the score is one, else by bootstrap with this seed."""
    predicted = _checked(kind, predicted)
    return {name: _error(name, function, truth, (predicted,), seed, resamples) for name, function in SCORES[kind].items()}


def paired(
    kind: str, truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray, *, seed: int = 0, resamples: int = 200, only: str | None = None
) -> dict[str, tuple[float, float]]:
    """Score of `ours` minus score of `theirs` on the same rows, with the standard error of that difference, per score (or `only` one)."""
    both = _checked(kind, ours), _checked(kind, theirs)
    return {
        name: (function(truth, both[0]) - function(truth, both[1]), _error(name, function, truth, both, seed, resamples))
        for name, function in SCORES[kind].items()
        if only in (None, name)
    }


def _checked(kind: str, predicted: np.ndarray) -> np.ndarray:
    """As float64; probabilities are made to sum to one exactly (float32 ones do so only nearly)."""
    predicted = np.asarray(predicted, dtype=np.float64)
    if kind == "classification":
        predicted = predicted / predicted.sum(axis=1, keepdims=True)
    return predicted


def _error(name: str, function: Callable, truth: np.ndarray, predictions: tuple[np.ndarray, ...], seed: int, resamples: int) -> float:
    """Standard error of a score of one prediction, or of the difference between two."""
    n = len(truth)
    if n < 2:
        return float("nan")
    if name in _ROW_VALUES:
        values = [np.asarray(_ROW_VALUES[name](truth, predicted), dtype=float) for predicted in predictions]
        rows = values[0] - values[1] if len(values) == 2 else values[0]
        return float(rows.std() / n**0.5)
    again = [np.subtract.reduce([function(truth[rows], p[rows]) for p in predictions]) for rows in _resampled(n, seed, resamples)]
    usable = np.isfinite(again)  # a resample may miss a class
    return float(np.std(np.array(again)[usable], ddof=1)) if usable.sum() > 1 else float("nan")


def _resampled(n: int, seed: int, resamples: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield rng.integers(n, size=n)
