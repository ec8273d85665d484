from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.errors import NotFound, Unavailable
from orita.core.home import Home
from orita.serving.config import ModelsConfig
from orita.serving.models.champion import ChampionFollower
from orita.serving.models.in_memory import ModelsInMemory
from orita.testing.serving import HashedFeatures, LinePackage, load_line_package, publish_line_package

FEATURES = ("item_ctr", "item_popularity")
ROOM_FOR_TWO = 5.0
"""MiB: a package of stand-ins is reckoned as a little over 2."""


class Loads:
    """Loads line packages and counts how often each was."""

    def __init__(self) -> None:
        self.versions: Counter[str] = Counter()
        self.pause = 0.0

    def __call__(self, folder: Path) -> LinePackage:
        """Load."""
        self.versions[folder.name] += 1
        threading.Event().wait(self.pause)
        return load_line_package(folder)


@pytest.fixture
def loads() -> Loads:
    """What was loaded."""
    return Loads()


@pytest.fixture
def models(home: Home, clock: ManualClock, loads: Loads) -> ModelsInMemory:
    """The models of a home in which v1.0.0 is deployed and loaded, and four more versions are published."""
    for version in ("v1.0.0", "v1.1.0", "v1.2.0", "v1.10.0", "v2.0.0"):
        publish_line_package(home, "feed", version, FEATURES)
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    follower = ChampionFollower(
        "feed",
        Deployments(home.control_db),
        home.packages,
        HashedFeatures(FEATURES),
        load=load_line_package,
        clock=clock,
        seconds=1,
    )
    follower.look()
    config = ModelsConfig(memory_mib=ROOM_FOR_TWO, retry_seconds=10)
    return ModelsInMemory("feed", follower, home.packages, load=loads, config=config, clock=clock)


def test_any_published_version_can_be_asked_for(models: ModelsInMemory, home: Home, loads: Loads) -> None:
    """The deployed one is there at once and is never loaded twice; others are loaded when they are asked for, once."""
    publish_line_package(home, "other", "v7.0.0", FEATURES)
    (home.packages / "feed" / ".partial-v3.0.0").mkdir()
    assert models.ready
    assert models.versions("feed") == ["v1.0.0", "v1.1.0", "v1.2.0", "v1.10.0", "v2.0.0"]
    assert models.versions("other") == ["v7.0.0"]
    for version in (None, "v1.0.0"):
        deployed = models.loaded("feed", version)
        assert deployed is not None
        assert deployed.version == "v1.0.0"
    assert models.loaded("feed", "v1.1.0") is None
    for name, version in (("feed", "v1.1.0"), ("other", "v7.0.0")):
        loaded = models.load(name, version)
        assert loaded.version == version
        assert models.loaded(name, version) is loaded
        assert models.load(name, version) is loaded
    assert loads.versions == {"v1.1.0": 1, "v7.0.0": 1}


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("fed", None, "Did you mean 'feed'"),
        ("feed", "v1.1.1", "Did you mean 'v1.1.0'"),
        ("feed", "../feed/v1.1.0", "has no version"),
        ("../default/feed", "v1.1.0", "is not here"),
        ("feed", ".partial", "has no version"),
        ("other", None, "ask for one of v7.0.0 by version"),
    ],
)
def test_what_is_not_there(models: ModelsInMemory, home: Home, name: str, version: str | None, words: str) -> None:
    """A name or version that was not published is not found, and no path leads out of the package store."""
    publish_line_package(home, "other", "v7.0.0", FEATURES)
    for ask in (models.loaded, models.load):
        with pytest.raises(NotFound, match=words):
            ask(name, version)


def test_the_one_asked_for_longest_ago_goes(models: ModelsInMemory, clock: ManualClock, loads: Loads) -> None:
    """Where a model does not fit beside the others, the least recently used goes; the deployed one never does."""
    for version in ("v1.1.0", "v1.2.0"):
        clock.advance(timedelta(seconds=1))
        models.load("feed", version)
    clock.advance(timedelta(seconds=1))
    assert models.loaded("feed", "v1.1.0") is not None
    clock.advance(timedelta(seconds=1))
    models.load("feed", "v2.0.0")
    assert set(models.held) == {("feed", "v1.1.0"), ("feed", "v2.0.0")}
    assert models.held_bytes <= ROOM_FOR_TWO * 2**20
    assert models.loaded("feed", "v1.2.0") is None
    assert models.loaded("feed", "v1.0.0") is not None
    models.load("feed", "v1.2.0")
    assert set(models.held) == {("feed", "v1.2.0"), ("feed", "v2.0.0")}
    assert loads.versions["v1.2.0"] == 2


def test_one_that_is_larger_than_the_budget(models: ModelsInMemory, home: Home, loads: Loads) -> None:
    """It is refused with a sentence before it is loaded, and nothing goes for it."""
    models.load("feed", "v1.1.0")
    (home.packages / "feed" / "v2.0.0" / "weights").write_bytes(bytes(4 * 2**20))
    with pytest.raises(Unavailable, match=r"about 10 MiB, and serving\.models\.memory_mib allows 5"):
        models.load("feed", "v2.0.0")
    assert loads.versions["v2.0.0"] == 0
    assert models.held == (("feed", "v1.1.0"),)


@pytest.mark.parametrize("fault", ["load", "sample"])
def test_a_broken_one(models: ModelsInMemory, home: Home, clock: ManualClock, loads: Loads, fault: str) -> None:
    """It is verified as the deployed one is; it is told once, and not tried again for a while; mended, it answers."""
    publish_line_package(home, "feed", "v2.0.0", FEATURES, fault=fault)
    with capture_logs() as told:
        for _ in range(3):
            with pytest.raises(Unavailable, match=r"v2\.0\.0 does not load"):
                models.load("feed", "v2.0.0")
    assert [(line["event"], line["alert"]) for line in told] == [("model_not_loaded", True)]
    assert loads.versions["v2.0.0"] == 1
    publish_line_package(home, "feed", "v2.0.0", FEATURES)
    clock.advance(timedelta(seconds=10))
    assert models.load("feed", "v2.0.0").version == "v2.0.0"


def test_many_ask_for_the_same_at_once(models: ModelsInMemory, loads: Loads) -> None:
    """It is loaded once, and all get that one."""
    loads.pause = 0.1
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: models.load("feed", "v1.1.0"), range(8)))
    assert {id(package) for package in found} == {id(found[0])}
    assert loads.versions["v1.1.0"] == 1


def test_without_a_deployed_model(home: Home, clock: ManualClock, deploy: Callable[..., None]) -> None:
    """The system's name is known, and a version that is published can be asked for all the same."""
    follower = ChampionFollower(
        "feed",
        Deployments(home.control_db),
        home.packages,
        HashedFeatures(FEATURES),
        load=load_line_package,
        clock=clock,
        seconds=1,
    )
    models = ModelsInMemory("feed", follower, home.packages, load=load_line_package, config=ModelsConfig(), clock=clock)
    assert models.versions("feed") == []
    with pytest.raises(Unavailable, match="promote one, or wait"):
        models.loaded("feed", None)
    deploy("v1.0.0")
    assert models.load("feed", "v1.0.0").version == "v1.0.0"
    follower.look()
    assert models.loaded("feed", None) is not None
