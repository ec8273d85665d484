"""Drills: what the rules say goes wrong, where it is allowed, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from orita.core.clock import ManualClock
from orita.core.errors import Unavailable, UserError
from orita.core.home import Home
from orita.events.log.log import Appended
from orita.events.prediction_segment import ScoredRequest
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.serving.protocols import FeatureService, LogStream
from orita.serving.resilience.faults import ALLOW_VARIABLE, FaultRule, Faults
from orita.serving.resilience.faulty import FaultyFeatures, FaultyFeatureService, FaultySink, faulty_loader
from orita.testing.serving import HashedFeatures, load_line_package, publish_line_package

ALLOWED = {ALLOW_VARIABLE: "1"}
SCHEMA = FeatureSchema((FeatureColumn("item_ctr", "item"),))


def faults(*rules: Mapping[str, object], clock: ManualClock | None = None, slept: list[float] | None = None) -> Faults:
    """Return faults with *rules* that sleep into a list."""
    sleep = (slept if slept is not None else []).append
    checked = [FaultRule.model_validate(rule) for rule in rules]
    return Faults(checked, clock or ManualClock(), ALLOWED, sleep=sleep)


def struck(faults: Faults, times: int) -> list[int]:
    """Return which of so many calls of the store fail, the first being 1."""
    failed = []
    for n in range(1, times + 1):
        try:
            faults.strike("store")
        except Unavailable:
            failed.append(n)
    return failed


@pytest.mark.parametrize("environment", [{}, {ALLOW_VARIABLE: "0"}, {ALLOW_VARIABLE: "yes"}])
def test_faults_need_a_permission_of_their_own(environment: dict[str, str]) -> None:
    """A configuration with faults does not start where the environment does not allow them; without rules it does."""
    rule = FaultRule(part="store", kind="error")
    with pytest.raises(UserError, match="ORITA_ALLOW_FAULTS is not 1"):
        Faults([rule], ManualClock(), environment)
    assert not Faults([], ManualClock(), environment)


def test_every_nth_call_fails() -> None:
    """Exactly every third, and only of the part that is named."""
    rules = faults({"part": "store", "kind": "error", "every": 3}, {"part": "log", "kind": "error"})
    assert struck(rules, 10) == [3, 6, 9]
    assert not rules.strike("model")


def test_a_share_of_calls_fails() -> None:
    """About the share, and the same calls for the same seed."""
    rule = {"part": "store", "kind": "error", "share": 0.2}
    failed = struck(faults(rule), 5000)
    assert 900 < len(failed) < 1100
    assert failed == struck(faults(rule), 5000)


def test_faults_have_their_time() -> None:
    """Before *from* and from *until* on nothing fails."""
    clock = ManualClock()
    rules = faults({"part": "store", "kind": "error", "from_seconds": 2, "until_seconds": 4}, clock=clock)
    failed = []
    for _ in range(6):
        failed.append(bool(struck(rules, 1)))
        clock.advance(timedelta(seconds=1))
    assert failed == [False, False, True, True, False, False]


def test_latency_and_hang_wait() -> None:
    """Latency waits its milliseconds, a hang so long that something else has to end it; rules add up."""
    slept: list[float] = []
    rules = faults(
        {"part": "store", "kind": "latency", "milliseconds": 200},
        {"part": "store", "kind": "hang", "hang_seconds": 99},
        slept=slept,
    )
    assert not rules.strike("store")
    assert slept == [0.2, 99]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"part": "store", "kind": "error", "share": 0.5, "every": 2}, "share and every"),
        ({"part": "store", "kind": "error", "from_seconds": 5, "until_seconds": 5}, "until_seconds is 5"),
        ({"part": "model", "kind": "drop"}, "allowed for the model"),
        ({"part": "disk", "kind": "error"}, "'store', 'model', 'log', 'broker' or 'jobs'"),
        ({"part": "store", "kind": "error", "share": 0}, "greater than 0"),
    ],
)
def test_rules_that_cannot_be_are_refused(rule: dict[str, object], sentence: str) -> None:
    """A contradiction in a rule is told when it is read."""
    with pytest.raises(ValidationError, match=sentence):
        FaultRule.model_validate(rule)


def test_a_faulty_store_fails_or_loses_its_answer() -> None:
    """An error comes before the read, a loss after it; both look like a store that is away."""
    features = HashedFeatures(["item_ctr"])
    ask: tuple[int, list[int | str], dict[str, object], int] = (1, [1, 2], {}, 10**15)
    for kind in ("error", "drop"):
        reader = FaultyFeatures(features, faults({"part": "store", "kind": kind, "every": 2})).reader(SCHEMA)
        assert np.array_equal(reader.matrix(*ask), features.reader(SCHEMA).matrix(*ask))
        with pytest.raises(Unavailable, match="end the drill"):
            reader.matrix(*ask)
    assert FaultyFeatures(features, faults()).refresh() is False


def test_a_faulty_model_is_the_package_but_for_its_failures(home: Home) -> None:
    """All that a package has is there; scoring fails as the rules say."""
    folder = publish_line_package(home, "feed", "v1.0.0", ["item_ctr"])
    package = faulty_loader(load_line_package, faults({"part": "model", "kind": "error", "every": 2}))(folder)
    package.check_sample()
    assert package.version == "v1.0.0"
    x_NF = np.full((2, 1), 0.5, np.float32)
    assert package.score_user(1, [1, 2], x_NF).tolist() == [0.5, 0.5]
    with pytest.raises(Unavailable):
        package.score_user(1, [1, 2], x_NF)


class Sink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.taken: list[ScoredRequest] = []

    def room(self, rows: int, /) -> bool:
        """Have room."""
        return True

    def append(self, stream: LogStream, request: ScoredRequest, /) -> None:
        """Take one."""
        self.taken.append(request)


def test_a_faulty_log_has_no_room_or_loses_rows() -> None:
    """An error is a log that is full; a loss is a row that is not there; the others are."""
    request = cast(ScoredRequest, object())
    stream = LogStream("feed", "v1.0.0", ())
    sink = Sink()
    full = FaultySink(sink, faults({"part": "log", "kind": "error", "every": 2}))
    assert [full.room(1), full.room(1), full.room(1)] == [True, False, True]
    losing = FaultySink(sink, faults({"part": "log", "kind": "drop", "every": 2}))
    for _ in range(4):
        assert losing.room(1)
        losing.append(stream, request)
    assert len(sink.taken) == 2


class Broker:
    """Counts what was pushed."""

    def __init__(self) -> None:
        self.pushed = 0

    def push_features(self, events: Sequence[Mapping[str, object]], source: str | None = None, /) -> Any:
        """Count them."""
        self.pushed += len(events)
        return cast(Appended, source)

    def get_online_features(self, *asked: object, **how: object) -> pa.Table:
        """Return a row."""
        return pa.table({"item_id": [1]})


def test_a_faulty_broker_may_have_taken_what_it_did_not_answer() -> None:
    """An error takes nothing; a lost answer has taken the events; reads have the faults of the store."""
    broker = Broker()
    service = cast(FeatureService, broker)
    with pytest.raises(Unavailable):
        FaultyFeatureService(service, faults({"part": "broker", "kind": "error"})).push_features([{}])
    assert broker.pushed == 0
    with pytest.raises(Unavailable, match="lost the answer"):
        FaultyFeatureService(service, faults({"part": "broker", "kind": "drop"})).push_features([{}])
    assert broker.pushed == 1
    with pytest.raises(Unavailable):
        FaultyFeatureService(service, faults({"part": "store", "kind": "error"})).get_online_features(1, [1])
