"""Neurons that are rules: the leaves of a few trees, each the AND of a few thresholds (RuleFit, Friedman & Popescu 2008).

The trees are those of a random forest; or of gradient boosting, where each is grown for what those before it get wrong; or extremely
randomised ones (Geurts, Ernst & Wehenkel 2006), whose many chance cuts together say which rows are near. The levels of a category they see
one by one and in a line (`levels.py`). They say where to cut and which cuts belong together, what gradients and ridge regressions find
hard; how much a rule counts is left to the readout, like everything else.
Two layers of ReLU neurons write a leaf down: one per cut, which grows as a value leaves its side, and one per leaf, 1 minus the sum of its
cuts: 1 inside, 0 outside, linear in the gap between the nearest training values.
"""

import warnings
from collections.abc import Callable
from copy import copy

import numpy as np
from sklearn import config_context
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.tree import BaseDecisionTree, DecisionTreeRegressor, ExtraTreeRegressor

from netloom.loom.levels import lines_of
from netloom.loom.rows import Rows, spread
from netloom.target.weights import Layer, View

__all__ = ["GROWN", "rule_layers"]

TREES = 24  # of a forest
EXTRA_TREES, EXTRA_LEAVES, EXTRA_LEAST_ROWS = 48, 16, 2
STEPS, LEAST_STEPS, RATE, SEEN = 32, 2, 0.3, 0.7  # of boosting: trees, shared by the classes; what each adds; share of rows it sees
VALUE_STEPS, VALUE_RATE = 128, 0.1  # the same for values, shared by several
LEAVES = ((2001, 32), (1000, 16), (0, 8))  # from so many rows on, of a tree of a forest
BOOSTED_LEAVES = 8
READ_ROWS = 10_000  # that trees learn from
LEAST_ROWS = 3  # of a leaf
NARROWEST = 0.02  # half width of a ramp in deviations: steeper ones would show the rounding of single precision


def rule_layers(rows: Rows, view: View, at: int, seed: int, part: str = "rules") -> tuple[Layer, Layer] | None:
    """Cuts and leaves of the trees of a ``part`` (one of `GROWN`) on the values of ``view`` (number ``at`` of the network); the leaves read
    the cuts as layer 0.

    None where no tree finds anything to cut. Trees see columns and classes in the order of their keys, so that theirs does not matter.
    """
    read = rows.take(spread(rows, READ_ROWS))
    values = view.values(read.X)
    lines = lines_of(read, view, values)
    values = np.concatenate([values, *(line.values[:, None] for line in lines)], axis=1)
    keys = np.concatenate([rows.columns[view.columns], np.array([line.key for line in lines], dtype=np.uint64)])
    order = np.argsort(keys, kind="stable")
    with config_context(assume_finite=True, skip_parameter_validation=True):  # for every one of a hundred trees
        trees = GROWN[part](values[:, order], read, seed)
    seen = [np.unique(column).astype(np.float64) for column in values.T]  # as thresholds are
    leaves = list(dict.fromkeys(leaf for tree in trees for leaf in _leaves(tree, order, seen)))
    cuts = list(dict.fromkeys(cut for leaf in leaves for cut in leaf))
    if not cuts:
        return None
    place = {cut: i for i, cut in enumerate(cuts)}
    weight, bias = np.zeros((len(view.columns), len(cuts)), np.float32), np.zeros(len(cuts), np.float32)
    for i, (column, above, side) in enumerate(cuts):
        if column >= len(view.columns):
            line = lines[column - len(view.columns)]
            weight[line.at, i], bias[i] = line.cut(seen[column][above], side)
            continue
        low, high = float(seen[column][above - 1]), float(seen[column][above])
        slope = side * np.float32(np.float16(1 / max(high - low, 2 * NARROWEST)))
        weight[column, i], bias[i] = slope, 0.5 - slope * (low + high) / 2
    onto = np.zeros((len(cuts), len(leaves)), np.float32)
    for j, leaf in enumerate(leaves):
        onto[[place[cut] for cut in leaf], j] = -1
    nothing = np.zeros((len(view.columns), len(leaves)), np.float32)
    return Layer(at, weight, bias), Layer(at, nothing, np.ones(len(leaves), np.float32), (0,), onto)


def _forest(values: np.ndarray, rows: Rows, seed: int) -> list[BaseDecisionTree]:
    leaves = next(leaves for least, leaves in LEAVES if rows.n >= least)
    tree = DecisionTreeRegressor(max_leaf_nodes=leaves, min_samples_leaf=LEAST_ROWS, max_features=0.5)
    return _independent(tree, TREES, values, rows, seed, resampled=True)


