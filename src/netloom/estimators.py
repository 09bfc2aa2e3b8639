"""The scikit-learn face: `NetloomClassifier` and `NetloomRegressor`, with frames, text, dates and missing values as they come.

Both fit by `netloom.fit` and keep what it returns as ``network_``, a `TargetNetwork` that predicts, saves and exports on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from netloom.errors import ConfigError, DataError
from netloom.target.budget import Budget
from netloom.target.network import TargetNetwork
from netloom.tasks.columns.column import shorten
from netloom.tasks.frames import as_frame
from netloom.tasks.task import Task

if TYPE_CHECKING:
    from netloom.loom import Loom

__all__ = ["NetloomClassifier", "NetloomRegressor"]

NESTED = (dict, list, set, tuple, frozenset, np.ndarray)


class _Netloom(BaseEstimator):
    """What both estimators share: parameters, the table at the door, fitting."""

    _kind: Literal["classification", "regression"]
    network_: TargetNetwork

    def __init__(
        self,
        budget: Budget | Mapping[str, Any] | None = None,
        head: str = "auto",
        families: str = "all",
        quick: bool = False,
        loom: Loom | None = None,
        random_state: Any = 0,
    ):
        self.budget = budget
        self.head = head
        self.families = families
        self.quick = quick
        self.loom = loom
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Check, fit, and keep the network."""
        from netloom.loom.fit import fit  # here, as it needs torch and predicting does not

        budget, seed = _budget(self.budget), _seed(self.random_state)
        if y is None:
            raise DataError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        X, y = self._check_table(X, fitting=True), self._check_target(y)
        check_consistent_length(X, y)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        task = Task.from_arrays(X, y, kind=self._kind, weight=weight)
        self.network_ = fit(task, budget=budget, loom=self.loom, seed=seed, head=self.head, families=self.families, quick=self.quick)

    def _check_target(self, y: Any) -> Any:
        raise NotImplementedError

    def _check_table(self, X: Any, *, fitting: bool) -> Any:
        """The table as a frame, its columns compared to those of fit by name, or as an array, with scikit-learn's own checks."""
        if isinstance(X, pd.DataFrame | Mapping) or hasattr(X, "to_pandas"):
            return validate_data(self, as_frame(X)[0], reset=fitting, skip_check_array=True)
        if isinstance(X, list | tuple) and np.asarray(X).dtype.kind in "US":
            X = np.asarray(X, dtype=object)  # numbers beside text stay numbers
        rows = 2 if fitting else 1
        return _read_nested(validate_data(self, X, reset=fitting, dtype=None, ensure_all_finite=False, ensure_min_samples=rows))

    def _outputs(self, method: str, X: Any, *args: Any) -> np.ndarray:
        """What a method of the network gives for a checked table."""
        check_is_fitted(self)
        table = self._check_table(X, fitting=False)
        return getattr(_in_double(self.network_), method)(table, *args)

    def predict(self, X: Any) -> np.ndarray:
        """Labels (n,), values (n,), or values (n, O) for several targets."""
        return self._outputs("predict", X)


class NetloomClassifier(ClassifierMixin, _Netloom):
    """A small neural network generated for a classification table.

    Columns may be numbers, booleans, text, categories or dates, with values missing; nothing need be prepared.

    Parameters
    ----------
    budget : `Budget`, a dict of its limits (``{"max_parameters": 5000}``), or None for a file of about 96 kB
    head : readout: "auto" (logistic), "logistic", "svm", "ridge" or "gaussian"
    families : what competes: "all", "untrained", "no trees", "woven", or one family by name
    quick : one pass without folds, in a fraction of the time: see `netloom.fit`
    loom : the hypernetwork; None for the one that comes with netloom
    random_state : int for the same network every time; None or a RandomState to draw the seed

    Attributes
    ----------
    network_ : `TargetNetwork`, which predicts without torch, and saves to one small file
    classes_ : labels, sorted
    n_features_in_, feature_names_in_ : columns seen in fit; the names only if all are strings

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from netloom import NetloomClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = NetloomClassifier(budget={"max_parameters": 5000}).fit(X, y)
    >>> clf.network_.n_parameters <= 5000
    True
    """

    _kind = "classification"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetloomClassifier:
        """Generate a network for rows ``X`` (n, d) with labels ``y`` (n,); ``sample_weight`` (n,) says how much each row counts.

        Equal rows are merged and their weights added, so that a weight of 2 is exactly a row given twice.
        """
        self._fit(X, y, sample_weight)
        self.classes_ = self.network_.classes
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Chances (n, C), in the order of ``classes_``."""
        return self._outputs("predict_proba", X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Log odds (n,) of the second of two classes, or logits (n, C)."""
        return self._outputs("decision_function", X)

    def _check_target(self, y: Any) -> Any:
        values = column_or_1d(y, warn=True)
        assert_all_finite(values, input_name="y")
        check_classification_targets(values)
        name = y.columns[0] if isinstance(y, pd.DataFrame) else getattr(y, "name", None)
        return values if name is None else pd.Series(values, name=name, dtype=object if values.dtype.kind == "O" else None)


