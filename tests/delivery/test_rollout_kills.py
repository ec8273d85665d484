"""``kill -9`` of controllers, writers and servers while versions are rolled out: what was decided stays whole.

A server with two workers is asked for the same users all the time, and for decisions. Two controllers judge under one
lease, another process decides at random, and one of all these is killed again and again. Each tells what it was
acknowledged before it goes on. Then every decision is read again and held against that, and every answer against the
router of what its worker had seen.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from tests.delivery.kills.audit import (
    check_acknowledged,
    check_answers,
    check_asked,
    check_audit,
    check_log,
    check_terms,
    decided,
    followed_ms,
)
from tests.delivery.kills.noting import noted
from tests.delivery.kills.scene import under_way

from orita.control.events import ControlLog
from orita.delivery.rollouts.rollouts import lease_name


def controllers_tried(notes: Path) -> int:
    """Return how often a controller decided under its lease, or was refused as that was over."""
    acted = [note for note in noted(notes, "acted") if note["lease"] == lease_name("feed")]
    return len(acted) + len(noted(notes, "refused"))


def check_kills(folder: Path, victims: list[str], seed: int) -> int:
    """Kill processes, one after the other, then look at everything; return how many terms of the lease acted."""
    print(f"seed {seed}")  # noqa: T201  shown where the test fails
    random.seed(seed)
    random.shuffle(victims)
    with under_way(folder) as scene:
        for victim in victims:
            time.sleep(random.uniform(0.1, 0.8))
            scene.kill(victim)
        log = ControlLog(scene.home.control_db)
        scene.until(lambda: len(noted(scene.notes, "decided")) > len(victims), "the last that were started go on")
        scene.until(lambda: controllers_tried(scene.notes) >= 3, "controllers act, or are refused")
        scene.stop_deciding()
        scene.until(lambda: scene.all_follow(log.position()), "all workers follow the last decision")
        scene.until_answered(100)
    events = check_audit(log)
    acknowledged = check_acknowledged(events, scene.notes)
    check_asked(events, scene.asked)
    terms = check_terms(events, scene.notes)
    answers = check_answers(decided(events), events, scene.connections, scene.notes)
    refused = len(noted(scene.notes, "refused"))
    rows, late = check_log(scene.home, events), followed_ms(scene.notes)
    middle, most = late[len(late) // 2], late[len(late) * 99 // 100]
    print(  # noqa: T201
        f"{len(victims)} kills, {len(events)} decisions, {acknowledged} of them told, {len(scene.asked)} asked of "
        f"servers, {terms} terms, {refused} refused, {answers} answers, {rows} rows; workers followed after "
        f"{middle:.0f} ms at the median, {most:.0f} at p99, {late[-1]:.0f} at most, of {len(late)}"
    )
    assert acknowledged > len(victims)
    assert answers > 10 * len(victims)
    assert rows > 0
    return terms


@pytest.mark.timeout(300)
def test_a_few_kills(tmp_path: Path) -> None:
    """A few kills: every decision is whole and told, none is lost, and every user got what was decided."""
    check_kills(tmp_path, ["worker"] * 5 + ["writer"] + ["controller"] * 2, random.randrange(1000))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_kills(tmp_path: Path) -> None:
    """The same with 200, some of them of the whole server at once; many controllers act, one after the other."""
    assert check_kills(tmp_path, ["worker"] * 90 + ["writer"] * 45 + ["controller"] * 60 + ["server"] * 5, 7) > 5
