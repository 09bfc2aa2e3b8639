"""From outputs to chances and intervals: softmax, one temperature (Guo et al. 2017), quantiles of held-out residuals (conformal)."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

__all__ = [
    "COVERAGES",
    "class_losses",
    "coverage_of_folds",
    "fan",
    "interval_quantiles",
    "log_chances",
    "quantile_grid",
    "reliability",
    "temperature_of",
]

COVERAGES = (0.5, 0.8, 0.9, 0.95)  # of intervals, checked on held-out rows


def log_chances(outputs: np.ndarray) -> np.ndarray:
    """Log chances (n, C) of outputs (n, 1) for two classes (their log odds) or (n, C)."""
    if outputs.shape[1] == 1:
        return -np.logaddexp(0, np.concatenate([outputs, -outputs], axis=1))
    return log_softmax(outputs, axis=1)


def class_losses(outputs: np.ndarray, codes: np.ndarray, doubt: float = 0.0) -> np.ndarray:
    """Log loss (n,) of every row; with ``doubt`` each label is taken to be any class, at random, with that chance."""
    chances = log_chances(outputs)
    loss = -chances[np.arange(len(codes)), codes]
    return loss if doubt == 0 else (1 - doubt) * loss - doubt * chances.mean(axis=1)


def doubt_of(rows: float) -> float:
    """What ``rows`` rows without a single mistake leave open: one mistake in so many and two more (Laplace's rule of succession).

    Without it, held-out rows that are all right ask for ever larger outputs, and the first mistake on a new row costs any loss.
    """
    return 1.0 / (rows + 2.0)


def temperature_of(outputs: np.ndarray, codes: np.ndarray, weight: np.ndarray) -> float:
    """The factor on the outputs that minimises the weighted log loss of held-out rows, with the doubt they leave; between 1/30 and 30."""
    doubt = doubt_of(len(codes))

    def loss(log_factor: float) -> float:
        return float(np.average(class_losses(outputs * np.exp(log_factor), codes, doubt), weights=weight))

    limit = np.log(30.0)
    return float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded", options={"xatol": 1e-3}).x))


def quantile_grid() -> np.ndarray:
    """Coverages for which residual quantiles are kept: .01 to .99."""
    return np.arange(1, 100) / 100


def interval_quantiles(residual: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Half-widths (99, O) that cover `quantile_grid` of absolute held-out residuals (n, O), as split conformal corrects them."""
    n = len(residual)
    half = np.empty((99, residual.shape[1]))
    for o in range(residual.shape[1]):
        order = np.argsort(np.abs(residual[:, o]), kind="stable")
        size = np.abs(residual[order, o])
        mass = np.cumsum(weight[order]) / weight.sum()
        place = np.searchsorted(mass, np.minimum(quantile_grid() * (n + 1) / n, 1.0) - 1e-12)
        half[:, o] = size[np.minimum(place, n - 1)]
    return half.astype(np.float32)


def reliability(chances: np.ndarray, codes: np.ndarray, weight: np.ndarray | None = None, bins: int = 10) -> list[list[float]]:
    """What came of chances (n, C) that were given: [mean chance, how often it came true, how many], per tenth that any fell in.

    All classes are pooled, each against the rest; of two classes only the second, as the first mirrors it.
    """
    hit = np.arange(chances.shape[1]) == codes[:, None]  # (n, C)
    start = 1 if chances.shape[1] == 2 else 0
    given, true = chances[:, start:].ravel(), hit[:, start:].ravel()
    mass = np.repeat(np.ones(len(codes)) if weight is None else weight, chances.shape[1] - start)
    place = np.minimum((given * bins).astype(int), bins - 1)
    count, total = np.bincount(place, minlength=bins), np.bincount(place, mass, bins)
    kept = total > 0
    mean, rate = (np.bincount(place, mass * values, bins)[kept] / total[kept] for values in (given, true))
    return [[round(float(m), 4), round(float(r), 4), int(c)] for m, r, c in zip(mean, rate, count[kept], strict=True)]


def fan(predicted: np.ndarray, truth: np.ndarray, bins: int = 10) -> list[list[float]]:
    """What came for predictions (n,): [mean prediction, 10 %, 50 %, 90 % of the truth, how many] per tenth of the rows by prediction."""
    found = []
    for part in np.array_split(np.argsort(predicted, kind="stable"), min(bins, max(1, len(predicted) // 5))):
        if len(part):
            spread = np.quantile(truth[part], (0.1, 0.5, 0.9))
            found.append([*(float(f"{v:.5g}") for v in (predicted[part].mean(), *spread)), len(part)])
    return found


def coverage_of_folds(residual: np.ndarray, weight: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]) -> list[list[float]]:
    """[coverage asked for, share of held-out residuals (n, O) inside], each fold's intervals made from the residuals of the others."""
    inside = np.zeros((len(COVERAGES), *residual.shape))
    for train, test in folds:
        half = interval_quantiles(residual[train], weight[train])
        for c, asked in enumerate(COVERAGES):
            width = np.array([np.interp(asked, quantile_grid(), half[:, o]) for o in range(residual.shape[1])])
            inside[c, test] = np.abs(residual[test]) <= width
    return [[asked, round(float(np.average(inside[c].mean(axis=1), weights=weight)), 4)] for c, asked in enumerate(COVERAGES)]
