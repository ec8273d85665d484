"""Each gate passes, fails, or says that it cannot tell, with the figures that decide."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tests.features.small_system import NOW

from orita.core.clock import to_micros
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.examples import Examples
from orita.pipelines.comparison import Meeting
from orita.pipelines.gates import latency
from orita.pipelines.gates.config import GatesSection, LatencyGate, SafetyGate, SizeGate, SlicesGate
from orita.pipelines.gates.latency import latency_gate
from orita.pipelines.gates.safety import safety_gate
from orita.pipelines.gates.size import size_gate
from orita.pipelines.gates.slices import slices_gate

SCHEMA = FeatureSchema((FeatureColumn("chance", "item"), FeatureColumn("mobile", "context")))


def rows(count: int = 3000, users: int = 300, seed: int = 0) -> Examples:
    """Return rows whose label follows the first feature; half of the rows are mobile."""
    rng = np.random.default_rng(seed)
    x_NF = np.column_stack([rng.random(count), rng.integers(0, 2, count)]).astype(np.float32)
    users_N = rng.integers(0, users, count)
    y_N = (rng.random(count) < x_NF[:, 0]).astype(np.float32)
    return Examples(SCHEMA, users_N, users_N + 10, x_NF, y_N, np.full(count, to_micros(NOW)))


@dataclass
class Model:
    """A package that scores by a rule."""

    rule: Any
    sample: Examples = field(default_factory=lambda: rows(50))
    label_objective: None = None
    asked: int = 0

    def score(self, users_N: Any, items_N: Any, x_NF: Any, objective: None = None) -> Any:
        """Return scores."""
        return self.rule(users_N, x_NF)

    def score_user(self, user: Any, items_N: Any, x_NF: Any) -> Any:
        """Count requests."""
        assert len(items_N) == len(x_NF)
        self.asked += 1
        return x_NF[:, 0]


def chance(users_N: Any, x_NF: Any) -> Any:
    """Score as the label is made; of rows without values a half."""
    return np.nan_to_num(x_NF[:, 0], nan=0.5)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (lambda users_N, x_NF: x_NF[:, 0], "without any feature value 1,000 of 1,000 scores are no finite number"),
        (lambda users_N, x_NF: chance(users_N, x_NF) * 1.5, "scores go from"),
        (lambda users_N, x_NF: np.where(users_N > 10**9, np.inf, chance(users_N, x_NF)), "of unknown users and items"),
        (lambda users_N, x_NF: np.full(len(x_NF), 0.5), "hardly differ"),
        (lambda users_N, x_NF: chance(users_N, x_NF) ** 3, "the calibration error is"),
    ],
)
def test_what_is_not_safe_fails(rule: Any, told: str) -> None:
    """No number, out of bounds, one score for all, and chances that are none are named."""
    made, model = rows(), Model(rule)
    found = safety_gate(model, made, rule(made.users_N, made.x_NF), SafetyGate())  # type: ignore[arg-type]
    assert (found.state, found.allows) == ("fail", False)
    assert told in found.sentence


def test_what_raises_for_unknown_ids_fails() -> None:
    """A model that cannot answer a stranger is no model to serve."""

    def rule(users_N: Any, x_NF: Any) -> Any:
        if users_N.max() > 10**9:
            raise IndexError("no such user")
        return chance(users_N, x_NF)

    made = rows()
    found = safety_gate(Model(rule), made, chance(made.users_N, made.x_NF), SafetyGate())  # type: ignore[arg-type]
    assert not found.allows and "it fails: no such user" in found.sentence


def test_what_is_safe_passes() -> None:
    """True chances are calibrated but for what chance alone makes of the error; few rows do not tell of that."""
    made, model = rows(), Model(chance)
    scores_N = chance(made.users_N, made.x_NF)
    found = safety_gate(model, made, scores_N, SafetyGate(most_calibration_error=0.01))  # type: ignore[arg-type]
    assert (found.state, found.allows) == ("pass", True)
    assert found.figures["calibration_error"] < 2 * found.figures["by_chance"]
    few = made.take(slice(100))
    found = safety_gate(model, few, scores_N[:100], SafetyGate())  # type: ignore[arg-type]
    assert (found.state, found.allows) == ("not_enough_data", True)


def package(folder: Path, size: int) -> Path:
    """Write a folder of so many bytes."""
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "model.onnx").write_bytes(b"0" * size)
    return folder


@pytest.mark.parametrize(
    ("gate", "state"),
    [({}, "pass"), ({"most_ratio": 1.9}, "fail"), ({"most_ratio": None, "most_mb": 0.001}, "fail")],
)
def test_size(tmp_path: Path, gate: dict[str, Any], state: str) -> None:
    """Twice the champion's size passes by default; a ratio or an absolute limit refuses it."""
    mine, theirs = package(tmp_path / "a", 2000), package(tmp_path / "b", 1000)
    found = size_gate(mine, theirs, SizeGate(**gate))
    assert (found.state, found.allows) == (state, state == "pass")
    assert "2.00 times the champion's" in found.sentence
    assert size_gate(mine, None, SizeGate()).state == "pass"


