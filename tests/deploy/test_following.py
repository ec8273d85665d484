"""A home that follows another: what comes, in which order, and what a kill or a stranger leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.deploy.sites import Callers, replicas

from orita.control.deployments import Deployments
from orita.control.events import ControlLog
from orita.core.errors import UserError
from orita.core.home import Home
from orita.delivery.flags.declarations import Flag, FlagFile
from orita.delivery.flags.kept import Flags
from orita.delivery.rollouts import RolloutPlan, Rollouts
from orita.deploy.following import Followed, follow_once, main
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package, publish_line_package

_FEATURES = ("item_ctr", "item_popularity")


@pytest.fixture
def source(tmp_path: Path) -> Home:
    """A home with two versions, of which the second answers."""
    home = Home(tmp_path / "source")
    for version in ("v1.0.0", "v2.0.0"):
        _promote(home, version)
    home.features.mkdir(parents=True)
    (home.features / "feed.json").write_text("{}")
    return home


def _promote(home: Home, version: str) -> None:
    publish_line_package(home, "feed", version, _FEATURES)
    Deployments(home.control_db).deploy("feed", version, actor="a", reason="b")


def test_all_that_a_server_needs_comes_and_only_once(source: Home, tmp_path: Path) -> None:
    """Packages, declarations and deployments come with actor and reason; a second look changes nothing."""
    target = Home(tmp_path / "target")
    assert follow_once(source, target, "feed") == Followed(packages=2, files=1, decisions=2)
    history = Deployments(target.control_db).history("feed")
    assert [(e.sequence, e.version, e.actor, e.reason) for e in history] == [
        (1, "v1.0.0", "a", "b"),
        (2, "v2.0.0", "a", "b"),
    ]
    assert (target.features / "feed.json").read_text() == "{}"
    assert follow_once(source, target, "feed") == Followed(0, 0, 0)
    (source.features / "feed.json").write_text('{"more": 1}')
    assert follow_once(source, target, "feed") == Followed(0, 1, 0)


def test_going_back_is_followed_too(source: Home, tmp_path: Path) -> None:
    """Rollbacks and promotions of every order lead to the lineage that the other home has."""
    target = Home(tmp_path / "target")
    there, here = Deployments(source.control_db), Deployments(target.control_db)
    there.rollback("feed", actor="a", reason="worse")
    follow_once(source, target, "feed")
    assert here.lineage("feed") == ["v1.0.0"]
    for version in ("v3.0.0", "v4.0.0", "v3.0.0", "v5.0.0"):
        _promote(source, version)
    there.rollback("feed", actor="a", reason="worse", to="v1.0.0")
    follow_once(source, target, "feed")
    assert here.lineage("feed") == there.lineage("feed") == ["v1.0.0"]
    assert [event.kind for event in here.history("feed")] == [event.kind for event in there.history("feed")]


def test_a_home_of_its_own_is_refused(source: Home, tmp_path: Path) -> None:
    """Deployments that the other home has not are a sentence, and stay."""
    target = Home(tmp_path / "target")
    _promote(target, "v9.0.0")
    with pytest.raises(UserError, match=r"has a deployment of 'feed' that .* has not"):
        follow_once(source, target, "feed")
    assert Deployments(target.control_db).lineage("feed") == ["v9.0.0"]


def test_rollouts_and_flags_are_followed(source: Home, tmp_path: Path) -> None:
    """What is tried comes with its package before anybody hears of it, and every decision with who and why."""
    target = Home(tmp_path / "target")
    publish_line_package(source, "feed", "v3.0.0", _FEATURES)
    rollouts = Rollouts(source.control_db)
    begun = rollouts.start("feed", RolloutPlan(strategy="canary", versions=("v3.0.0",)), actor="a", reason="try")
    Flags(source.control_db).declare(FlagFile(flags=(Flag(key="new"),)), actor="a", reason="b")
    assert follow_once(source, target, "feed") == Followed(packages=3, files=1, decisions=4)
    assert Rollouts(target.control_db).current("feed").routing == begun
    assert list(Flags(target.control_db).all()) == ["new"]
    moved = rollouts.advance(begun, actor="a", reason="fine")
    rollouts.promote("feed", actor="a", reason="won")
    assert follow_once(source, target, "feed") == Followed(0, 0, decisions=3)
    assert ControlLog(target.control_db).events() == ControlLog(source.control_db).events()
    assert Rollouts(target.control_db).current("feed").ended[0].split == moved.split
    assert Deployments(target.control_db).lineage("feed") == ["v1.0.0", "v2.0.0", "v3.0.0"]
    assert follow_once(source, target, "feed") == Followed(0, 0, 0)


def test_a_version_that_is_tried_and_not_there_holds_nothing_up(source: Home, tmp_path: Path) -> None:
    """The deployed one comes and every decision too; the server stands in for the one that is missing."""
    plan = RolloutPlan(strategy="shadow", versions=("v9.0.0",))
    Rollouts(source.control_db).start("feed", plan, actor="a", reason="b")
    target = Home(tmp_path / "target")
    assert follow_once(source, target, "feed") == Followed(packages=2, files=1, decisions=3)
    assert len(Rollouts(target.control_db).current("feed").shadows) == 1
    _promote(source, "v3.0.0")
    assert follow_once(source, target, "feed") == Followed(packages=1, files=0, decisions=1)


def test_control_state_in_a_database_is_not_copied(source: Home, tmp_path: Path, empty_database: str) -> None:
    """Servers read it there: only packages and files come."""
    url = empty_database
    Deployments(url).deploy("feed", "v2.0.0", actor="a", reason="b")
    target = Home(tmp_path / "target", control_url=url)
    shared = Home(source.root, control_url=url)
    assert follow_once(shared, target, "feed") == Followed(packages=1, files=1, decisions=0)
    assert not target.control_db.exists()


def test_an_empty_home_is_followed_to_its_first_model(tmp_path: Path) -> None:
    """Before there is anything, nothing comes, and nothing is wrong."""
    assert follow_once(Home(tmp_path / "none"), Home(tmp_path / "target"), "feed") == Followed(0, 0, 0)


def test_a_package_that_is_not_there_is_told_and_nothing_is_deployed(
    source: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version whose package is missing is no deployment here; the command says so by its exit code."""
    (source.packages / "feed" / "v2.0.0" / "line.json").unlink()
    (source.packages / "feed" / "v2.0.0").rmdir()
    target = tmp_path / "target"
    assert main([str(source.root), str(target), "--system", "feed", "--once"]) == 2
    assert "home_not_followed" in capsys.readouterr().out
    assert Deployments(Home(target).control_db).history("feed") == []
    assert not list(target.rglob(".partial-*"))


