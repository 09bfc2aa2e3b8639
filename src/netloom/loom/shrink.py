"""A smaller network that says the same: features go whose part others can take over, and the readout is solved to imitate the large one.

Knowledge distillation (Bucila et al. 2006; Hinton et al. 2015) in closed form. What it costs to drop feature j, if all others may move, is
`w_j^2 / [H^-1]_jj` (optimal brain surgeon, Hassibi & Stork 1993): its weight times what is left of the feature when the others have
explained what they can. Labels are not used again, so that nothing is fitted twice; rows made up between real ones keep a readout of
more features than rows from imitating the real rows only.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from netloom.loom.compare import IN_CACHE, moments
from netloom.loom.keys import uniforms
from netloom.loom.pool import WIDE
from netloom.loom.rows import Rows, spread
from netloom.loom.views import many_valued
from netloom.loom.weave import halved
from netloom.target.calibration import log_chances
from netloom.target.prune import bytes_per_row, cost_of_neurons, importance, keep_neurons, tidy
from netloom.target.solve import add_diagonal, cholesky, gram
from netloom.target.weights import Weights, read_rows

__all__ = ["SAME", "Large", "shrink"]

ROWS = 4000  # of the task that are imitated
LEAST_ROWS = 2000  # with those made up where there are fewer; where there are more, as many are made up as there are
QUICK_ROWS, QUICK_LEAST = 500, 1000  # the same two where it is to be quick
SWAPPED = 0.1  # of the columns of a made-up row come from another one
FAR = 3  # every third made-up row is moved to twice its distance from the mean: what is said beyond the training rows is imitated too
SAME = 3e-5  # as much as a network may differ from the large one without need: nats per row, or share of the target's variance
SURE = 0.03  # heed that is paid to rows of which the large network is sure, beside the variance of their class
HELD = 0.003  # penalty on what a weight moves, in units of a standardised feature: what rows hardly show is not made up for
AT_ONCE = 0.3  # of what can go may go before the rest is solved again
FEW = 2  # outputs whose weights are kept in single precision: halving them saves next to nothing
FLAT = 2e-2  # deviations below are not blown up, as where families are scaled


@dataclass(frozen=True, eq=False)
class Large:
    """What is imitated: on rows X (n, d), each with a ``share`` (n,) of the weight, the outputs ``said`` (n, O).

    ``heed`` (n,) is how much an error in the outputs of each row counts when the readout is solved, ``real`` (n,) the share of the weight
    among the rows that are not made up; each adds up to one.
    """

    X: np.ndarray
    share: np.ndarray
    heed: np.ndarray
    real: np.ndarray
    said: np.ndarray
    chances: bool

    @classmethod
    def of(cls, weights: Weights, rows: Rows, chances: bool, most: int = ROWS, least: int = LEAST_ROWS) -> tuple["Large", np.ndarray]:
        """``weights`` on at most so many rows of a task and on some made up from them, ``least`` in all, and its features (n, p) there."""
        rows = rows.take(spread(rows, most))
        X, share = _with_made_up_rows(rows, least)
        real = np.where(np.arange(len(X)) < rows.n, share, 0.0)
        F = weights.features(X)
        said = _outputs(weights, F)
        heed = share
        if chances:  # where chances are sure, an error in log odds moves them little
            p = np.exp(log_chances(said))
            heed = share * ((p * (1 - p)).sum(axis=1) + SURE)
        return cls(X, share, heed / heed.sum(), real / real.sum(), said, chances), F

    def apart(self, weights: Weights) -> float:
        """How far a network is from the large one: Kullback-Leibler divergence in nats per row, or mean squared difference."""
        return self.between(_outputs(weights, weights.features(self.X)))

    def between(self, heard: np.ndarray) -> float:
        """The same of a network's outputs (n, O) on these rows."""
        if not self.chances:
            return float(self.share @ np.square(self.said - heard).mean(axis=1))
        p, q = log_chances(self.said), log_chances(heard)
        return float(self.share @ (np.exp(p) * (p - q)).sum(axis=1))


