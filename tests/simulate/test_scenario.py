"""What happens is declared, read strictly, and ships in examples that run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulate.conftest import live

from orita.core.errors import NotFound, UserError
from orita.events.world import World
from orita.simulate.scenario import Scenario, read_scenario, shipped


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_scenario_runs(small_world: World, name: str) -> None:
    """Each scenario that ships is about something, fits a month, and runs; here it all happens within two days."""
    scenario = read_scenario(name)
    assert scenario.about
    scenario.checked(days=30, topics=16)
    first = scenario.happenings[0].day
    soon = [each.model_copy(update={"day": min(each.day - first, 1) + 1}) for each in scenario.happenings]
    lived = live(small_world, ("popularity", "random"), days=2, users=12, scenario=Scenario(happenings=tuple(soon)))
    assert lived.tally.counts["sessions"].sum() > 0


def test_there_are_scenarios_for_each_kind() -> None:
    """Drift, outage, bad model and new audience each have one."""
    kinds = {each.kind for name in shipped() for each in read_scenario(name).happenings}
    assert kinds == {"drift", "outage", "bad_model", "new_audience"}
    assert len(shipped()) >= 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("happenings: [{day: 1, dryft: {}}]", "'happenings.1.dryft' is not a known key. Did you mean 'drift'"),
        ("happenings: [{day: 1, drift: {redrwn: 1}}]", "'happenings.1.drift.redrwn' is not a known key"),
        ("happenings: [{day: 1}]", "one of drift, outage, bad_model, new_audience; this one is none"),
        ("happenings: [{day: 1, drift: {redrawn: 1}, outage: {hours: 1}}]", "this one is drift and outage"),
        ("happenings: [{day: 0, outage: {hours: 1}}]", "'happenings.1.day' has the value 0"),
        ("happenings: [{day: 1, outage: {}}]", "'happenings.1.outage.hours' is missing"),
        ("happenings: [{day: 1, outage: {hours: 1, serves: soup}}]", "'list' or 'nothing'"),
        ("happenings: [{day: 1, drift: {}}]", "a drift moves something"),
        ("happening: []", "'happening' is not a known key"),
        ("- day: 1", "holds no keys"),
        ("happenings: [", "cannot be read as YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    """A key or a value that is not allowed is named, with its place."""
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as told:
        read_scenario(str(file))
    assert says in str(told.value)


def test_a_name_that_is_none_lists_those_that_are() -> None:
    """Who mistypes a scenario learns which there are."""
    with pytest.raises(NotFound, match="drift"):
        read_scenario("drif")


def test_a_scenario_that_does_not_fit_is_refused() -> None:
    """What would happen after the last day, or to a topic that there is not, is no scenario of this run."""
    late = Scenario.model_validate({"happenings": [{"day": 9, "outage": {"hours": 1}}]})
    with pytest.raises(UserError, match="after the last day, 8"):
        late.checked(days=8, topics=4)
    unknown = Scenario.model_validate({"happenings": [{"day": 1, "drift": {"topics": {7: 1.0}}}]})
    with pytest.raises(UserError, match="topic 7: allowed are those of this world, 0 to 3"):
        unknown.checked(days=8, topics=4)
