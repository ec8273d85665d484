from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from orita.control.deployments import Deployments
from orita.core.checkpoints import checkpoint
from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.features.stores.store import StoreAway
from orita.serving.models.champion import ChampionFollower
from orita.serving.protocols import ScoringPackage
from orita.testing.serving import HashedFeatures, load_line_package, publish_line_package

KNOWN = ("item_ctr", "item_popularity")


@pytest.fixture
def features() -> HashedFeatures:
    """The features that exist."""
    return HashedFeatures(KNOWN)


@pytest.fixture
def follower(home: Home, clock: ManualClock, features: HashedFeatures) -> ChampionFollower:
    """A follower of ``feed`` that looks when it is told to."""
    return ChampionFollower(
        "feed",
        Deployments(home.control_db),
        home.packages,
        features,
        load=load_line_package,
        clock=clock,
        seconds=0.01,
    )


def version(follower: ChampionFollower) -> str | None:
    """Return what answers."""
    return follower.champion.package.version if follower.champion else None


def test_it_follows_deployments(follower: ChampionFollower, deploy: Callable[..., None]) -> None:
    """Each look takes up the version that is deployed then."""
    follower.look()
    assert version(follower) is None
    deploy("v1.0.0")
    follower.look()
    assert version(follower) == "v1.0.0"
    deploy("v1.1.0")
    follower.look()
    assert version(follower) == "v1.1.0"


def test_it_follows_rollbacks(follower: ChampionFollower, deploy: Callable[..., None], home: Home) -> None:
    """A rollback is followed like a deployment."""
    deploy("v1.0.0")
    deploy("v1.1.0")
    follower.look()
    Deployments(home.control_db).rollback("feed", actor="test", reason="worse")
    follower.look()
    assert version(follower) == "v1.0.0"


def test_an_unchanged_deployment_is_loaded_once(follower: ChampionFollower, deploy: Callable[..., None]) -> None:
    """Looking again does not load again."""
    deploy("v1.0.0")
    follower.look()
    champion = follower.champion
    for _ in range(30):
        follower.look()
    assert follower.champion is champion


