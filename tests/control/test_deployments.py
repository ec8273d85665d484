from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.control.database import ControlDatabase
from orita.control.deployments import Deployment, DeploymentConflict, Deployments, lineage
from orita.core.clock import ManualClock
from orita.core.errors import NotFound, Unavailable, UserError

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)


@pytest.fixture
def deployments(where: Path | str) -> Deployments:
    """Deployments of an empty home."""
    return Deployments(where, "default", ManualClock(AT))


def deploy(deployments: Deployments, *versions: str) -> None:
    """Deploy *versions* of ``feed``, one after the other."""
    for version in versions:
        deployments.deploy("feed", version, actor="ana", reason="test")


def test_nothing_deployed(deployments: Deployments, where: Path | str) -> None:
    """Asking before the first deployment answers None and makes no file."""
    assert deployments.current("feed") is None
    assert deployments.previous("feed") is None
    assert deployments.history("feed") == []
    assert deployments.systems() == []
    assert isinstance(where, str) or not where.exists()


def test_current_is_the_last_deployment(deployments: Deployments) -> None:
    """The current deployment tells sequence, version, time, actor and reason."""
    deployments.deploy("feed", "v1.0.0", actor="ana", reason="first")
    made = deployments.deploy("feed", "v1.1.0", actor="ben", reason="better AUC")
    assert made == Deployment(2, "feed", "v1.1.0", AT, "ben", "better AUC", "deploy")
    assert deployments.current("feed") == made
    assert [event.version for event in deployments.history("feed")] == ["v1.0.0", "v1.1.0"]


@pytest.mark.parametrize(
    ("steps", "current", "previous"),
    [
        ("A", "A", None),
        ("AB", "B", "A"),
        ("ABC", "C", "B"),
        ("AB<", "A", None),
        ("ABC<", "B", "A"),
        ("ABC<<", "A", None),
        ("AB<C", "C", "A"),
        ("AB<B", "B", "A"),
        ("AB<C<", "A", None),
        ("AAB", "B", "A"),
        ("ABB", "B", "A"),
        ("ABCA", "A", "C"),
        ("ABCA<", "C", "B"),
        ("ABA", "A", None),
    ],
)
def test_previous_is_the_champion_before(
    deployments: Deployments, steps: str, current: str, previous: str | None
) -> None:
    """A version that was taken back is never what the next rollback goes to."""
    for step in steps:
        if step == "<":
            deployments.rollback("feed", actor="ana", reason="worse")
        else:
            deploy(deployments, step)
    now = deployments.current("feed")
    assert now is not None
    assert now.version == current
    assert deployments.previous("feed") == previous
    assert deployments.lineage("feed")[-1] == current


def test_deploying_the_previous_version_is_a_rollback(deployments: Deployments) -> None:
    """Going back is recorded as a rollback, also when it is spelled as a deployment."""
    deploy(deployments, "A", "B", "A")
    assert [event.kind for event in deployments.history("feed")] == ["deploy", "deploy", "rollback"]


def test_rollback_to_an_older_version(deployments: Deployments) -> None:
    """A rollback may go further down, and takes everything above with it."""
    deploy(deployments, "A", "B", "C")
    made = deployments.rollback("feed", actor="ana", reason="both are worse", to="A")
    assert (made.version, made.kind) == ("A", "rollback")
    assert deployments.previous("feed") is None


def test_rollback_needs_an_earlier_version(deployments: Deployments) -> None:
    """Without an earlier version, or with one that never answered, a rollback is refused in a sentence."""
    deploy(deployments, "v1")
    with pytest.raises(NotFound, match=r"system 'feed' has no earlier version"):
        deployments.rollback("feed", actor="ana", reason="x")
    deploy(deployments, "v2")
    with pytest.raises(NotFound, match=r"version 'v0' was not champion of 'feed' before\. Known: v1\."):
        deployments.rollback("feed", actor="ana", reason="x", to="v0")
    assert len(deployments.history("feed")) == 2


