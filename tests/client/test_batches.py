"""Batches by both clients, of a real server: each request has its answer, or its error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.served import serving

from orita.client import PredictRequest, Refused
from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.serving.app import create_app
from orita.testing.serving import HashedFeatures, load_line_package, publish_line_package


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server."""
    home = Home(tmp_path / "home")
    publish_line_package(home, "feed", "v1.0.0", ("item_ctr",))
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    with serving(create_app(home, "feed", HashedFeatures(("item_ctr",)), load=load_line_package)) as address:
        yield address


def test_a_batch(opened: Callable[..., Any], url: str) -> None:
    """Answers are those of single requests, in order, under ids of their own; one that has none says why."""
    requests = [PredictRequest(user, [1, 2, user + 3]) for user in range(20)]
    requests[4] = PredictRequest(4, [1], {"timestamp": "1999-01-01T00:00:00Z"})
    with opened(url) as ask:
        batch = ask("predict_many", requests, request_id="night")
        alone = [ask("predict", one.user_id, one.item_ids) for one in requests]
        with pytest.raises(Refused, match=r"requests\[1\]: item_ids is empty"):
            ask("predict_many", [requests[0], PredictRequest(1, [])])
    assert (batch.answered, batch.failed) == (19, 1)
    assert [result.request_id for result in batch.results] == [f"night:{number}" for number in range(20)]
    for number, (result, one) in enumerate(zip(batch.results, alone, strict=True)):
        if number == 4:
            assert result.answer is None
            assert (result.error.status, result.error.code) == (422, "invalid_value")
        else:
            assert result.error is None
            assert result.answer.predictions == one.predictions
            assert result.answer.request_id == result.request_id
