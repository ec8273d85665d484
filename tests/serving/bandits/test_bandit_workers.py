"""Workers on one listener share what they learn, and one that is killed takes nothing with it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.serving.bandits.conftest import BANDITS
from tests.serving.workers.served import Served, serving, until

from orita.core.home import Home
from orita.delivery.bandits.kept import Bandits
from orita.delivery.bandits.learner import Learner
from orita.delivery.bandits.snapshots import snapshot_file
from orita.events.log.embedded import EmbeddedLog

pytestmark = pytest.mark.slow
JSON = {"content-type": "application/json"}


def post(served: Served, path: str, body: object) -> Any:
    """Return what a worker answers, whichever has the connection; one that was killed meanwhile is asked again."""

    def asked() -> Any:
        status, document = served.ask("POST", f"/api/v1/bandits/{path}", body, **JSON)
        assert status in (200, 202), document
        return document["data"]

    return until(asked)


@pytest.mark.timeout(300)
def test_two_workers_learn_as_one(home: Home, declared: Callable[..., Bandits]) -> None:
    """Rewards that any of them took are known to both within looks; each counts once, though one worker was killed."""
    declared(BANDITS)
    with serving(home, bandits={"learn_seconds": 0.05, "snapshot_rows": 100}) as served:
        pids = served.until_answering(2)
        rewarded: Counter[str] = Counter()
        for number in range(120):
            chosen = post(served, "title/choose", {"unit": number})
            arm = chosen["arms"][0]
            for _ in range(1 + number % 2):  # some are told twice, perhaps to both
                told = {"decision_id": chosen["decision_id"], "rewards": {arm: float(arm == "long")}}
                post(served, "title/reward", told)
            rewarded[arm] += 1
            if number == 60:
                os.kill(min(pids), signal.SIGKILL)
                served.until_answering(2, without={min(pids)})
        until(lambda: all(post(served, "title/choose", {})["state_version"] >= 280 for _ in range(10)))
        picked = Counter(post(served, "title/choose", {})["arms"][0] for _ in range(20))
        assert picked["long"] >= 18
    learner = Learner(Bandits(home.control_db), EmbeddedLog(home), snapshot_file(home), snapshot_rows=1_000_000)
    learner.look()
    ledger = learner.ledgers["title"]
    counted = {arm: each.rewarded for arm, each in ledger.arms.items() if each.rewarded}
    assert counted == rewarded
    assert ledger.ignored.keys() == {"no_open_choice"}
    assert ledger.ignored["no_open_choice"] >= 60  # more where a connection broke, and the call was made again
