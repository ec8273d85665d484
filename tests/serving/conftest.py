"""A server under test: an app of stand-ins, and a real one on a free port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.applications import Starlette

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package, publish_line_package

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
FEATURES = ("item_ctr", "item_popularity")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock(AT)


@pytest.fixture
def deploy(home: Home) -> Callable[..., None]:
    """Publish and deploy a version of ``feed``."""

    def publish_and_deploy(version: str, features: tuple[str, ...] = FEATURES, fault: str = "") -> None:
        publish_line_package(home, "feed", version, features, fault=fault)
        Deployments(home.control_db).deploy("feed", version, actor="test", reason="test")

    return publish_and_deploy


@pytest.fixture
def make_app(home: Home, clock: ManualClock) -> Callable[..., Starlette]:
    """Make an app with the given settings over the stand-ins."""

    def make(**settings: object) -> Starlette:
        config = ServingConfig.model_validate(settings)
        features = HashedFeatures(FEATURES)
        return create_app(home, "feed", features, config, clock=clock, load=load_line_package)

    return make


@pytest.fixture
def client(make_app: Callable[..., Starlette], deploy: Callable[..., None]) -> Iterator[AsgiClient]:
    """A client of a running app with ``v1.0.0`` deployed and ``/config`` on."""
    deploy("v1.0.0")
    with AsgiClient(make_app(expose_config=True)) as client:
        yield client