@given(st.lists(st.sampled_from("ABC<"), max_size=30))
def test_a_rollback_undoes_exactly_one_step(steps: list[str]) -> None:
    """Whatever came before: a new version and its rollback leave the lineage as it was."""
    events: list[Deployment] = []

    def append(version: str, kind: str) -> None:
        events.append(Deployment(len(events) + 1, "feed", version, AT, "a", "r", kind))  # type: ignore[arg-type]

    for step in steps:
        before = lineage(events)
        if step != "<":
            append(step, "rollback" if before[-2:-1] == [step] else "deploy")
        elif len(before) > 1:
            append(before[-2], "rollback")
    before = lineage(events)
    assert before == [] or before[-1] == events[-1].version
    append("NEW", "deploy")
    if before:
        append(before[-1], "rollback")
        assert lineage(events) == before


def test_expected_sequence(deployments: Deployments) -> None:
    """Who decided on an older state is told what is there now, and nothing is written."""
    deployments.deploy("feed", "v1", actor="ana", reason="x", expected_sequence=0)
    with pytest.raises(DeploymentConflict, match=r"at sequence 1 \(v1 by ana\), expected 0"):
        deployments.deploy("feed", "v2", actor="ben", reason="x", expected_sequence=0)
    deployments.deploy("feed", "v2", actor="ben", reason="x", expected_sequence=1)
    with pytest.raises(DeploymentConflict):
        deployments.rollback("feed", actor="ana", reason="x", expected_sequence=1)
    assert len(deployments.history("feed")) == 2


def test_only_one_of_many_writers_wins(where: Path | str) -> None:
    """Of writers that saw the same state, one deploys; the sequence has no gap and no double."""
    won, lost = [], []

    def write(name: str) -> None:
        mine = Deployments(where)
        try:
            won.append(mine.deploy("feed", name, actor=name, reason="race", expected_sequence=0))
        except DeploymentConflict:
            lost.append(name)

    threads = [threading.Thread(target=write, args=(f"v{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert [event.sequence for event in Deployments(where).history("feed")] == [1]


def test_another_process_sees_it(deployments: Deployments, where: Path | str) -> None:
    """A deployment made by another process is current here at the next look."""
    deploy(deployments, "v1")
    code = (
        "import sys; from orita.control.deployments import Deployments; "
        "Deployments(sys.argv[1]).deploy('feed', 'v2', actor='child', reason='x', expected_sequence=1)"
    )
    subprocess.run([sys.executable, "-c", code, str(where)], check=True, timeout=60)
    current = deployments.current("feed")
    assert current is not None
    assert (current.version, current.actor) == ("v2", "child")


def test_tenants_and_systems_are_apart(where: Path | str) -> None:
    """One tenant's deployment is not another's, one system's not another's."""
    acme = Deployments(where, "acme")
    other = Deployments(where, "other")
    acme.deploy("feed", "v1", actor="a", reason="x")
    acme.deploy("ads", "v7", actor="a", reason="x")
    assert other.current("feed") is None
    assert acme.systems() == ["ads", "feed"]
    assert other.systems() == []
    assert other.deploy("feed", "v2", actor="a", reason="x").sequence == 1


def test_events_cannot_be_changed(deployments: Deployments, where: Path | str) -> None:
    """The database itself refuses to change or delete what happened."""
    deploy(deployments, "v1")
    database = ControlDatabase(where)
    for statement in ("UPDATE control_events SET actor = 'eve'", "DELETE FROM control_events"):
        with pytest.raises(Unavailable, match="append-only"), database.writing() as connection:
            connection.exec_driver_sql(statement)
    assert [event.actor for event in deployments.history("feed")] == ["ana"]


@pytest.mark.parametrize("name", ["", "../v1", "a/b", ".hidden", "v 1", "x" * 129])
def test_names_are_checked(deployments: Deployments, name: str) -> None:
    """A name that could leave its folder, or that is none, is refused by field and value."""
    with pytest.raises(UserError, match=r"version .* is not a name"):
        deployments.deploy("feed", name, actor="a", reason="x")
    with pytest.raises(UserError, match=r"system .* is not a name"):
        deployments.deploy(name, "v1", actor="a", reason="x")


def test_time_is_kept_to_the_microsecond(where: Path | str) -> None:
    """What is read back is what was written, to the microsecond and in UTC."""
    at = AT + timedelta(microseconds=123456)
    deployments = Deployments(where, clock=ManualClock(at))
    deploy(deployments, "v1")
    current = deployments.current("feed")
    assert current is not None
    assert current.at == at
