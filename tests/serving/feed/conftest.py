"""A home with a feed that is published, for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.serving.feed.published import features_of, published_feed

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.features.online.following import OnlineFeatures
from orita.testing.serving import publish_line_package


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with online state and a deployed model of two features."""
    home = Home(tmp_path_factory.mktemp("home"))
    published_feed(home)
    publish_line_package(home, "feed", "v1.0.0", ("user_topic_ctr", "item_ctr"))
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    return home


@pytest.fixture(scope="module")
def features(published: Home) -> Iterator[OnlineFeatures]:
    """The features of the home."""
    with closing(features_of(published)) as opened:
        yield opened
