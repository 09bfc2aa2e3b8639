"""What others get: the usual models as scikit-learn pipelines, each in one thread, on any table a Task can hold.

A baseline is one function ``(kind, frame, seed) -> pipeline`` and one entry in `BASELINES`. The frame (training rows) says which columns
are numbers, categories or dates. Packages that are not installed are named by `available`, never imported.
"""

import pickle
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits

from netloom.errors import ConfigError
from netloom.tasks.task import Task

__all__ = ["BASELINES", "Baseline", "available", "fit_baseline"]

MISSING = "(missing)"
LEVELS = 200  # most categories of a column that a model may keep; HistGradientBoosting takes at most 255


class Columns(TransformerMixin, BaseEstimator):
    """Any frame -> columns "0", "1", ... of float64 (gaps are NaN) and of strings (gaps are a level); empty columns are left out."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> "Columns":
        self.kinds_ = [_kind(X.iloc[:, place]) for place in range(X.shape[1])]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        read: dict[str, Any] = {}
        for place, kind in enumerate(self.kinds_):
            column = X.iloc[:, place]
            if kind == "number":
                values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
                read[str(place)] = np.where(np.isfinite(values), np.clip(values, -1e30, 1e30), np.nan)
            elif kind == "date":
                when = pd.to_datetime(column, errors="coerce", utc=True)
                for part in ("year", "month", "day", "day_of_week", "hour"):
                    read[f"{place}:{part}"] = getattr(when.dt, part).to_numpy(dtype=np.float64, na_value=np.nan)
            elif kind == "duration":
                read[str(place)] = pd.to_timedelta(column, errors="coerce").dt.total_seconds().to_numpy(dtype=np.float64)
            elif kind == "category":
                gaps = column.isna().to_numpy()
                read[str(place)] = np.array([MISSING if gap else str(v) for v, gap in zip(column, gaps, strict=True)], dtype=object)
        if not read:
            read["none"] = np.zeros(len(X))
        return pd.DataFrame(read, index=X.index)


def _kind(column: pd.Series) -> str:
    """How a column is read: number, date, duration, category, or empty."""
    if column.isna().all():
        return "empty"
    types = pd.api.types
    if types.is_bool_dtype(column) or types.is_numeric_dtype(column):
        return "number"
    if types.is_datetime64_any_dtype(column):
        return "date"
    return "duration" if types.is_timedelta64_dtype(column) else "category"


def _split(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Names of the number and of the category columns once `Columns` has read the frame."""
    read = Columns().fit(frame).transform(frame)
    numbers = [name for name in read if read[name].dtype == np.float64]
    return numbers, [name for name in read if name not in numbers]


def _scaled(frame: pd.DataFrame) -> Pipeline:
    """Numbers: median for gaps, unit variance; categories: one column per level."""
    numbers, categories = _split(frame)
    impute = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    onehot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=64, sparse_output=False)
    return make_pipeline(Columns(), ColumnTransformer([("numbers", impute, numbers), ("categories", onehot, categories)]))


def _coded(frame: pd.DataFrame) -> tuple[Pipeline, list[int]]:
    """Numbers as they are, then categories as codes (new ones are NaN), and the places of the latter: for trees that know both."""
    numbers, categories = _split(frame)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=LEVELS)
    prepare = ColumnTransformer([("numbers", "passthrough", numbers), ("categories", codes, categories)])
    return make_pipeline(Columns(), prepare), list(range(len(numbers), len(numbers) + len(categories)))


def _constant(kind: str, frame: pd.DataFrame, seed: int) -> Pipeline:
    return make_pipeline(Columns(), DummyClassifier(strategy="prior") if kind == "classification" else DummyRegressor())


def _linear(kind: str, frame: pd.DataFrame, seed: int) -> Pipeline:
    model = LogisticRegression(max_iter=1000) if kind == "classification" else RidgeCV(np.logspace(-3, 4, 15))
    return make_pipeline(_scaled(frame), model)


