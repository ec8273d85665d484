"""The examples of the client's page run, against a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.served import serving
from tests.client.test_real_faces import SECRET, explained
from tests.serving.feed.published import features_of, published_feed
from tests.serving.models_at_hand import StandInRegistry, publish_model

from orita.client import Client, Refused
from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.core.webhooks import parse_secrets, signed_headers
from orita.serving.app import create_app
from orita.testing.serving import load_line_package, publish_line_package

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client.md"
ADDRESS = "http://127.0.0.1:8080"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server with a feed, models, jobs and explanations, whose items are read."""
    home = Home(tmp_path / "home")
    published_feed(home)
    publish_model(home, "v1.1.0")
    publish_line_package(home, "feed", "v1.0.0", ("item_ctr",))
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    more: dict[str, Any] = {"registry": StandInRegistry(home), "explain": explained, "load": load_line_package}
    with serving(create_app(home, "feed", features_of(home), **more)) as address:
        with Client(address, retries=10, timeout=20) as client:
            client.feed(1)
        yield address


def test_the_examples_run(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block in Python can be copied and run, one after the other; the callback of one is one that was signed."""
    monkeypatch.setenv("ORITA_CALLBACK_SECRET", SECRET)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    names: dict[str, Any] = {}
    for block in blocks:
        assert "127.0.0.1" not in block.replace(ADDRESS, "")
        exec(compile(block.replace(ADDRESS, url), str(PAGE), "exec"), names)
    assert len(names["shown"]) == len(set(names["shown"])) > 0
    assert [ranking.user_id for ranking in names["rankings"]] == [123, 124]
    with Client(url) as client, pytest.raises(Refused):
        client.jobs.cancel(names["job"])  # it has begun long ago
    body = b'{"type":"job.failed"}'
    headers = signed_headers(parse_secrets(SECRET, "X"), "j-1", 0, body)
    assert names["called_back"](headers, body) == 401