def clocked(monkeypatch: pytest.MonkeyPatch, mine: float, theirs: float, noise: float) -> None:
    """Let the stopwatch say that requests of the challenger (asked first) and the champion take so many seconds."""
    rng = np.random.default_rng(0)

    def timed(asked: list[Any], rounds: int) -> list[Any]:
        for ask in asked:
            ask()
        return [seconds * np.exp(noise * rng.standard_normal(rounds)) for seconds in (mine, theirs)[: len(asked)]]

    monkeypatch.setattr(latency, "_timed", timed)


@pytest.mark.parametrize(
    ("mine", "noise", "gate", "state"),
    [
        (0.0010, 0.1, {}, "pass"),
        (0.0030, 0.1, {}, "fail"),
        (0.0020, 0.1, {}, "not_enough_data"),
        (0.0010, 0.1, {"most_ms": 0.5}, "fail"),
        (0.0010, 0.1, {"most_ratio": None, "most_ms": 5}, "pass"),
    ],
)
def test_latency(monkeypatch: pytest.MonkeyPatch, mine: float, noise: float, gate: dict[str, Any], state: str) -> None:
    """The whole interval must lie below the limit to pass, above it to fail; between them it cannot tell."""
    clocked(monkeypatch, mine, 0.001, noise)
    challenger, champion = Model(chance), Model(chance)
    found = latency_gate(challenger, champion, LatencyGate(**gate))  # type: ignore[arg-type]
    assert found.state == state
    assert found.allows is (state == "pass")
    assert challenger.asked and champion.asked
    ms = found.figures["ms"]
    assert ms[1] <= ms[0] <= ms[2]


def test_latency_asks_both_in_turn() -> None:
    """The champion is asked as often as the challenger, and alone a challenger is held to milliseconds."""
    challenger, champion = Model(chance), Model(chance)
    gate = LatencyGate(most_ratio=1000, rounds=20)
    assert latency_gate(challenger, champion, gate).state == "pass"  # type: ignore[arg-type]
    assert challenger.asked == champion.asked >= 20
    alone = latency_gate(Model(chance), None, LatencyGate(most_ms=60_000, rounds=20))  # type: ignore[arg-type]
    assert (alone.state, "champion" in alone.sentence) == ("pass", False)


def met(mobile: float, made: Examples) -> Meeting:
    """Return a meeting in which the challenger is better, but on mobile rows worse by so much noise."""
    rng = np.random.default_rng(1)
    good_N = made.x_NF[:, 0]
    theirs_N = np.clip(good_N + 0.2 * rng.standard_normal(len(made)), 0, 1)
    worse_N = np.clip(good_N + mobile * rng.standard_normal(len(made)), 0, 1)
    mine_N = np.where(made.x_NF[:, 1] > 0, worse_N, good_N)
    return Meeting(made, made, mine_N.astype(np.float32), theirs_N.astype(np.float32))


@pytest.mark.parametrize(("mobile", "state"), [(0.05, "pass"), (1.0, "fail")])
def test_a_slice_that_loses_fails(mobile: float, state: str) -> None:
    """Where all rows together win, one declared slice that surely loses more than is allowed refuses."""
    found = slices_gate(met(mobile, rows()), SlicesGate(by=("mobile",), most_loss=0.02), resamples=200, seed=0)
    assert (found.state, found.allows) == (state, state == "pass")
    assert found.figures["confidence"] == pytest.approx(0.975)
    assert [part["state"] for part in found.figures["slices"]] == ["pass", state]
    assert ("mobile = 1: AUC -" in found.sentence) is (state == "fail")


@pytest.mark.parametrize(("choice", "allows"), [("allow", True), ("refuse", False)])
def test_small_slices_cannot_tell(choice: Any, allows: bool) -> None:
    """Of few users nothing is sure; the declaration says whether that is enough."""
    small = met(0.3, rows(40, users=4))
    found = slices_gate(small, SlicesGate(by=("mobile",), not_enough=choice), resamples=100, seed=0)
    assert (found.state, found.allows) == ("not_enough_data", allows)
    assert "2 of 2 slices cannot tell" in found.sentence


def test_gates_are_off_by_default() -> None:
    """What is not declared demands nothing."""
    assert not any(GatesSection().model_dump().values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency": {"most_ratio": None}},
        {"size": {"most_ratio": None}},
        {"slices": {}},
        {"slices": {"by": []}},
        {"safety": {"low": 1, "high": 0}},
        {"latency": {"most_ratio": math.inf}},
    ],
)
def test_what_cannot_be_demanded_is_refused(wrong: dict[str, Any]) -> None:
    """A gate has a limit, and values have their bounds."""
    with pytest.raises(ValidationError):
        GatesSection.model_validate(wrong)
