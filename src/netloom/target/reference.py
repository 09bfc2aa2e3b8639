"""What the training rows looked like, in a few hundred numbers and no row of them: shares, quantiles, and how columns go together.

Each feature has a latent normal score (its mid-rank; a 0/1 feature its standardised value), and the scores follow a factor model: low rank
plus noise, a Gaussian copula. It draws rows for explanations to compare with, and tells rows unlike those of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from netloom.errors import DataError
from netloom.tasks.columns.category import Category
from netloom.tasks.schema import Schema

__all__ = ["LEVELS", "Reference", "learn_reference", "value_features"]

LEVELS = (0.5, 0.9, 0.99, 0.995, 1.0)  # shares of the training rows within each of ``distances``
FACTORS = 8
ROWS = 5_000  # more rows than this tell little new about a quantile
CELLS = 8_000_000  # of rows and features looked at: fewer rows of a very wide table
FURTHEST = 3.0  # scores are cut here: a rare yes must not count for a hundred rows
NOISE = 0.05  # least share of a score that the others cannot tell; levels of one category tell each other exactly


@dataclass(frozen=True, eq=False)
class Reference:
    """The summary.

    Attributes
    ----------
    latent : (d, 2 + r), per feature: its mean if it is a yes/no (else 0), the variance of its noise, its loadings on r factors
    quantiles : (m, Q), of the features with more than two values, at Q equal steps of chance from 0 to 1; rows where it is missing left out
    distances : (5,), how far `LEVELS` of the training rows are from the middle
    """

    latent: np.ndarray
    quantiles: np.ndarray
    distances: np.ndarray

    @property
    def n_bytes(self) -> int:
        """Bytes it takes in a file, names included."""
        return self.latent.nbytes + self.quantiles.nbytes + self.distances.nbytes + 300

    @property
    def shares(self) -> np.ndarray:
        return self.latent[:, 0].astype(np.float64)

    def scores(self, schema: Schema, X: np.ndarray) -> np.ndarray:
        """Latent scores (n, d) of encoded rows."""
        share = np.clip(self.shares, 0.5 / ROWS, 1 - 0.5 / ROWS)
        Z = np.clip((X - share) / np.sqrt(share * (1 - share)), -FURTHEST, FURTHEST)
        for i, f in enumerate(value_features(schema)):
            Z[:, f] = _mid_rank_scores(X[:, f], self.quantiles[i])
        return Z

    def distance(self, schema: Schema, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far rows are from the middle (n,) (Mahalanobis, per feature), and how odd each feature is given the others (n, d)."""
        Z = self.scores(schema, X)
        noise, L = self.latent[:, 1].astype(np.float64), self.latent[:, 2:].astype(np.float64)  # (d,), (d, r)
        over = L / noise[:, None]
        inner = np.linalg.inv(np.eye(L.shape[1]) + L.T @ over)  # (r, r)
        precise = Z / noise - Z @ over @ inner @ over.T  # (n, d)  the inverse covariance times each row
        diagonal = 1 / noise - np.einsum("fr,rs,fs->f", over, inner, over)
        squared = (Z * precise).sum(axis=1) / Z.shape[1]
        return np.sqrt(np.maximum(squared, 0)), precise / np.sqrt(np.maximum(diagonal, 1e-12))

    def sample(self, schema: Schema, n: int, seed: int = 0) -> np.ndarray:
        """Encoded rows (n, d) like those of training, each column's values spread evenly over its own quantiles (a Latin hypercube)."""
        rng = np.random.default_rng(seed)
        d, r = len(self.latent), self.latent.shape[1] - 2
        steps = (np.arange(n) + 0.5) / n
        factors = np.stack([ndtri(rng.permutation(steps)) for _ in range(r)], axis=1) if r else np.zeros((n, 0))
        noise = np.stack([ndtri(rng.permutation(steps)) for _ in range(d)], axis=1)
        Z = factors @ self.latent[:, 2:].T.astype(np.float64) + noise * np.sqrt(self.latent[:, 1].astype(np.float64))
        even = (Z.argsort(axis=0, kind="stable").argsort(axis=0) + 0.5) / n  # (n, d)  chances, each step taken once
        X = np.zeros((n, d))
        values = {f: i for i, f in enumerate(value_features(schema))}
        chance = np.linspace(0, 1, self.quantiles.shape[1])
        for f in range(d):
            X[:, f] = np.interp(even[:, f], chance, self.quantiles[values[f]]) if f in values else even[:, f] > 1 - self.shares[f]
        return _as_one_table(schema, X, even, self.shares)


