"""Control state that follows another has the same decisions, or says why it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from orita.control.database import ControlDatabase
from orita.control.deployments import DEPLOYMENT, Deployments
from orita.control.events import ControlLog
from orita.control.leases import Leases
from orita.control.replay import rebuild
from orita.control.replication import replicate
from orita.core.errors import UserError

TENANT = "default"


@pytest.fixture
def target(tmp_path: Path) -> ControlDatabase:
    """What follows."""
    return ControlDatabase(tmp_path / "here.db")


def deploy(where: ControlDatabase, *versions: str, tenant: str = TENANT) -> None:
    """Deploy versions."""
    for version in versions:
        Deployments(where, tenant).deploy("feed", version, actor="ana", reason="better")


def test_decisions_come_once_and_as_they_are(where: Path | str, target: ControlDatabase) -> None:
    """Events come with position, time, actor and reason; states are what replay makes of them; leases stay."""
    source = ControlDatabase(where)
    assert replicate(source, target, TENANT) == 0
    deploy(source, "v1", "v2")
    deploy(source, "v9", tenant="another")
    deploy(source, "v1")
    Leases(source).take("rollouts", "one", 60)
    assert replicate(source, target, TENANT) == 3
    assert ControlLog(target).events() == ControlLog(source).events()
    assert ControlLog(target, "another").events() == []
    kept = ControlLog(target).states(DEPLOYMENT.name)
    assert kept == ControlLog(source).states(DEPLOYMENT.name)
    rebuild(ControlLog(target), {DEPLOYMENT.name: DEPLOYMENT})
    assert ControlLog(target).states(DEPLOYMENT.name) == kept
    assert Leases(target).holder("rollouts") is None
    assert replicate(source, target, TENANT) == 0
    deploy(source, "v3")
    assert replicate(source, target, TENANT) == 1
    assert Deployments(target).lineage("feed") == ["v1", "v3"]


def test_what_decides_itself_does_not_follow(where: Path | str, target: ControlDatabase) -> None:
    """Nothing is changed where the decisions here are not the beginning of those there."""
    source = ControlDatabase(where)
    deploy(source, "v1")
    replicate(source, target, TENANT)
    deploy(target, "v7")
    for _ in range(2):
        with pytest.raises(UserError, match=r"has a deployment of 'feed' that .* has not"):
            replicate(source, target, TENANT)
        deploy(source, "v2", "v3")
    assert Deployments(target).lineage("feed") == ["v1", "v7"]