class NetloomRegressor(RegressorMixin, _Netloom):
    """A small neural network generated for a regression table, of one target or several.

    Columns may be numbers, booleans, text, categories or dates, with values missing; nothing need be prepared.

    Parameters
    ----------
    budget : `Budget`, a dict of its limits (``{"max_parameters": 5000}``), or None for a file of about 96 kB
    head : readout: "auto" (gaussian), "gaussian" or "ridge"
    families : what competes: "all", "untrained", "no trees", "woven", or one family by name
    quick : one pass without folds, in a fraction of the time: see `netloom.fit`
    loom : the hypernetwork; None for the one that comes with netloom
    random_state : int for the same network every time; None or a RandomState to draw the seed

    Attributes
    ----------
    network_ : `TargetNetwork`, which predicts without torch, and saves to one small file
    n_features_in_, feature_names_in_ : columns seen in fit; the names only if all are strings

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from netloom import NetloomRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> reg = NetloomRegressor().fit(X, y)
    >>> reg.predict_interval(X[:3], coverage=0.9).shape
    (3, 2)
    """

    _kind = "regression"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetloomRegressor:
        """Generate a network for rows ``X`` (n, d) with values ``y`` (n,) or (n, O); ``sample_weight`` (n,) says how much each row counts.

        Equal rows are merged and their weights added, so that a weight of 2 is exactly a row given twice.
        """
        self._fit(X, y, sample_weight)
        return self

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Intervals (n, 2), or (n, O, 2) for several targets, that hold the value with chance ``coverage``."""
        return self._outputs("predict_interval", X, coverage)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _check_target(self, y: Any) -> Any:
        values = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self)
        if values.ndim == 2 and values.shape[1] == 1:
            values = column_or_1d(values, warn=True)
        if isinstance(y, pd.DataFrame):
            return pd.DataFrame(values, columns=y.columns)
        return values if getattr(y, "name", None) is None else pd.Series(values, name=y.name)


def _budget(budget: Any) -> Budget | None:
    if budget is None or isinstance(budget, Budget):
        return budget
    if not isinstance(budget, Mapping):
        raise ConfigError(f"budget = {shorten(budget)}: must be a Budget, a dict of its limits, or None")
    unknown = [name for name in budget if name not in Budget.__dataclass_fields__]
    if unknown:
        raise ConfigError(f"budget: {unknown[0]!r} is no limit; use {', '.join(Budget.__dataclass_fields__)}")
    return Budget(**budget)


def _seed(random_state: Any) -> int:
    """The number itself where there is one, so that it means the same as in `netloom.fit`."""
    return int(random_state) if isinstance(random_state, Integral) else int(check_random_state(random_state).randint(2**31 - 1))


def _in_double(network: TargetNetwork) -> TargetNetwork:
    """The same network with float64 products: in float32 a row's outputs change by 1e-6 with the rows beside it, enough to notice."""
    layers = tuple(
        replace(
            a,
            weight=a.weight.astype(np.float64),
            bias=a.bias.astype(np.float64),
            onto=None if a.onto is None else a.onto.astype(np.float64),
        )
        for a in network.weights.layers
    )
    weights = replace(network.weights, layers=layers, readout=network.weights.readout.astype(np.float64))
    return replace(network, weights=weights)


def _read_nested(X: np.ndarray) -> np.ndarray:
    """An array of objects may hold anything, by the convention for estimators that take text: what is nested becomes its text."""
    if X.dtype.kind != "O" or not any(issubclass(kind, NESTED) for kind in set(map(type, X.ravel()))):
        return X
    read = X.copy()
    for at in np.ndindex(X.shape):
        if isinstance(X[at], NESTED):
            read[at] = str(X[at])
    return read