def shrink(
    weights: Weights, rows: Rows, fits: Callable[[Weights], bool], *, chances: bool, same: float = SAME, quick: bool = False
) -> tuple[Weights, float]:
    """The smallest network found that fits and says what ``weights`` says; if none that fits does, the one that says most of it.

    Neurons are dropped, and what the readout hears of views directly, except the values of the first view: a linear model always stays.

    Parameters
    ----------
    weights : the large network
    rows : training rows
    fits : whether a network is within its budget
    chances : whether outputs are log odds, compared as chances are; else they are compared in deviations of the target
    same : how far apart they may be without need; 0 if a network that fits need not be smaller
    quick : what fits stays as it is, and what does not is imitated on fewer rows, and is not made smaller than it must be

    Returns
    -------
    The network, and how far from the large one it is on these rows (`Large.apart`)
    """
    now, best = tidy(weights), None
    if quick and fits(now):
        return now, 0.0
    large, F = Large.of(now, rows, chances, *((QUICK_ROWS, QUICK_LEAST) if quick else (ROWS, LEAST_ROWS)))
    if not fits(now):  # what hardly moves anything by itself goes first: the rest is cheaper to solve
        now = _drop(now, *_alone(now, large, F), fits) or now
        F = now.features(large.X)
    precision = torch.float64 if quick else torch.float32
    while True:
        now, apart, told = _imitate(now, large, F, precision)
        if fits(now):
            if quick:
                return now, apart
            if best is not None and apart > same:
                break
            best = now, F
            if not same:
                break
        smaller = _drop(now, *told(), fits)
        if smaller is None:
            break
        now, F = smaller, smaller.features(large.X)
    now, F = best or (now, F)
    now, apart, _ = _imitate(now, large, F, torch.float64)
    return now, apart


def _outputs(weights: Weights, F: np.ndarray) -> np.ndarray:
    """Outputs (n, O) as the readout gives them for features (n, p), before they get the unit of the target."""
    return _times(F, weights.readout) + weights.intercept


def _times(F: np.ndarray, readout: np.ndarray) -> np.ndarray:
    """``F @ readout`` in double precision, some rows at a time, so that features (n, p) are not copied whole."""
    readout = readout.astype(np.float64)
    return np.concatenate([F[i : i + IN_CACHE].astype(np.float64) @ readout for i in range(0, len(F), IN_CACHE)])


