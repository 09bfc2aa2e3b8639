"""Criteria: what they say of a course, joined and parsed."""

import pytest

from netloom.errors import ConfigError
from netloom.refine import NoImprovement, Score, Seconds, Steps, parse_until
from netloom.refine.until import Course

COURSE = Course(step=100, seconds=10.0, scores={"log_loss": 0.4, "accuracy": 0.8}, best_step=30)


@pytest.mark.parametrize(
    "until, met",
    [
        (Steps(100), True),
        (Steps(101), False),
        (Seconds(10), True),
        (Seconds(10.5), False),
        (NoImprovement(70), True),
        (NoImprovement(71), False),
        (Score("log_loss", 0.4), True),
        (Score("log_loss", 0.39), False),
        (Score("accuracy", 0.8), True),
        (Score("accuracy", 0.81), False),
        (Steps(500) | Seconds(5), True),
        (Steps(500) & Seconds(5), False),
        (Steps(500) | Seconds(50) | NoImprovement(10), True),
        (Steps(100) & Seconds(50) | NoImprovement(10), True),
        (Steps(100) & (Seconds(50) | NoImprovement(10)), True),
        (Steps(101) & (Seconds(50) | NoImprovement(10)), False),
    ],
    ids=str,
)
def test_criteria_are_met_when_they_say_so(until, met):
    assert until.met(COURSE) is met
    assert 0 <= until.share(COURSE) <= 1
    if isinstance(until, Steps | Seconds):
        assert (until.share(COURSE) == 1) is met


@pytest.mark.parametrize("text", ["steps=500", "patience=20 | seconds=1.5 & steps=3", "accuracy>=0.9 | rmse<=2 | r2>=-1 | log_loss<=1e-2"])
def test_words_and_criteria_say_the_same(text):
    assert str(parse_until(text)) == text.replace("1e-2", "0.01")
    assert str(parse_until(str(parse_until(text)))) == str(parse_until(text))


def test_and_binds_tighter():
    assert parse_until("steps=1 | seconds=9 & steps=900") == Steps(1) | (Seconds(9) & Steps(900))


@pytest.mark.parametrize(
    "text",
    ["", "steps", "steps=-1", "steps=1.5", "steps>=5", "accuracy<=0.9", "auc>=0.9", "steps=5 |", "steps=5, seconds=3", "steps=1e999"],
)
def test_what_is_no_criterion_is_named(text):
    with pytest.raises(ConfigError, match=r"until .*is no criterion; use steps=500|must be a"):
        parse_until(text)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Steps(-1), "Steps"),
        (lambda: Steps(2.5), "whole number"),
        (lambda: Seconds(float("nan")), "Seconds"),
        (lambda: Score("auc", 1), "log_loss, accuracy, rmse, r2"),
        (lambda: Score("r2", float("nan")), "must be a number"),
        (lambda: Steps(1) | 5, "5 is no criterion"),
    ],
)
def test_impossible_criteria_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