def test_a_killed_follower_leaves_a_home_that_is_followed_on(source: Home, tmp_path: Path) -> None:
    """What a kill left of a package is swept away, and the next look brings the whole."""
    target = Home(tmp_path / "target")
    left = target.packages / "feed" / ".partial-x"
    left.mkdir(parents=True)
    (left / "schema.json").write_text("half")
    follow_once(source, target, "feed")
    assert sorted(path.name for path in (target.packages / "feed").iterdir()) == ["v1.0.0", "v2.0.0"]


def test_a_writer_s_state_is_never_read_torn(source: Home, tmp_path: Path) -> None:
    """While another process writes all the time, every look sees a beginning of its history."""
    target, there = Home(tmp_path / "target"), Deployments(source.control_db)
    stop = threading.Event()

    def write() -> None:
        for number in range(10_000):
            if stop.wait(0.02):
                return
            there.deploy("feed", f"v{1 + number % 2}.0.0", actor="a", reason=str(number))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            follow_once(source, target, "feed")
            mine, theirs = Deployments(target.control_db).history("feed"), there.history("feed")
            assert [(e.version, e.reason) for e in mine] == [(e.version, e.reason) for e in theirs[: len(mine)]]
    finally:
        stop.set()
        writer.join()
    follow_once(source, target, "feed")
    assert len(Deployments(target.control_db).history("feed")) == len(there.history("feed")) > 2


def test_a_server_takes_up_what_its_home_follows(source: Home, tmp_path: Path) -> None:
    """A promotion in the shared home is the champion of a server of another, as soon as that follows it."""
    target = Home(tmp_path / "target")
    follow_once(source, target, "feed")
    config = ServingConfig(reload_seconds=0.02)
    app = create_app(target, "feed", HashedFeatures(_FEATURES), config, load=load_line_package)
    with AsgiClient(app) as client:
        assert client.get("/health").json()["model_version"] == "v2.0.0"
        _promote(source, "v3.0.0")
        follow_once(source, target, "feed")
        deadline = time.monotonic() + 30
        while client.get("/health").json()["model_version"] != "v3.0.0":
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.slow
def test_promotions_reach_a_server_under_load(tmp_path: Path) -> None:
    """As processes: twenty promotions in a shared home reach a running server of another, and no request fails."""
    with replicas(tmp_path, count=1) as (server,):
        shared = Home(tmp_path / "shared")
        follow_once(server.home, shared, "feed")  # so both begin with the same decision
        command = [sys.executable, "-m", "orita.deploy.following", str(shared.root), str(server.home.root)]
        follower = subprocess.Popen([*command, "--system", "feed", "--every", "0.1"], stdout=subprocess.DEVNULL)
        try:
            with Callers(server.port, count=2) as callers:
                callers.wait_for(5, server.version)
                for number in range(2, 22):
                    _promote(shared, f"v{number}.0.0")
                    callers.wait_for(5, f"v{number}.0.0")
        finally:
            follower.send_signal(signal.SIGTERM)
            assert follower.wait(timeout=30) == 0
    assert callers.failed == []
    assert {status for status, _ in callers.told} == {200}