def learn_reference(schema: Schema, X: np.ndarray, weight: np.ndarray | None = None) -> Reference:
    """Look at encoded training rows X (n, d); ``weight`` (n,) says how much each counts."""
    weight = np.ones(len(X)) if weight is None else weight
    most = max(200, min(ROWS, CELLS // X.shape[1]))
    if len(X) > most:
        some = np.linspace(0, len(X) - 1, most).astype(int)
        X, weight = X[some], weight[some]
    mass = weight / weight.sum()
    values = value_features(schema)
    steps = 17 if len(values) <= 64 else 9 if len(values) <= 256 else 5
    quantiles = np.zeros((len(values), steps), np.float32)
    for i, f in enumerate(values):
        flag = _flag_of(schema, f)
        seen = X[:, flag] == 0 if flag is not None else np.ones(len(X), dtype=bool)
        quantiles[i] = _quantiles(X[seen, f], weight[seen], np.linspace(0, 1, steps)) if seen.any() else 0.0
    latent = np.zeros((X.shape[1], 2), np.float16)
    yes_no = np.setdiff1d(np.arange(X.shape[1]), values)
    latent[yes_no, 0] = mass @ X[:, yes_no]
    plain = Reference(latent, quantiles, np.zeros(len(LEVELS), np.float32))
    Z = plain.scores(schema, X)
    centred = (Z - mass @ Z) * np.sqrt(mass)[:, None]
    deviation = np.sqrt(np.square(centred).sum(axis=0))
    correlation = centred / np.where(deviation > 0, deviation, 1.0)  # (n, d) times its own transpose
    size, direction = _leading(correlation, FACTORS)
    r = int(min((np.square(size) > 1.0).sum(), X.shape[1] - 1))  # Kaiser's rule: a factor says more than one feature alone
    L = direction[:r].T * size[:r]  # (d, r)
    noise = np.maximum(1 - np.square(L).sum(axis=1), NOISE)
    latent = np.concatenate([latent[:, :1], noise[:, None], L], axis=1).astype(np.float16)
    far = Reference(latent, quantiles, np.zeros(len(LEVELS), np.float32)).distance(schema, X)[0]
    return Reference(latent, quantiles, _quantiles(far, weight, np.array(LEVELS)).astype(np.float32))


def value_features(schema: Schema) -> np.ndarray:
    """Indices of the features that are numbers, not yes/no (m,)."""
    return np.array([f for f, feature in enumerate(schema.features) if not feature.binary], dtype=int)


def _flag_of(schema: Schema, f: int) -> int | None:
    """The feature that says that the column of feature ``f`` is missing, if there is one: the last of its column."""
    j = schema.features[f].column
    if not schema.columns[j].missing:
        return None
    return max(g for g, feature in enumerate(schema.features) if feature.column == j)


def _quantiles(values: np.ndarray, weight: np.ndarray, chances: np.ndarray) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(weight[order])
    if len(np.unique(values)) <= 2 * len(chances):  # few values: only those, nothing between them
        return values[order][np.minimum(np.searchsorted(mass, chances * mass[-1] - 1e-9 * mass[-1]), len(values) - 1)]
    place = (mass - weight[order] / 2) / mass[-1]
    found = np.interp(chances, place, values[order])
    return np.maximum.accumulate(found)


def _leading(A: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest singular values (<= count,) and right vectors of A (n, d): subspace iteration (Halko 2011), as d may be thousands."""
    count = min(count, *A.shape)
    G = np.random.default_rng(0).normal(size=(A.shape[1], min(count + 6, *A.shape)))
    Q = np.linalg.qr(A @ G)[0]
    for _ in range(6):
        Q = np.linalg.qr(A @ (A.T @ Q))[0]
    _, size, direction = np.linalg.svd(Q.T @ A, full_matrices=False)
    return size[:count], direction[:count]


def _mid_rank_scores(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Normal scores (n,) of values whose quantiles are ``knots`` (Q,); a value that many rows share gets the middle of their ranks."""
    value, first = np.unique(knots, return_index=True)
    last = len(knots) - 1 - np.unique(knots[::-1], return_index=True)[1]
    rank = (np.interp(x, value, first) + np.interp(x, value, last)) / (2 * (len(knots) - 1))
    return ndtri(np.clip(rank, ndtr(-FURTHEST), ndtr(FURTHEST)))


def _as_one_table(schema: Schema, X: np.ndarray, even: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Make the features of one column agree: one level of a category, the parts of one date, the fill of a missing value."""
    start = 0
    for column in schema.columns:
        width = len(column.labels())
        own = slice(start, start + width)
        if isinstance(column, Category) and not column.pair:
            levels = column.after_levels
            if levels:
                share = shares[start : start + levels]
                missing = shares[start + width] if column.missing else 0.0
                code = _one_level(even[:, start : start + levels], share / max(1 - missing, 1e-6))
                X[:, start : start + levels] = np.arange(levels) == code[:, None]
                if column.places:
                    X[:, start + levels] = np.array(column.places)[np.where(code < 0, column.kept, np.minimum(code, column.kept))]
                if column.extra == "frequency":
                    known = np.append(np.asarray(column.logs[: column.kept]), column.rest)
                    X[:, start + width - 1] = known[np.clip(code, 0, column.kept)]
        elif column.kind == "date" and width:
            X[:, own] = _date_parts(column, X[:, own])
        if column.missing:
            absent = X[:, start + width] > 0.5
            X[absent, own] = _filled(column, width)
        start += width + column.missing
    return X


def _one_level(even: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """A level per row (n,), -1 for none of them, with the given shares: the level that the row's latent scores ask for most."""
    n, levels = even.shape
    none = 1 - shares.sum()
    wanted = np.append(shares, none if none > 0.004 else 0.0)  # half precision: less is rounding
    wanted /= wanted.sum()
    call = np.concatenate([ndtri(even), np.zeros((n, 1))], axis=1)
    offset = np.where(wanted > 0, np.log(np.maximum(wanted, 1e-9)), -1e9)
    code = np.zeros(n, dtype=int)
    for step in range(60):  # until each level has its share, to within a row
        code = (call + offset).argmax(axis=1)
        gap = wanted - np.bincount(code, minlength=levels + 1) / n
        if np.abs(gap).max() < 0.75 / n:
            break
        offset += gap * (4.0 / (1 + step / 15))
    return np.where(code == levels, -1, code)


def _date_parts(column, X: np.ndarray) -> np.ndarray:  # noqa: ANN001  a Date, whose parts depend on which vary
    """All parts of the day that the first of them says; without days, as they are."""
    if "days" not in column.parts:
        return X
    import pandas as pd

    out = np.zeros_like(X)
    moments = (X[:, column.parts.index("days")] * 86_400_000_000).astype("int64").astype("datetime64[us]")
    column.encode(pd.Series(moments), out)
    return out


def _filled(column, width: int) -> np.ndarray:  # noqa: ANN001  any Column
    """What the value features of a missing value are (width,)."""
    row = np.zeros(width + 1)
    column.encode_value(None, row, 0)
    return row[:width]


def check_reference(reference: Reference, schema: Schema) -> str:
    """What is wrong with a summary read from a file, "" if nothing."""
    d, m = len(schema.features), len(value_features(schema))
    latent, quantiles, distances = reference.latent, reference.quantiles, reference.distances
    if latent.ndim != 2 or len(latent) != d or not 2 <= latent.shape[1] <= 2 + 64 or not (latent[:, 1] > 0).all():
        return "the summary of the training rows does not fit the schema"
    if not ((latent[:, 0] >= 0) & (latent[:, 0] <= 1)).all():
        return "the summary of the training rows has impossible shares"
    if quantiles.ndim != 2 or len(quantiles) != m or (m and quantiles.shape[1] < 2) or not (np.diff(quantiles, axis=1) >= 0).all():
        return "the quantiles of the training rows do not fit the schema"
    if distances.shape != (len(LEVELS),) or not (np.diff(distances) >= 0).all():
        return "the distances of the training rows are out of order"
    return ""


def need_reference(reference: Reference | None) -> Reference:
    """The summary, or one line on how to get one."""
    if reference is None:
        raise DataError("this network holds no summary of its training rows to compare with; give background= rows, or fit it again")
    return reference