def test_a_version_is_loaded_beside_requests(
    home: Home,
    clock: ManualClock,
    features: HashedFeatures,
    deploy: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Loading rests between its pieces where there is a champion whose requests would wait, and only there."""
    rests: list[float] = []

    def load(folder: Path) -> ScoringPackage:
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            pass
        checkpoint()
        return load_line_package(folder)

    follower = ChampionFollower(
        "feed", Deployments(home.control_db), home.packages, features, load=load, clock=clock, seconds=0.01
    )
    monkeypatch.setattr(follower.background.stopping, "wait", rests.append)
    deploy("v1.0.0")
    follower.look()
    assert (version(follower), rests) == ("v1.0.0", [])
    deploy("v1.1.0")
    follower.look()
    assert version(follower) == "v1.1.0"
    assert rests
    assert rests[0] >= 2 * 0.002, "longer than the piece took"


def test_what_was_taken_back_meanwhile_does_not_answer(
    home: Home, clock: ManualClock, features: HashedFeatures, deploy: Callable[..., None]
) -> None:
    """A version that is taken back while it is loaded is let be; the one in memory goes on, and is not loaded again."""
    deployments, loads = Deployments(home.control_db), list[str]()

    def load(folder: Path) -> ScoringPackage:
        loads.append(folder.name)
        if folder.name == "v1.1.0":
            deployments.rollback("feed", actor="test", reason="worse")
            time.sleep(0.2)
            checkpoint()
            raise AssertionError("it went on")
        return load_line_package(folder)

    follower = ChampionFollower("feed", deployments, home.packages, features, load=load, clock=clock, seconds=0.01)
    deploy("v1.0.0")
    follower.look()
    deploy("v1.1.0")
    with capture_logs() as told:
        follower.look()
    assert (version(follower), loads, follower.failure) == ("v1.0.0", ["v1.0.0", "v1.1.0"], None)
    assert follower.champion is not None
    assert follower.champion.sequence == 3
    assert not [entry for entry in told if entry.get("alert")]


def test_what_was_replaced_in_the_last_moment_does_not_answer(
    home: Home, clock: ManualClock, features: HashedFeatures, deploy: Callable[..., None]
) -> None:
    """Between the last pause of a load and the moment it would answer, another version may be deployed."""
    deployments, loads = Deployments(home.control_db), list[str]()

    def load(folder: Path) -> ScoringPackage:
        loads.append(folder.name)
        if folder.name == "v1.1.0":
            deploy("v1.2.0")
        return load_line_package(folder)

    follower = ChampionFollower("feed", deployments, home.packages, features, load=load, clock=clock, seconds=0.01)
    deploy("v1.0.0")
    follower.look()
    deploy("v1.1.0")
    with capture_logs() as told:
        follower.look()
    assert (version(follower), loads) == ("v1.2.0", ["v1.0.0", "v1.1.0", "v1.2.0"])
    assert [entry["version"] for entry in told if entry["event"] == "champion_loaded"] == ["v1.2.0"]


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda deploy: deploy("v2.0.0", fault="load"), "checksum"),
        (lambda deploy: deploy("v2.0.0", fault="sample"), "scores its own sample"),
        (lambda deploy: deploy("v2.0.0", features=("item_ctr", "item_ctrr")), "'item_ctrr' is not declared"),
    ],
)
def test_a_broken_package_leaves_the_old_one(
    follower: ChampionFollower,
    deploy: Callable[..., None],
    break_it: Callable[[Callable[..., None]], None],
    words: str,
    home: Home,
) -> None:
    """A package that does not load, check, or whose features are unknown is told once; the old one answers on."""
    deploy("v1.0.0")
    follower.look()
    with capture_logs() as told:
        break_it(deploy)
        for _ in range(40):
            follower.look()
    assert version(follower) == "v1.0.0"
    assert follower.failure is not None
    assert words in follower.failure
    assert str(home.root) not in follower.failure, "callers of /health are told of it"
    assert [(entry["event"], entry["alert"], entry["version"]) for entry in told] == [
        ("champion_not_loaded", True, "v2.0.0")
    ]
    assert words in told[0]["error"]


def test_a_package_under_another_name_is_refused(
    follower: ChampionFollower, deploy: Callable[..., None], home: Home
) -> None:
    """The package at a version's place must be that version."""
    deploy("v1.0.0")
    follower.look()
    deploy("v2.0.0")
    publish_line_package(home, "feed", "v9.0.0", KNOWN).rename(home.packages / "feed" / "moved")
    (home.packages / "feed" / "v2.0.0" / "line.json").unlink()
    (home.packages / "feed" / "moved" / "line.json").rename(home.packages / "feed" / "v2.0.0" / "line.json")
    follower.look()
    assert version(follower) == "v1.0.0"
    assert follower.failure == "v2.0.0: the package at 'v2.0.0' says it is 'v9.0.0': publish it again."


def test_a_mended_package_is_taken_up(follower: ChampionFollower, deploy: Callable[..., None], home: Home) -> None:
    """What failed is tried again while it is the deployed version, without a new deployment."""
    deploy("v1.0.0")
    follower.look()
    deploy("v2.0.0", fault="load")
    follower.look()
    publish_line_package(home, "feed", "v2.0.0", KNOWN)
    for _ in range(10):
        follower.look()
    assert version(follower) == "v2.0.0"
    assert follower.failure is None


def test_an_earlier_champion_stands_in(follower: ChampionFollower, deploy: Callable[..., None]) -> None:
    """A server that starts under a broken deployment answers with the last champion that loads, and says so."""
    deploy("v1.0.0")
    deploy("v1.1.0")
    deploy("v1.2.0", fault="load")
    deploy("v2.0.0", fault="sample")
    follower.look()
    assert version(follower) == "v1.1.0"
    assert follower.failure is not None
    assert follower.failure.startswith("v2.0.0: ")


def test_features_are_refreshed_while_it_answers(
    follower: ChampionFollower, deploy: Callable[..., None], features: HashedFeatures
) -> None:
    """Every look lets the features take up what was published."""
    deploy("v1.0.0")
    follower.look()
    before = features.refreshed
    follower.look()
    assert features.refreshed == before + 1


def test_features_that_cannot_be_refreshed(
    follower: ChampionFollower,
    deploy: Callable[..., None],
    features: HashedFeatures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the features fail, the champion answers on, later deployments fail in words, and it recovers."""
    deploy("v1.0.0")
    follower.look()

    def broken() -> bool:
        raise UserError("the online features were published for other declarations")

    with monkeypatch.context() as patched, capture_logs() as told:
        patched.setattr(features, "refresh", broken)
        follower.look()
        follower.look()
        deploy("v2.0.0")
        follower.look()
    assert version(follower) == "v1.0.0"
    assert [entry["event"] for entry in told] == ["features_not_refreshed", "champion_not_loaded"]
    for _ in range(10):
        follower.look()
    assert version(follower) == "v2.0.0"


def test_each_outage_of_the_features_is_told_once(
    follower: ChampionFollower,
    deploy: Callable[..., None],
    features: HashedFeatures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that is away, comes back and is away again is told twice, however often it was looked at."""
    deploy("v1.0.0")
    follower.look()

    def away() -> bool:
        raise StoreAway("Redis is away: start it.")

    with capture_logs() as told:
        for _ in range(2):
            with monkeypatch.context() as patched:
                patched.setattr(features, "refresh", away)
                follower.look()
                follower.look()
            follower.look()
    assert [entry["event"] for entry in told] == ["features_not_refreshed"] * 2


def test_a_control_database_that_fails(follower: ChampionFollower, deploy: Callable[..., None], home: Home) -> None:
    """A control database that cannot be read leaves the champion answering and is told once each time."""
    deploy("v1.0.0")
    follower.look()
    whole = home.control_db.read_bytes()
    with capture_logs() as told:
        for _ in range(2):
            home.control_db.write_bytes(b"this is no database" * 100)
            follower.look()
            follower.look()
            home.control_db.write_bytes(whole)
            follower.look()
    assert version(follower) == "v1.0.0"
    assert [entry["event"] for entry in told] == ["deployment_not_read"] * 2


def test_it_follows_in_the_background(follower: ChampionFollower, deploy: Callable[..., None]) -> None:
    """Started, it follows by itself, and stops when it is closed."""
    deploy("v1.0.0")
    follower.start()
    try:
        assert version(follower) == "v1.0.0"
        deploy("v2.0.0")
        while version(follower) != "v2.0.0":
            threading.Event().wait(0.005)
    finally:
        follower.close()
    deploy("v3.0.0")
    assert version(follower) == "v2.0.0"
