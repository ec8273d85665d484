"""The cases in tests/features/cases, each over every engine; a gap is named in its file and fails once it is closed.

Spark, which takes long to start, has them in `spark/test_spark_features.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.features.case_files import Case, case_names, expect, load_case, load_refusal, refusals
from tests.features.engines_history import history_rows
from tests.features.engines_online import Streamed, answers, published
from tests.features.oracle import Oracle
from tests.features.oracle_events import Event, known_of, time_of
from tests.features.oracle_values import SLACK
from tests.features.scenario_tables import sources_of
from tests.features.scenarios import Scenario

from orita.core.errors import UserError
from orita.features.online.reader import OnlineReader

NAMES = case_names()


def _open(engine: str) -> list[object]:
    """Return the cases for *engine*; those that it does not do are expected to fail."""
    gaps = {name: load_case(name).gaps.get(engine) for name in NAMES}
    return [
        pytest.param(name, marks=pytest.mark.xfail(reason=gap, strict=True)) if gap else name
        for name, gap in gaps.items()
    ]


def _requests(case: Case) -> list[tuple[Event, int]]:
    """Return the rows of a case that requests can be: they name a user and an item."""
    return list(case.scenario.rows)


def _seen_by(case: Case, at: int) -> Scenario:
    """Return the scenario with the events that were and were known before a request at *at*."""
    sources = sources_of(case.plan)
    kept = {
        name: [e for e in case.scenario.events.get(name, ()) if known_of(source, e) <= at and time_of(source, e) < at]
        for name, source in sources.items()
    }
    return replace(case.scenario, events=kept)


def _batches(case: Case, at: int) -> list[dict[str, list[Event]]]:
    """Return the events before a request as a stream brings them: each id once, as the case says or one by one."""
    oracle = Oracle(case.plan.system, _seen_by(case, at).events)
    unique = {name: oracle.unique(source) for name, source in sources_of(case.plan).items()}
    if case.batches:
        every = case.scenario.events["shown"]
        return [{"shown": [every[i] for i in batch if every[i] in unique["shown"]]} for batch in case.batches]
    arrived = [
        (known_of(source, event), name, event)
        for name, source in sources_of(case.plan).items()
        for event in unique[name]
    ]
    return [{name: [event]} for _, name, event in sorted(arrived, key=lambda arrival: arrival[0])]


def _expect_online(case: Case, position: int, reader: OnlineReader, row: Event, at: int, engine: str) -> None:
    """Compare what a request gets with the case; one that does not say who asks, or for what, is refused."""
    (user,), (item,) = case.plan.system.user.columns, case.plan.system.item.columns
    if row[user] is None or row[item] is None:
        with pytest.raises(UserError, match="the id None is none"):
            list(answers(reader, case.plan, row, [row[item]], at))
    else:
        ((_, values),) = answers(reader, case.plan, row, [row[item]], at)
        expect(case, position, values, engine)


@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_keeps_the_case(name: str) -> None:
    """The oracle, which judges the engines, has the values that were written by hand."""
    case = load_case(name)
    oracle = Oracle(case.plan.system, case.scenario.events, case.scenario.tables, case.as_of)
    for position, (row, at) in enumerate(case.scenario.rows):
        expect(case, position, {n: v.value for n, v in oracle.row(row, at).items()}, "oracle")


@pytest.mark.parametrize("name", _open("history"))
def test_history_keeps_the_case(name: str) -> None:
    """The history engine has the values that were written by hand: one row a row, in their order."""
    case = load_case(name)
    found = history_rows(case.plan, case.scenario, case.as_of)
    assert len(found) == len(case.expected)
    for position, values in enumerate(found):
        expect(case, position, values, "history")


@pytest.mark.parametrize("name", _open("online"))
def test_publishing_keeps_the_case(name: str, tmp_path: Path) -> None:
    """What is published by the time of each row answers it with the values that were written by hand."""
    case = load_case(name)
    for position, (row, at) in enumerate(_requests(case)):
        reader = published(case.plan, _seen_by(case, at), tmp_path / str(position))
        _expect_online(case, position, reader, row, at, "online")


@pytest.mark.parametrize("name", _open("stream"))
def test_streaming_keeps_the_case(name: str) -> None:
    """State that events are counted into as they become known answers each row, twice, and reading changes nothing."""
    case = load_case(name)
    for position, (row, at) in enumerate(_requests(case)):
        streamed = Streamed(case.plan, case.scenario)
        for batch in _batches(case, at):
            streamed.count(batch)
        held = dict(streamed.store.records)
        for _ in range(2):
            _expect_online(case, position, streamed.reader(), row, at, "stream")
        assert streamed.store.records == held


def test_the_past_is_refused(tmp_path: Path) -> None:
    """Online, a request that is not after the latest event of its keys is an error, never a wrong number."""
    case = load_case("boundary")
    latest = max(event["at"] for event in case.scenario.events["shown"])
    reader = published(case.plan, case.scenario, tmp_path)
    with pytest.raises(ValueError, match="send a later timestamp"):
        reader.matrix(1, [9], {}, latest)
    assert reader.matrix(2, [9], {}, latest).shape == (1, len(case.plan.system.declared))
    assert reader.matrix(1, [9], {}, latest + 1).shape == (1, len(case.plan.system.declared))


@pytest.mark.parametrize("name", refusals())
def test_what_has_no_meaning_is_refused_where_it_is_declared(name: str) -> None:
    """A declaration without a meaning fails when it is made, with a sentence that names the value."""
    declare, says = load_refusal(name)
    with pytest.raises(ValueError, match=says):
        declare()


def test_the_slack_is_that_of_the_contract() -> None:
    """Sums of floats may differ by 1e-12 of what was added, no more."""
    assert SLACK == 1e-12
