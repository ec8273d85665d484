"""Rollouts, as the clients read and decide them, of a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.served import serving
from tests.serving.models_at_hand import model_app, publish_model

from orita.client import Refused, Rollout
from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.delivery.rollouts import Rollouts

Opened = Callable[..., Any]


def test_from_its_beginning_to_its_end(opened: Opened, tmp_path: Path) -> None:
    """Typed; by id or by what was answered before; what is refused has its code."""
    home = Home(tmp_path / "home")
    publish_model(home, "v1.0.0", deploy=True)
    publish_model(home, "v1.1.0")
    with serving(model_app(home, SystemClock(), None)) as url, opened(url, timeout=30) as ask:
        begun = ask("rollouts.start", {"strategy": "canary", "versions": ["v1.1.0"]}, reason="topics")
        assert isinstance(begun, Rollout)
        assert (begun.state, begun.shares, begun.ended) == ("running", {"v1.0.0": 99.0, "v1.1.0": 1.0}, False)
        with pytest.raises(Refused) as caught:
            ask("rollouts.start", {"strategy": "canary", "versions": ["v1.1.0"]})
        assert (caught.value.status, caught.value.code) == (409, "rollout_under_way")
        assert ask("rollouts.pause", begun, reason="lunch").state == "paused"
        assert ask("rollouts.resume", begun.id).state == "running"
        with pytest.raises(Refused, match="scores does not hold rollout") as caught:
            ask("rollouts.acknowledge", begun, reason="meant", checks=["scores"])
        assert caught.value.status == 409
        held = {"checks": {"scores v1.1.0": {"says": "beyond", "why": "they differ"}}}
        kept = Rollouts(home.control)
        kept.judge(kept.under_way("feed"), "hold", "look", actor="test", evidence=held)
        (known,) = ask("rollouts.acknowledge", begun, reason="meant").acknowledged
        assert (known["beyond"]["check"], known["reason"]) == ("scores", "meant")
        assert ask("rollouts.advance", begun).shares["v1.1.0"] == 5.0
        with pytest.raises(Refused, match="at step 2 by now, not 1"):
            ask("rollouts.advance", begun)
        assert ask("rollouts.promote", begun, version="v1.1.0").winner == "v1.1.0"
        assert ask("rollouts.get", begun.id).ended
        assert [each.id for each in ask("rollouts.list", system="feed")] == [begun.id]
        again = ask("rollouts.start", {"strategy": "shadow", "versions": ["v1.0.0"]})
        assert ask("rollouts.abort", again, reason="enough").why == "enough"