def _knn(kind: str, frame: pd.DataFrame, seed: int) -> Pipeline:
    model = KNeighborsClassifier if kind == "classification" else KNeighborsRegressor
    return make_pipeline(_scaled(frame), model(n_neighbors=max(1, min(10, len(frame) // 2))))


def _forest(kind: str, frame: pd.DataFrame, seed: int) -> Pipeline:
    model = RandomForestClassifier if kind == "classification" else RandomForestRegressor
    return make_pipeline(_scaled(frame), model(n_estimators=300, n_jobs=1, random_state=seed))


def _histgb(kind: str, frame: pd.DataFrame, seed: int) -> Pipeline:
    prepare, categories = _coded(frame)
    model = HistGradientBoostingClassifier if kind == "classification" else HistGradientBoostingRegressor
    return make_pipeline(prepare, model(categorical_features=categories or None, random_state=seed))


def _xgboost(kind: str, frame: pd.DataFrame, seed: int) -> Pipeline:
    from xgboost import XGBClassifier, XGBRegressor

    prepare, categories = _coded(frame)
    types = ["q"] * (len(_split(frame)[0])) + ["c"] * len(categories)
    model = XGBClassifier if kind == "classification" else XGBRegressor
    return make_pipeline(prepare, model(n_jobs=1, random_state=seed, enable_categorical=True, feature_types=types))


def _lightgbm(kind: str, frame: pd.DataFrame, seed: int) -> Pipeline:
    from lightgbm import LGBMClassifier, LGBMRegressor

    prepare, categories = _coded(frame)
    typed = FunctionTransformer(_typed, kw_args={"categories": categories})  # LightGBM learns from the types which columns are categories
    model = LGBMClassifier if kind == "classification" else LGBMRegressor
    return make_pipeline(prepare, typed, model(n_jobs=1, random_state=seed, verbose=-1))


def _typed(coded: np.ndarray, categories: list[int]) -> pd.DataFrame:
    frame = pd.DataFrame(coded, columns=[str(place) for place in range(coded.shape[1])])
    return frame.astype({str(place): "category" for place in categories})


def _catboost(kind: str, frame: pd.DataFrame, seed: int) -> Pipeline:
    from catboost import CatBoostClassifier, CatBoostRegressor

    model = CatBoostClassifier if kind == "classification" else CatBoostRegressor
    quiet: dict[str, Any] = {"verbose": False, "allow_writing_files": False, "thread_count": 1}
    return make_pipeline(Columns(), model(iterations=500, random_seed=seed, cat_features=_split(frame)[1], **quiet))


def _mlp(kind: str, frame: pd.DataFrame, seed: int) -> Pipeline:
    if kind == "classification":
        return make_pipeline(_scaled(frame), MLPClassifier(random_state=seed, max_iter=500))
    model = TransformedTargetRegressor(MLPRegressor(random_state=seed, max_iter=500), transformer=StandardScaler())
    return make_pipeline(_scaled(frame), model)


BASELINES: dict[str, Callable[[str, pd.DataFrame, int], Pipeline]] = {
    "constant": _constant,  # class shares, or the mean
    "linear": _linear,
    "knn": _knn,
    "rf300": _forest,
    "histgb": _histgb,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost500": _catboost,
    "mlp": _mlp,
}
PACKAGES = {"xgboost": "xgboost", "lightgbm": "lightgbm", "catboost500": "catboost"}  # those that need more than scikit-learn


def available(names: Iterable[str] | None = None) -> tuple[list[str], list[str]]:
    """The baselines that can run here, and those that cannot because their package is not installed.

    Raises
    ------
    ConfigError : a name that is no baseline
    """
    names = list(BASELINES) if names is None else list(names)
    for name in names:
        if name not in BASELINES:
            raise ConfigError(f"baseline '{name}': unknown; choose from {', '.join(BASELINES)}")
    absent = [name for name in names if name in PACKAGES and find_spec(PACKAGES[name]) is None]
    return [name for name in names if name not in absent], absent


class Baseline:
    """A fitted baseline that answers like a network: all classes of the task, in their order, also those no training row had.

    `pipelines` holds one pipeline, or one per target; `codes` the class codes that the pipeline knows.
    """

    def __init__(self, pipelines: list[Pipeline], kind: str, outputs: int, codes: np.ndarray):
        self.pipelines, self.kind, self.outputs, self.codes = pipelines, kind, outputs, codes

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Probabilities of shape (n, O)."""
        every = np.zeros((len(frame), self.outputs))
        with threadpool_limits(1):
            every[:, self.codes] = self.pipelines[0].predict_proba(frame)
        return every

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Class codes (n,) or values (n, O)."""
        if self.kind == "classification":
            return self.predict_proba(frame).argmax(axis=1)
        with threadpool_limits(1):
            return np.column_stack([pipeline.predict(frame) for pipeline in self.pipelines]).astype(np.float64)

    @property
    def n_bytes(self) -> int:
        """Size of the pickled pipelines."""
        return len(pickle.dumps(self.pipelines))


def fit_baseline(name: str, task: Task, seed: int = 0) -> Baseline:
    """Fit one baseline to a task in one thread; with one class it is the constant, whichever was asked.

    Raises
    ------
    ConfigError : unknown name, or its package is not installed
    """
    if available([name])[1]:
        raise ConfigError(f"baseline '{name}': package '{PACKAGES[name]}' is not installed; pip install netloom[bench]")
    if task.kind == "classification":
        codes, known = np.unique(task.y, return_inverse=True)  # xgboost wants codes without holes
        targets, name = [known], name if len(codes) > 1 else "constant"
    else:
        codes, targets = np.array([], dtype=int), list(task.y.T)
    with threadpool_limits(1):
        pipelines = [_fitted(BASELINES[name](task.kind, task.frame, seed), task, y) for y in targets]
    return Baseline(pipelines, task.kind, task.outputs, codes)


def _fitted(pipeline: Pipeline, task: Task, y: np.ndarray) -> Pipeline:
    last, model = pipeline.steps[-1]
    weighted = task.weight is not None and has_fit_parameter(model, "sample_weight")  # k-NN has no use for weights
    return pipeline.fit(task.frame, y, **({f"{last}__sample_weight": task.weight} if weighted else {}))
