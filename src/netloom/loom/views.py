"""How encoded columns become the standardised values that a network reads: a view, learned on training rows only."""

import numpy as np
from scipy.special import ndtri

from netloom.target.cells import step_thresholds
from netloom.target.weights import CLIP, View

__all__ = ["make_view", "many_valued"]

KNOTS = 16  # pieces of the piecewise-linear map of a ranked column


def make_view(X: np.ndarray, weight: np.ndarray, *, columns: np.ndarray | None = None, ranked: bool = False, cells: bool = True) -> View:
    """Standardise ``columns`` (all if None) of encoded X (n, d); ``ranked``: those of more than two values become normal scores."""
    columns = np.arange(X.shape[1]) if columns is None else columns
    X = X if len(columns) == X.shape[1] else X[:, columns]
    mass = weight / weight.sum()
    largest = np.maximum(np.abs(X).max(axis=0), 1e-300)
    unit = X / largest  # so that squares of huge values do not overflow
    mean = mass @ unit
    deviation = np.sqrt(mass @ np.square(unit - mean))
    deviation[deviation < 1e-9 * np.maximum(1.0, np.abs(mean))] = 0.0  # constant but for rounding
    scale = np.where(deviation > 0, deviation * largest, 1.0)
    centre = mean * largest
    many = many_valued(X)
    knots = heights = None
    z = (X - centre) / scale
    if ranked and len(many):
        knots, heights = zip(*(_ranks(z[:, j], weight) for j in many), strict=True)
        knots, heights = np.stack(knots), np.stack(heights)
        z[:, many] = np.stack([np.interp(z[:, j], k, h) for j, k, h in zip(many, knots, heights, strict=True)], axis=1)
    z = np.clip(z, -CLIP, CLIP)
    return View(columns, centre, scale, many, step_thresholds(z[:, many], weight), knots, heights, cells)


def many_valued(X: np.ndarray) -> np.ndarray:
    """Which columns (m,) of X (n, d) hold more than two values."""
    return np.flatnonzero(~((X.min(axis=0) == X) | (X.max(axis=0) == X)).all(axis=0))


def _ranks(z: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots and heights (`KNOTS`,) of the map from values to normal scores of their mid-ranks."""
    values, inverse = np.unique(z, return_inverse=True)
    mass = np.bincount(inverse, weight)
    rank = (np.cumsum(mass) - mass / 2) / mass.sum()  # mid-ranks: ties share one
    score = ndtri(rank)
    score = score - np.average(score, weights=mass)
    score = score / max(np.sqrt(np.average(np.square(score), weights=mass)), 1e-6)
    if len(values) <= KNOTS:
        fill = KNOTS - len(values)
        return np.concatenate([values, np.full(fill, values[-1])]), np.concatenate([score, np.full(fill, score[-1])])
    place = np.interp(np.linspace(rank[0], rank[-1], KNOTS), rank, np.arange(len(values)))
    place = np.unique(np.round(place).astype(int))
    fill = KNOTS - len(place)
    return np.concatenate([values[place], np.full(fill, values[-1])]), np.concatenate([score[place], np.full(fill, score[-1])])
