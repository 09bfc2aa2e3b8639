"""The fixed first layer: every value becomes up to K = 8 numbers, its cells (after the piecewise encodings of Gorishniy et al. 2022).

Order of the cells of one table: all values z (d), then for the m columns with more than two values tanh 2z (m), cos 2z (m), a clipped
parabola (m) and four soft steps at the column's own quantiles (4 m, column by column). A column of two values has its value as its only
cell: every function of such a column is a multiple of it, up to a constant.
"""

import numpy as np

__all__ = ["K", "STEPS", "cell_features", "cell_positions", "step_thresholds"]

K = 8
STEPS = (0.15, 0.38, 0.62, 0.85)  # quantiles at which the soft steps sit


def step_thresholds(z: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Quantiles of each column of ``z`` (n, d) at `STEPS`: (d, 4); ``weight`` (n,) counts rows."""
    if weight is None:
        return np.quantile(z, STEPS, axis=0).T.astype(np.float32)
    if (weight == weight[0]).all():  # the same places in every column
        mass = np.cumsum(weight)
        return np.sort(z, axis=0)[[np.argmax(mass >= q * mass[-1] - 1e-9) for q in STEPS]].T.astype(np.float32)
    order = np.argsort(z, axis=0, kind="stable")
    ordered = np.take_along_axis(z, order, axis=0)  # (n, d)
    mass = np.cumsum(weight[order], axis=0)  # (n, d)
    place = [np.argmax(mass >= q * mass[-1] - 1e-9, axis=0) for q in STEPS]
    return np.stack([np.take_along_axis(ordered, p[None], axis=0)[0] for p in place], axis=1).astype(np.float32)


def cell_features(z: np.ndarray, many: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Cells of ``z`` (n, d): (n, d + 7 m); ``many`` (m,) indexes columns with more than two values, ``thresholds`` (m, 4)."""
    n, m = len(z), len(many)
    if m == 0:
        return z
    x = z if m == z.shape[1] else z[:, many]
    bent = np.empty((n, 7 * m), dtype=z.dtype)
    np.multiply(x, 2, out=bent[:, :m])
    np.cos(bent[:, :m], out=bent[:, m : 2 * m])
    np.multiply(x, x, out=bent[:, 2 * m : 3 * m])
    bent[:, 2 * m : 3 * m] -= 1
    np.clip(bent[:, 2 * m : 3 * m], -3, 6, out=bent[:, 2 * m : 3 * m])
    bent[:, 2 * m : 3 * m] *= 0.5
    steps = bent[:, 3 * m :].reshape(n, m, 4)  # 2 sigmoid(6 t) - 1 = tanh(3 t)
    np.subtract(x[:, :, None], thresholds, out=steps)
    bent[:, 3 * m :] *= 3
    np.tanh(bent[:, :m], out=bent[:, :m])
    np.tanh(bent[:, 3 * m :], out=bent[:, 3 * m :])
    return np.concatenate([z, bent], axis=1)


def cell_positions(many: np.ndarray, d: int) -> np.ndarray:
    """Where each cell of `cell_features` sits in the loom's (d, K) layout, as flat indices: (d + 7 m,)."""
    base = many * K
    return np.concatenate([np.arange(d) * K, base + 1, base + 2, base + 3, (base[:, None] + np.arange(4, 8)).ravel()]).astype(np.int64)
