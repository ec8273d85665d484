"""What was acknowledged survives a server that is killed, and counts once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from tests.serving.bandits.conftest import BANDITS
from tests.serving.talking import Talk, request, served

from orita.core.home import Home
from orita.delivery.bandits.choices import logged_choices
from orita.delivery.bandits.kept import Bandits
from orita.delivery.bandits.learner import Learner
from orita.delivery.bandits.snapshots import snapshot_file
from orita.events.log.embedded import EmbeddedLog

SETTINGS = {"learn_seconds": 0.05, "snapshot_rows": 100}
PATIENCE = 60.0
PREFIX = "/api/v1/bandits/title"


def ask_until_killed(port: int, chosen: dict[str, str], rewarded: set[str]) -> None:
    """Choose and reward on one connection until it breaks; note what was acknowledged."""
    talk = Talk(port)
    try:
        while True:
            talk.send(request(b"{}", "Content-Type: application/json", path=f"{PREFIX}/choose"))
            status, _, document = talk.answer()
            assert status == 200, document
            decision = document["data"]["decision_id"]
            chosen[decision] = document["data"]["arms"][0]
            body = json.dumps({"decision_id": decision, "rewards": [1]}).encode()
            talk.send(request(body, "Content-Type: application/json", path=f"{PREFIX}/reward"))
            status, _, document = talk.answer()
            assert status == 202, document
            rewarded.add(decision)
    except (OSError, IndexError, ValueError):
        return  # killed
    finally:
        talk.close()


def killed_once(home: Home, after: int, chosen: dict[str, str], rewarded: set[str]) -> None:
    """Run a server, ask it by three connections, and kill it once so many more rewards were acknowledged."""
    wanted, deadline = len(rewarded) + after, time.monotonic() + PATIENCE
    with served(home, bandits=SETTINGS) as (port, process):
        threads = [threading.Thread(target=ask_until_killed, args=(port, chosen, rewarded)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(rewarded) < wanted and time.monotonic() < deadline:
            time.sleep(0.001)
        process.kill()
        for thread in threads:
            thread.join(PATIENCE)


def assert_nothing_was_lost(home: Home, chosen: dict[str, str], rewarded: set[str]) -> None:
    """All that was acknowledged is logged, and counts once, by the snapshot and by the log alone."""
    bandits, log = Bandits(home.control_db), EmbeddedLog(home)
    rows = logged_choices(log, bandits.get("title").state).to_pylist()
    arms = {row["decision"]: row["arm"] for row in rows}
    assert len(arms) == len(rows)
    assert chosen.items() <= arms.items()
    assert rewarded <= {row["decision"] for row in rows if row["reward"] == 1}
    with_reward = sum(row["reward"] is not None for row in rows)
    ledgers = []
    for file in (snapshot_file(home), snapshot_file(home).with_name("none")):
        learner = Learner(bandits, log, file, snapshot_rows=1_000_000)
        learner.look()
        ledger = learner.ledgers["title"]
        assert sum(each.rewarded for each in ledger.arms.values()) == with_reward
        assert ledger.ignored == {}
        ledgers.append(ledger)
    weights = [ledger.bandit.statistics.sums()["weight"] for ledger in ledgers]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert weights[0].sum() == with_reward


def test_a_killed_server_loses_nothing_it_acknowledged(declared: Callable[..., Bandits], home: Home) -> None:
    """Killed between choices and rewards of three connections; a look at the log afterwards."""
    declared(BANDITS)
    chosen: dict[str, str] = {}
    rewarded: set[str] = set()
    killed_once(home, 150, chosen, rewarded)
    assert len(rewarded) >= 150
    assert_nothing_was_lost(home, chosen, rewarded)


@pytest.mark.slow
def test_twenty_kills(declared: Callable[..., Bandits], home: Home) -> None:
    """Killed and started again on the same home, each time after another number of rewards."""
    declared(BANDITS)
    rng = np.random.default_rng(1)
    chosen: dict[str, str] = {}
    rewarded: set[str] = set()
    for _ in range(20):
        killed_once(home, int(rng.integers(1, 120)), chosen, rewarded)
        assert_nothing_was_lost(home, chosen, rewarded)
    assert len(rewarded) >= 20
