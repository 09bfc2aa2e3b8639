"""The scikit-learn face keeps scikit-learn's conventions, and takes frames as they come."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from netloom import Budget, NetloomClassifier, NetloomRegressor, TargetNetwork
from netloom.errors import BudgetError, ColumnTypeError, ConfigError, DataError

SMALL = {"families": "linear"}  # where what is tested is not how good the network is


@parametrize_with_checks([NetloomClassifier(families="cells"), NetloomRegressor(families="cells")])
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@pytest.mark.slow  # the same with everything woven and compared: a minute
@parametrize_with_checks([NetloomClassifier(), NetloomRegressor(), NetloomClassifier(quick=True), NetloomRegressor(quick=True)])
def test_scikit_learn_conventions_with_all_families(estimator, check):
    check(estimator)


@pytest.mark.parametrize("Estimator", [NetloomClassifier, NetloomRegressor])
def test_a_prediction_does_not_depend_on_the_rows_beside_it(Estimator):
    X, y = load_iris(return_X_y=True)
    model = Estimator().fit(X, y)
    method = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    assert model.network_.weights.layers
    np.testing.assert_allclose(method(X), np.concatenate([method(row[None]) for row in X]), rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def people():
    """Numbers, text, categories, booleans and dates, each with values missing, and a target that depends on them."""
    rng = np.random.default_rng(0)
    n = 120
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "sex": rng.choice(["female", "male"], n),
            "city": pd.Categorical(rng.choice(["Bonn", "Kiel", "Ulm"], n)),
            "member": rng.random(n) < 0.5,
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1500, n), unit="D"),
            "score": pd.array(rng.integers(0, 9, n), dtype="Int64"),
        }
    )
    spent = frame["age"] + 20 * (frame["sex"] == "male") + 5 * frame["member"]
    for at, name in enumerate(["age", "sex", "city", "joined", "score"]):
        frame.loc[at * 5 : at * 5 + 4, name] = None
    return frame, spent.fillna(40).rename("spent"), pd.Series(np.where(spent.fillna(40) > 52, "much", "little"), name="spends")


def test_a_frame_goes_in_as_it_is(people):
    frame, spent, spends = people
    clf = NetloomClassifier().fit(frame, spends)
    assert clf.feature_names_in_.tolist() == frame.columns.tolist() and clf.n_features_in_ == 6
    assert clf.classes_.tolist() == ["little", "much"] and clf.network_.target_names == ("spends",)
    assert clf.score(frame, spends) > 0.9
    np.testing.assert_allclose(clf.predict_proba(frame).sum(axis=1), 1)
    reg = NetloomRegressor().fit(frame, spent)
    assert reg.score(frame, spent) > 0.8 and reg.network_.target_names == ("spent",)
    low, high = reg.predict_interval(frame, coverage=0.9).T
    assert 0.75 < ((low <= spent) & (spent <= high)).mean() <= 1


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_columns_are_compared_by_name_the_way_of_scikit_learn(people):
    frame, _, spends = people
    clf = NetloomClassifier(**SMALL).fit(frame, spends)
    with pytest.raises(ValueError, match="feature names should match"):
        clf.predict(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match="X has 5 features, but NetloomClassifier is expecting 6"):
        clf.predict(frame.iloc[:, :5].to_numpy())
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        by_position = clf.predict(frame.to_numpy())
    assert (by_position == clf.predict(frame)).all()


def test_lists_of_mixed_values_keep_their_numbers():
    X = [[float(i), "a" if i % 2 else "b"] for i in range(20)]
    clf = NetloomClassifier(**SMALL).fit(X, [i >= 10 for i in range(20)])
    assert [column.kind for column in clf.network_.schema.columns] == ["number", "category"]


def test_nested_values_are_refused_in_a_frame():
    frame = pd.DataFrame({"tags": [["a"], ["b"], ["c"], ["d"]]})
    with pytest.raises(ColumnTypeError, match="column 'tags' holds"):
        NetloomClassifier().fit(frame, [0, 1, 0, 1])


@pytest.mark.parametrize(
    "y",
    [
        np.array(["b", "a"] * 20),
        np.array([True, False] * 20),
        np.array([7, 3] * 20, dtype=np.int16),
        pd.Series(["x", "y"] * 20, dtype="category"),
    ],
    ids=["text", "bool", "int16", "category"],
)
def test_classes_keep_their_type_and_order(y):
    X = np.random.default_rng(0).normal(size=(40, 2))
    clf = NetloomClassifier(**SMALL).fit(X, y)
    np.testing.assert_array_equal(clf.classes_, np.unique(np.asarray(y)))
    assert clf.classes_.dtype == np.unique(np.asarray(y)).dtype == clf.predict(X).dtype


def test_several_targets_at_once():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    Y = pd.DataFrame({"sum": X.sum(axis=1), "first": 3 * X[:, 0]})
    reg = NetloomRegressor(**SMALL).fit(X, Y)
    assert reg.network_.target_names == ("sum", "first")
    assert reg.predict(X).shape == (80, 2) and reg.predict_interval(X).shape == (80, 2, 2) and reg.score(X, Y) > 0.95


@pytest.mark.parametrize("Estimator", [NetloomClassifier, NetloomRegressor])
def test_weight_two_is_the_row_twice_also_with_gaps(Estimator):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    weight = rng.integers(1, 4, 40)
    weighted = Estimator().fit(X, y, sample_weight=weight).predict(X)
    repeated = Estimator().fit(np.repeat(X, weight, axis=0), np.repeat(y, weight)).predict(X)
    np.testing.assert_array_equal(weighted, repeated)


def test_a_class_whose_rows_weigh_nothing_is_kept_but_never_predicted():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), np.repeat([0, 1, 2], 20)
    clf = NetloomClassifier(**SMALL).fit(X, y, sample_weight=(y < 2).astype(float))
    assert clf.classes_.tolist() == [0, 1, 2]
    assert clf.predict_proba(X)[:, 2].max() < 0.05


def test_clone_gives_the_same_network_again():
    X, y = load_iris(return_X_y=True)
    clf = NetloomClassifier(budget=Budget(max_parameters=400), random_state=3)
    first, second = clf.fit(X, y), clone(clf).fit(X, y)
    assert second.budget == Budget(max_parameters=400) and second is not first
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


def test_a_random_state_draws_the_seed():
    X, y = load_iris(return_X_y=True)
    seeds = [NetloomClassifier(random_state=np.random.RandomState(s), **SMALL).fit(X, y).network_.provenance["seed"] for s in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]


def test_pickle_predicts_the_same_and_needs_no_torch(tmp_path):
    X, y = load_iris(return_X_y=True)
    clf = NetloomClassifier(**SMALL).fit(X, y)
    clf.predict(X)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    (tmp_path / "clf.pickle").write_bytes(pickle.dumps(clf))
    code = (
        "import pickle, sys; clf = pickle.load(open('clf.pickle', 'rb')); "
        "print(clf.predict([[5.1, 3.5, 1.4, 0.2]]).tolist(), 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["[0]", "False"]


def test_the_network_saves_and_loads(tmp_path, people):
    frame, _, spends = people
    clf = NetloomClassifier(**SMALL).fit(frame, spends)
    clf.network_.save(tmp_path / "m.netloom")
    np.testing.assert_array_equal(TargetNetwork.load(tmp_path / "m.netloom").predict(frame), clf.predict(frame))


def test_grid_search_over_budget_and_head():
    X, y = load_iris(return_X_y=True)
    grid = {"budget": [{"max_parameters": 60}, Budget(max_bytes=20_000), None], "head": ["logistic", "ridge"], "families": ["linear"]}
    search = GridSearchCV(NetloomClassifier(), grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_score_ > 0.9 and len(search.cv_results_["params"]) == 6


def test_a_pipeline_and_folds():
    X, y = load_iris(return_X_y=True, as_frame=True)
    prepare = make_column_transformer((StandardScaler(), make_column_selector(dtype_include=float)))
    assert cross_val_score(make_pipeline(prepare, NetloomClassifier(**SMALL)), X, y, cv=2, error_score="raise").mean() > 0.9


def test_html_shows_the_parameters():
    html = NetloomClassifier(head="svm")._repr_html_()
    assert "NetloomClassifier" in html and "svm" in html


@pytest.mark.parametrize(
    ("parameters", "error", "text"),
    [
        ({"budget": 5000}, ConfigError, "budget = 5000: must be a Budget, a dict of its limits, or None"),
        ({"budget": {"max_params": 5}}, ConfigError, "budget: 'max_params' is no limit; use max_parameters, max_bytes, max_seconds"),
        ({"budget": {"max_bytes": -1}}, BudgetError, "max_bytes = -1: must be above 0"),
        ({"head": "tree"}, ConfigError, "tree"),
        ({"families": "best"}, ConfigError, "families = 'best': unknown"),
    ],
)
def test_impossible_parameters_are_named(parameters, error, text):
    with pytest.raises(error, match=text):
        NetloomClassifier(**parameters).fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])


def test_other_errors_say_what_is_wrong(people):
    frame, spent, _ = people
    with pytest.raises(DataError, match="only one class"):
        NetloomClassifier().fit(frame, ["a"] * len(frame))
    with pytest.raises(ValueError, match="Unknown label type"):
        NetloomClassifier().fit(frame, spent)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        NetloomRegressor().fit(frame, spent.mask(spent > 60))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        NetloomRegressor().fit(frame, spent[:-1])
    with pytest.raises(NotFittedError):
        NetloomRegressor().predict(frame)
