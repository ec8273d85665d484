"""State that was published or streamed, and the oracle, give the same values of the same requests."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.features.agreement import LONG, SHORT, check
from tests.features.engines_online import Streamed, answers, published
from tests.features.oracle import Oracle
from tests.features.oracle_events import Event, known_of, time_of
from tests.features.scenario_tables import sources_of
from tests.features.scenarios import MINUTE, Scenario, clicks, transfers
from tests.features.shapes import FAMILIES, expressions_plan, window_plan
from tests.features.shapes_roles import roles_plan

from orita.features.online.reader import OnlineReader
from orita.features.plan import Plan

LATER = st.lists(
    st.sampled_from([1, 30 * MINUTE, 60 * MINUTE, 61 * MINUTE, 150 * MINUTE, 300 * MINUTE, 1700 * MINUTE]),
    min_size=1,
    max_size=2,
    unique=True,
)
"""How long after the last event a request comes: at once, when windows end, between hops, when all is over."""


def known_by(plan: Plan, scenario: Scenario, now: int) -> Scenario:
    """Return the scenario with the events that are seen as of *now*: over, and known by then."""
    kept = {
        name: [
            e
            for e in Oracle(plan.system, scenario.events).unique(source)
            if known_of(source, e) <= now and time_of(source, e) < now
        ]
        for name, source in sources_of(plan).items()
    }
    return Scenario(
        kept, scenario.tables, scenario.rows, scenario.text_ids, scenario.ids, scenario.absent, scenario.keys
    )


def check_reader(plan: Plan, reader: OnlineReader, scenario: Scenario, at: int) -> None:
    """Assert that requests are answered as the oracle does, from all events of the scenario."""
    oracle = Oracle(plan.system, scenario.events, scenario.tables)
    (user,) = plan.system.user.columns
    (item,) = plan.system.item.columns
    for row, _ in scenario.rows[:2]:
        asked = {**row, user: scenario.ids[0] if row[user] is None else row[user]}
        items = [scenario.ids[1] if row[item] is None else row[item], scenario.ids[-1]]
        for answered, values in answers(reader, plan, asked, items, at):
            check(values, oracle.row(answered, at), f"online as of {at} for {answered}")


def check_published(plan: Plan, scenario: Scenario, now: int, later: Sequence[int]) -> None:
    """Assert that what is published by *now* is the oracle's, some time later."""
    with tempfile.TemporaryDirectory() as folder:
        reader = published(plan, scenario, Path(folder), now)
        for wait in later:
            check_reader(plan, reader, known_by(plan, scenario, now), now + wait)


def check_streamed(plan: Plan, scenario: Scenario, cuts: Sequence[int], later: Sequence[int]) -> None:
    """Assert that state is the oracle's after each of the batches that *cuts* make of the events as they become known.

    Reading it changes nothing.
    """
    streamed = Streamed(plan, scenario)
    before: dict[str, list[Event]] = {}
    moments = sorted({*cuts, scenario.settled(plan) + 1})
    for now in moments:
        known = known_by(plan, scenario, now)
        streamed.count({name: [e for e in its if e not in before.get(name, [])] for name, its in known.events.items()})
        before = {name: list(its) for name, its in known.events.items()}
        held = dict(streamed.store.records)
        for wait in later if now == moments[-1] else later[:1]:
            check_reader(plan, streamed.reader(), known, now + wait)
        assert streamed.store.records == held


def check_shuffled(plan: Plan, scenario: Scenario, order: Sequence[int], later: Sequence[int]) -> None:
    """Assert that events in pieces and in any order make what they make all at once."""
    unique = {name: Oracle(plan.system, scenario.events).unique(source) for name, source in sources_of(plan).items()}
    streamed = Streamed(plan, scenario)
    for piece in range(3):
        streamed.count({
            name: [e for i, e in enumerate(its) if order[i % len(order)] == piece] for name, its in unique.items()
        })  # fmt: skip
    for wait in later:
        check_reader(plan, streamed.reader(), scenario, scenario.settled(plan) + wait)


def moments(scenario: Scenario) -> st.SearchStrategy[Any]:
    """Return times at which rows of the scenario ask."""
    return st.sampled_from([at for _, at in scenario.rows])


CASES = [*FAMILIES, "expressions", "roles"]


def drawn(data: st.DataObject, case: str, size: int, *, streamed: bool) -> tuple[Plan, Scenario]:
    """Return a plan and a scenario of *case*."""
    if case == "roles":
        return roles_plan(), data.draw(transfers(size))
    if case == "expressions":
        return expressions_plan(residuals=not streamed), data.draw(clicks(size))
    return window_plan(case, data.draw(st.integers(0, 4))), data.draw(clicks(size))


def run_published(case: str, data: st.DataObject, size: int) -> None:
    """Draw events of *case*, publish them, ask."""
    plan, scenario = drawn(data, case, size, streamed=False)
    now = data.draw(st.one_of(moments(scenario), st.just(scenario.settled(plan) + 1)))
    check_published(plan, scenario, now, data.draw(LATER))


def run_streamed(case: str, data: st.DataObject, size: int) -> None:
    """Draw events of *case*, stream them as they become known, ask in between."""
    plan, scenario = drawn(data, case, size, streamed=True)
    check_streamed(plan, scenario, data.draw(st.lists(moments(scenario), max_size=2)), data.draw(LATER))


def run_shuffled(case: str, data: st.DataObject, size: int) -> None:
    """Draw events of *case*, stream them in any order, ask in the end."""
    plan, scenario = drawn(data, case, size, streamed=True)
    order = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=7))
    check_shuffled(plan, scenario, order, data.draw(LATER))


@pytest.mark.parametrize("case", CASES)
@SHORT
@given(data=st.data())
def test_what_is_published_equals_the_oracle(case: str, data: st.DataObject) -> None:
    """Requests after publishing have the oracle's values: at once, when windows end, and when all is over."""
    run_published(case, data, 20)


@pytest.mark.parametrize("case", CASES)
@SHORT
@given(data=st.data())
def test_what_is_streamed_equals_the_oracle(case: str, data: st.DataObject) -> None:
    """Events counted as they become known make the oracle's values; older ones take nothing back, nor does reading."""
    run_streamed(case, data, 20)


@pytest.mark.parametrize("case", CASES)
@SHORT
@given(data=st.data())
def test_the_order_of_arrival_changes_nothing(case: str, data: st.DataObject) -> None:
    """Events in three pieces, in any order, make the same values as all at once."""
    run_shuffled(case, data, 20)


@pytest.mark.slow
@pytest.mark.parametrize("run", [run_published, run_streamed, run_shuffled])
@LONG
@given(case=st.sampled_from(CASES), data=st.data())
def test_state_equals_the_oracle_at_length(run: Any, case: str, data: st.DataObject) -> None:
    """The same for many and longer streams."""
    run(case, data, 40)
