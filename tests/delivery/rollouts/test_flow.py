"""At 100 % nobody is beside the version: how many answers come is what is left to go by."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.delivery.rollouts.trial import AT, Trial, canary

from orita.delivery.rollouts import Checks, RolloutPlan
from orita.delivery.rollouts.flow import AnswerFlow
from orita.delivery.rollouts.looks import Look, Stage


def at_the_whole_share() -> Trial:
    """Return a canary of which everybody has the version, after 70 seconds with 200 answers each."""
    trial = Trial(canary(soak_seconds=450, checks=Checks(metric=None)))
    assert trial.seconds(70).verdict == "advance"
    trial.moved(1, b=100, a=0)
    return trial


@pytest.mark.parametrize(("well", "silent"), [(30, 0.98), (150, 1.0)])
def test_a_version_that_stops_answering_is_not_promoted(well: int, silent: float) -> None:
    """Less than half of the answers of before: it holds, and says what came and what did before."""
    trial = at_the_whole_share()
    trial.seconds(well)
    found = trial.seconds(600, silent=silent)
    assert found.verdict == "hold"
    assert "answers came in 300 seconds, where " in found.why
    assert "or it leaves them without an answer" in found.why


def test_so_does_one_that_got_everybody_at_once() -> None:
    """Blue/green: what came to the champion before the switch is what is to be expected after it."""
    trial = Trial(RolloutPlan(strategy="blue_green", versions=("b",), soak_seconds=450, checks=Checks(metric=None)))
    trial.seconds(70)
    trial.moved(1, b=100, a=0)
    assert trial.seconds(600, silent=0.98).verdict == "hold"
    assert trial.seconds(300).verdict == "advance"


def test_a_night_ends_by_itself() -> None:
    """Fewer ask: it waits without calling anybody, and the version is promoted once more do."""
    trial = at_the_whole_share()
    night = trial.seconds(600, users=40)
    assert night.verdict == "hold"
    assert "fewer ask, as at night" in night.why
    assert "somebody has to look" not in night.why
    assert trial.seconds(300, users=120).verdict == "advance"


def test_fewer_answers_that_are_more_than_half_hold_nothing() -> None:
    """What came is not what was, and near enough."""
    trial = at_the_whole_share()
    assert trial.seconds(451, users=120).verdict == "advance"


class Answers:
    """Looks at answers of which so many come in each second."""

    def __init__(self) -> None:
        self.flow, self.now, self.stage = AnswerFlow("a"), AT, Stage(0, 0, AT, {"a": 50.0, "b": 50.0})

    def seconds(self, seconds: int, *, every: int, answers: int) -> str:
        """Let *answers* come once in *every* seconds; return what lacks."""
        for _ in range(seconds // every):
            self.now += timedelta(seconds=every)
            if answers:
                self.flow.take(Look(self.now, self.stage, 0, {"b": answers}, {}))
        return self.flow.lacks(self.now)

    def switch(self) -> None:
        """Give everybody the version."""
        self.stage = Stage(1, 1, self.now, {"a": 0.0, "b": 100.0})


def test_a_quiet_system_is_judged_by_a_longer_time() -> None:
    """With 12 answers an hour 100 of them are eight hours: an hour without one says nothing, and a day does."""
    answers = Answers()
    answers.seconds(100_000, every=300, answers=1)
    answers.switch()
    assert answers.seconds(36_000, every=300, answers=1) == ""
    assert answers.seconds(3600, every=300, answers=0) == ""
    assert "0 answers came in 30,000 seconds, where 100 did before" in answers.seconds(86_400, every=300, answers=0)
    assert answers.seconds(36_000, every=300, answers=1) == ""


def test_answers_that_are_not_in_the_log_yet_are_not_missed() -> None:
    """Two seconds after they were given some are: of the last five nothing is expected."""
    answers = Answers()
    answers.seconds(60, every=1, answers=1000)
    answers.switch()
    assert answers.flow.lacks(answers.now + timedelta(seconds=4)) == ""
    answers.seconds(10, every=1, answers=1000)
    assert answers.flow.lacks(answers.now + timedelta(seconds=4)) == ""
    assert answers.flow.lacks(answers.now + timedelta(seconds=40))