def _extra(values: np.ndarray, rows: Rows, seed: int) -> list[BaseDecisionTree]:
    tree = ExtraTreeRegressor(max_leaf_nodes=EXTRA_LEAVES, min_samples_leaf=EXTRA_LEAST_ROWS, max_features=1.0)
    return _independent(tree, EXTRA_TREES, values, rows, seed, resampled=False)


def _independent(
    tree: DecisionTreeRegressor, count: int, values: np.ndarray, rows: Rows, seed: int, *, resampled: bool
) -> list[BaseDecisionTree]:
    """Trees that do not know of each other: those of scikit-learn's `RandomForestRegressor` (of as many rows drawn in proportion to their
    weight if ``resampled``) or `ExtraTreesRegressor`, without the millisecond that these spend on each.

    Classes are values too: the variance of their one-hot columns is Gini's impurity, so the trees are those of a classifier, grown faster.
    """
    X, Y = np.ascontiguousarray(values, np.float32), np.ascontiguousarray(rows.keyed_targets, np.float64)
    share, seeds, grown = rows.weight / rows.weight.sum(), np.random.RandomState(seed), []
    whole = None if (rows.weight == 1).all() else rows.weight
    for _ in range(count):
        one = copy(tree)
        one.random_state = seeds.randint(np.iinfo(np.int32).max)
        weight = whole
        if resampled:
            drawn = np.random.RandomState(one.random_state).choice(rows.n, rows.n, p=share)
            weight = np.bincount(drawn, minlength=rows.n).astype(np.float64)
        grown.append(one.fit(X, Y, weight, check_input=False))
    return grown


def _boosted(values: np.ndarray, rows: Rows, seed: int) -> list[BaseDecisionTree]:
    options = {"learning_rate": RATE, "subsample": SEEN, "max_depth": None, "max_leaf_nodes": BOOSTED_LEAVES}
    options |= {"min_samples_leaf": LEAST_ROWS, "max_features": 1 / 3, "random_state": seed}
    outputs = np.argsort(rows.outputs, kind="stable")
    if rows.codes is None:
        steps = max(VALUE_STEPS // len(outputs), LEAST_STEPS)
        options["learning_rate"] = VALUE_RATE
        models = [GradientBoostingRegressor(n_estimators=steps, **options).fit(values, rows.targets[:, o], rows.weight) for o in outputs]
        return [tree for model in models for tree in model.estimators_.ravel()]
    codes = np.argsort(outputs)[rows.codes]
    present = len(np.unique(codes))
    if present < 2:
        return []
    steps = STEPS if present == 2 else max(STEPS // present, LEAST_STEPS)
    with warnings.catch_warnings():  # of as many classes as rows: these are classes
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return list(GradientBoostingClassifier(n_estimators=steps, **options).fit(values, codes, rows.weight).estimators_.ravel())


Grower = Callable[[np.ndarray, Rows, int], list[BaseDecisionTree]]
GROWN: dict[str, Grower] = {"rules": _forest, "boosted": _boosted, "extra": _extra}  # part of the pool: how its trees are grown


def _leaves(model: BaseDecisionTree, order: np.ndarray, seen: list[np.ndarray]) -> list[tuple[tuple[int, int, int], ...]]:
    """The leaves of a tree, each its cuts (column, above, side).

    A cut lies between the training values ``above - 1`` and ``above`` of its column (``seen``, sorted): a tree grown on a resampling may
    have put its threshold elsewhere between them. Side 1 is left when the value grows, -1 when it falls.
    """
    tree = model.tree_
    left, right, columns, thresholds = (
        known.tolist() for known in (tree.children_left, tree.children_right, order.take(tree.feature, mode="wrap"), tree.threshold)
    )
    found: list[tuple[tuple[int, int, int], ...]] = []
    waiting: list[tuple[int, dict[tuple[int, int], int]]] = [(0, {})]
    while waiting:
        node, cuts = waiting.pop()
        if left[node] < 0:
            found.append(tuple(sorted([(column, above, side) for (column, side), above in cuts.items()])))
            continue
        column = columns[node]
        above = int(seen[column].searchsorted(thresholds[node], "right"))
        for child, side in ((left[node], 1), (right[node], -1)):
            waiting.append((child, cuts | {(column, side): above}))  # a later cut of the same side is the tighter one
    return [cuts for cuts in found if cuts]
