"""What holds a rollout holds it no more once somebody said that it is meant; harm nobody can acknowledge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.delivery.rollouts.answering import Behaviour
from tests.delivery.rollouts.test_controller import CHECKS, ME, STEPS, Scene

from orita.control.deployments import DEPLOYMENT
from orita.control.events import Conflict
from orita.control.replay import rebuild
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.delivery.rollouts import ROLLOUT, Rollout, RolloutPlan, ScoreCheck
from orita.delivery.rollouts.acknowledgements import check_names, holding, with_acknowledgements
from orita.delivery.rollouts.findings import CheckFinding
from orita.delivery.rollouts.rollout import Acknowledgement, Beyond

OTHER_SCALE = Behaviour(click=0.45, score=5.0)
WHY = "another type of model has another scale"


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Scene]:
    """Return what makes a scene."""
    return lambda new=OTHER_SCALE, **plan: Scene(Home(tmp_path), new, **plan)


def acknowledge(made: Scene, *checks: str, reason: str = WHY) -> Rollout:
    """Say that what holds the rollout is meant."""
    now = made.rollouts.under_way("feed")
    return made.rollouts.acknowledge(now, holding(now, made.standing().evidence, checks), actor="ann", reason=reason)


def said(made: Scene) -> dict[str, str]:
    """Return what each check says."""
    return {name: check["says"] for name, check in made.standing().evidence["checks"].items()}


def test_scores_of_another_scale_hold_until_they_are_acknowledged(scene: Callable[..., Scene]) -> None:
    """The text of the hold names the command; then the good version goes up, and who said so is told at every step."""
    made = scene()
    controller = made.controller()
    assert "promoted" not in made.seconds(40, controller)
    held = made.standing()
    assert (held.verdict, held.step, said(made)["scores b"]) == ("hold", 1, "beyond")
    assert "somebody has to look. If it is meant, 'orita rollout acknowledge scores --reason …'" in held.why
    now = acknowledge(made)
    assert now.verdict == "not_looked_at"
    (known,) = made.standing().acknowledged
    assert (known.beyond.check, known.beyond.version, known.by, known.reason) == ("scores", "b", "ann", WHY)
    assert (known.at, "first scores of b" in known.beyond.why) == (made.clock.now(), True)
    assert made.standing().verdict == "not_looked_at"  # what the look of before said is over
    assert made.seconds(2, controller)[0] == "advanced"
    assert said(made)["scores b"] == "acknowledged"
    told = made.standing().evidence["checks"]["scores b"]
    assert told["why"].endswith(f"acknowledged by ann: {WHY}")
    assert told["acknowledged"] == {"by": "ann", "at": known.at.isoformat(), "reason": WHY}
    assert told["distance"] > 0.3  # it is computed as before
    assert made.seconds(40, controller)[-1] == "promoted"


def test_a_controller_that_begins_anew_knows_it(scene: Callable[..., Scene]) -> None:
    """It is in control state: another controller, and a state that is made again of its events, come to the same."""
    made = scene()
    made.seconds(40, first := made.controller())
    acknowledge(made, "scores")
    first.release()
    before = made.rollouts.current("feed")
    rebuild(made.rollouts.log, {kind.name: kind for kind in (ROLLOUT, DEPLOYMENT)})
    assert made.rollouts.current("feed") == before == ROLLOUT.folded(made.rollouts.history("feed"))
    assert "advanced" in made.seconds(3, made.controller("two"))


def test_harm_takes_back_what_was_acknowledged(scene: Callable[..., Scene]) -> None:
    """Scores are meant to differ, failures are not."""
    made = scene()
    controller = made.controller()
    made.seconds(40, controller)
    acknowledge(made)
    made.world.behaviour["b"] = Behaviour(click=0.45, score=5.0, failing=1.0)
    assert "rolled_back" in made.seconds(20, controller)


def test_scores_that_take_back_cannot_be_acknowledged(scene: Callable[..., Scene]) -> None:
    """Where the plan says so they are harm: the rollout ends, and there is nothing to acknowledge."""
    checks = msgspec.structs.replace(CHECKS, scores=ScoreCheck(action="roll_back"))
    made = scene(checks=checks)
    assert made.seconds(20, made.controller())[-1] == "rolled_back"
    with pytest.raises(NotFound, match="has no rollout under way"):
        acknowledge(made, "scores")


def test_what_cannot_be_acknowledged(scene: Callable[..., Scene]) -> None:
    """Each is refused in a sentence, and nothing is decided."""
    made = scene()
    with pytest.raises(Conflict, match=r"no check holds rollout .* now\. 'orita rollout status' tells"):
        acknowledge(made)
    made.seconds(40, made.controller())
    for name, sentence in (
        ("score", "only scores, drift and split hold a rollout.* Did you mean 'scores'"),
        ("errors", "what takes a version back nobody can acknowledge"),
        ("scores b", "the check 'scores b' cannot be acknowledged"),
    ):
        with pytest.raises(UserError, match=sentence):
            check_names([name])
        with pytest.raises(UserError, match=sentence):
            acknowledge(made, "scores", name)
    with pytest.raises(Conflict, match=r"drift does not hold rollout .* now: scores does\."):
        acknowledge(made, "scores", "drift")
    with pytest.raises(UserError, match="reason is empty"):
        acknowledge(made, reason=" ")
    assert "acknowledged" not in made.types
    now = made.rollouts.under_way("feed")
    beyond = holding(now, made.standing().evidence)
    acknowledge(made, "scores")
    with pytest.raises(Conflict, match="scores does not hold"):  # it was, and is no more
        acknowledge(made, "scores")
    with pytest.raises(Conflict, match="meanwhile"):
        made.rollouts.acknowledge(now, beyond, **ME)
    assert made.types.count("acknowledged") == 1


def test_it_is_of_one_version_and_one_rollout(scene: Callable[..., Scene]) -> None:
    """Another version whose scores differ, and the same version in the next rollout, hold again."""
    made = scene()
    now = made.rollouts.under_way("feed")
    beyond = Beyond(check="scores", version="b", why="they differ")
    now = made.rollouts.acknowledge(now, [beyond], **ME)
    found = [CheckFinding(check="scores", version=version, says="beyond", why="") for version in "bc"]
    assert [each.says for each in with_acknowledgements(found, now)] == ["acknowledged", "beyond"]
    harm = CheckFinding(check="scores", version="b", says="harm", why="")
    assert with_acknowledgements([harm], now) == (harm,)
    made.rollouts.abort("feed", **ME)
    plan = RolloutPlan(strategy="canary", versions=("b",), steps=STEPS)
    again = made.rollouts.start("feed", plan, **ME)
    assert [each.says for each in with_acknowledgements(found, again)] == ["beyond", "beyond"]


def test_a_state_of_before_is_read(tmp_path: Path) -> None:
    """Rollouts that began before there were acknowledgements have none."""
    at = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
    known = Acknowledgement(beyond=Beyond(check="scores", version="b", why=""), by="ann", at=at, reason="")
    made = Scene(Home(tmp_path), OTHER_SCALE)
    rollout = msgspec.structs.replace(made.rollouts.under_way("feed"), acknowledged=(known,))
    kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(rollout))
    assert msgspec.convert(kept, Rollout) == rollout
    del kept["acknowledged"]
    assert msgspec.convert(kept, Rollout).acknowledged == ()