def _with_made_up_rows(rows: Rows, least: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows, and with as much weight others made up from two, up to ``least`` in all or as many again, some of them stretched;
    their shares. Features can imitate many rows, being many themselves, and say something else of the next.

    Which columns are swapped follows the content of rows and columns, not their order.
    """
    n = rows.n
    made = least - n if n <= least else n
    share = rows.weight / rows.weight.sum()
    if not made:
        return rows.X, share
    rng = np.random.default_rng(n)
    one, other = np.resize(rng.permutation(n), made), rng.integers(n, size=made)
    swapped = uniforms(rows.columns, made, n).T < SWAPPED
    X = np.where(swapped, rows.X[other], rows.X[one])
    many = many_valued(rows.X)  # a column of two values has nothing beyond them
    mean = share @ rows.X[:, many]
    with np.errstate(over="ignore"):  # a view cuts what is infinite like what is far
        X[::FAR, many] = mean + 2 * (X[::FAR, many] - mean)
    return np.concatenate([rows.X, X]), np.concatenate([share, share[one] / share[one].sum()]) / 2


def _alone(weights: Weights, large: Large, F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (p,) of the features F (n, p), and how far outputs move without each of them (p,) if no other takes over."""
    mean, deviation = moments([F], large.heed)
    return mean, _moves(weights, deviation, deviation)


def _moves(weights: Weights, left: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """How far outputs move without each feature (p,): directly by what is ``left`` (p,) of it, a neuron through later ones too."""
    direct = np.linalg.norm(weights.readout, axis=1) * left
    first = sum(v.width for v in weights.views)
    return np.concatenate([direct[:first], importance(weights, direct, deviation)])


def _imitate(
    weights: Weights, large: Large, F: np.ndarray, precision: torch.dtype
) -> tuple[Weights, float, Callable[[], tuple[np.ndarray, np.ndarray]]]:
    """The readout of features F (n, p) moved to imitate the large network, and how far from it that is. Called, the last tells means (p,)
    of the features, and how far outputs move without each of them (p,).

    Features that the readout does not read stay unread, and what it hears of the values of a wide table stays as it is: more columns than
    rows would say anything of these rows, in place of all neurons, and something else of the next.
    """
    mean, deviation = moments([F], large.heed)
    read = read_rows(weights.readout)
    values = len(weights.views[0].columns)
    if values > WIDE:
        read[:values] = False
    readout = weights.readout.astype(np.float64)
    missing = large.said - _times(F, readout)
    scale = np.maximum(deviation[read], FLAT)
    numbers = (F[:, read], mean[read], scale, np.sqrt(large.heed)[:, None], missing - large.heed @ missing)
    f, middle, unit, root, T = (torch.as_tensor(x).to(precision) for x in numbers)
    moved, own = _ridge((f - middle) / unit * root, T * root)
    readout[read] += moved / scale[:, None]
    readout = halved(readout) if readout.shape[1] > FEW else readout.astype(np.float32)
    intercept = large.real @ (large.said - _times(F, readout))  # on the training rows, outputs are right in the mean
    weights = replace(weights, readout=readout, intercept=intercept.astype(np.float32))

    def told() -> tuple[np.ndarray, np.ndarray]:
        left = np.zeros(len(mean))  # what is left of each feature when the others have explained what they can
        left[read] = scale * np.sqrt(own())
        return mean, _moves(weights, left, deviation)

    return weights, large.between(_outputs(weights, F)), told


def _ridge(A: torch.Tensor, T: torch.Tensor) -> tuple[np.ndarray, Callable[[], np.ndarray]]:
    """Ridge coefficients (p, O) of T (n, O) on A (n, p), and what gives `1 / [(A'A + HELD)^-1]_jj` (p,), through the smaller of n and p."""
    n, p = A.shape
    held = A.new_tensor(HELD)
    factor = cholesky(add_diagonal(gram(A if p <= n else A.mT), held))
    if p <= n:
        return torch.cholesky_solve(A.mT @ T, factor).numpy(), lambda: 1 / torch.cholesky_inverse(factor).diagonal().numpy()

    def own() -> np.ndarray:
        explained = torch.linalg.solve_triangular(factor, A, upper=False).square().sum(0)  # (p,) of each feature by all, itself too
        return (HELD / (1 - explained).clamp(min=1e-12)).numpy()

    return (A.mT @ torch.cholesky_solve(T, factor)).numpy(), own


def _drop(weights: Weights, mean: np.ndarray, moves: np.ndarray, fits: Callable[[Weights], bool]) -> Weights | None:
    """Without what says least per byte: as little as makes it fit, and at most `AT_ONCE`; None where nothing is left to drop."""
    first, values = sum(v.width for v in weights.views), len(weights.views[0].columns)
    bytes_each = np.concatenate([np.full(first, bytes_per_row(weights.readout)), cost_of_neurons(weights)])
    can_go = np.concatenate([read_rows(weights.readout[:first]), np.ones(len(moves) - first, dtype=bool)])
    can_go[:values] = False
    order = np.flatnonzero(can_go)
    order = order[np.argsort(np.square(moves[order]) / bytes_each[order], kind="stable")]
    if not len(order):
        return None

    def without(drop: int) -> Weights:
        kept, readout = np.ones(len(moves), dtype=bool), weights.readout.copy()
        kept[order[:drop]] = False
        readout[:first][~kept[:first]] = 0
        return tidy(keep_neurons(replace(weights, readout=readout), kept[first:], mean))

    low, high = 1, max(int(np.ceil(AT_ONCE * len(order))), min(len(order), 8))
    if fits(weights):
        return without(high)
    while low < high:
        drop = (low + high) // 2
        if fits(without(drop)):
            high = drop
        else:
            low = drop + 1
    return without(high)
