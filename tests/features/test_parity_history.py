"""The history engine and the oracle give the same values of the same rows, whatever the events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.features.agreement import LONG, SHORT, check
from tests.features.engines_history import AsOf, history_events, history_rows
from tests.features.oracle import Oracle
from tests.features.scenarios import Scenario, clicks, transfers
from tests.features.shapes import FAMILIES, expressions_plan, window_plan
from tests.features.shapes_roles import roles_plan

from orita.features.plan import Plan

AS_OF = st.sampled_from(["known", "event"])
ZONES = st.sampled_from([None, "UTC", "Europe/Berlin"])


def check_history(plan: Plan, scenario: Scenario, as_of: AsOf, zone: str | None) -> None:
    """Assert that rows and events are as the oracle has them, in their order, none lost and none added."""
    oracle = Oracle(plan.system, scenario.events, scenario.tables, as_of)
    found = history_rows(plan, scenario, as_of, zone)
    assert len(found) == len(scenario.rows)
    for (row, at), values in zip(scenario.rows, found, strict=True):
        check(values, oracle.row(row, at), f"history as of {at} for {row}")
    source = plan.system.source
    by_id = history_events(plan, scenario, as_of, zone)
    events = oracle.unique(source)
    assert sorted(by_id) == sorted(event[source.schema.key] for event in events)
    for event in events:
        expected = oracle.row(event, event[source.schema.time or ""])
        check(by_id[event[source.schema.key]], expected, f"history of event {event}")


@pytest.mark.parametrize("family", FAMILIES)
@SHORT
@given(scenario=clicks(), shift=st.integers(0, 4), as_of=AS_OF, zone=ZONES)
def test_windows_equal_the_oracle(family: str, scenario: Scenario, shift: int, as_of: AsOf, zone: str | None) -> None:
    """Every function over every window is the oracle's, for arbitrary rows and for events as of their own time."""
    check_history(window_plan(family, shift), scenario, as_of, zone)


@SHORT
@given(scenario=clicks(), as_of=AS_OF, zone=ZONES)
def test_expressions_equal_the_oracle(scenario: Scenario, as_of: AsOf, zone: str | None) -> None:
    """Attributes, residuals, transforms and what requests bring are the oracle's."""
    check_history(expressions_plan(), scenario, as_of, zone)


@SHORT
@given(scenario=transfers(), as_of=AS_OF, zone=ZONES)
def test_roles_and_sources_equal_the_oracle(scenario: Scenario, as_of: AsOf, zone: str | None) -> None:
    """Roles, keys of several columns, renamed keys and several sources are the oracle's."""
    check_history(roles_plan(), scenario, as_of, zone)


@pytest.mark.slow
@LONG
@given(family=st.sampled_from(sorted(FAMILIES)), scenario=clicks(40), shift=st.integers(0, 4), as_of=AS_OF, zone=ZONES)
def test_windows_equal_the_oracle_at_length(
    family: str, scenario: Scenario, shift: int, as_of: AsOf, zone: str | None
) -> None:
    """The same for many and longer streams."""
    check_history(window_plan(family, shift), scenario, as_of, zone)
    check_history(expressions_plan(), scenario, as_of, zone)


@pytest.mark.slow
@LONG
@given(scenario=transfers(30), as_of=AS_OF, zone=ZONES)
def test_roles_and_sources_equal_the_oracle_at_length(scenario: Scenario, as_of: AsOf, zone: str | None) -> None:
    """The same for many and longer streams."""
    check_history(roles_plan(), scenario, as_of, zone)
