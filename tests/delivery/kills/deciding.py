"""Processes that decide on rollouts until they are killed: ``python -m tests.delivery.kills.deciding HOME NOTES``.

It forks one for each name that it reads, and writes its process id: ``writer``, who decides as the dice say, or any
other name: a controller of that name. A controller's lease is short, and it stands still at first, and at times later,
between its last look at the lease and its decision, for longer than the lease. All end with the input.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.delivery.kills.noting import Notes, tell_decisions, tell_terms

from orita.control.deployments import Deployments
from orita.control.events import ControlLog
from orita.control.leases import Lease, LeaseLost, Leases
from orita.core.errors import OritaError
from orita.core.home import Home
from orita.delivery.rollouts import Checks, RolloutPlan, Rollouts, Step, controller
from orita.delivery.rollouts.rollout import Beyond, Rollout, Verdict
from orita.events.log.opening import EventLogConfig, open_log

VERSIONS = [f"v1.{number}.0" for number in range(9)]
CHECKS = Checks(latency=None, scores=None, metric=None)
STEPS = tuple(Step(share, 0, 30) for share in (10, 25, 50, 75, 100))
COMMANDS = ("pause", "resume", "resume", "judge", "judge", "acknowledge", "advance", "abort", "promote")
LEASE_SECONDS = 1.0
STANDS_STILL = 0.1


def control(home: Home, name: str) -> None:
    """Act as a controller."""
    controller.LEASE_SECONDS = LEASE_SECONDS
    events = open_log(EventLogConfig(), home)
    acting = controller.Controller(home, events, holder=f"{name}/{os.getpid()}", settle=0.2)
    acting.run(0.1, threading.Event())


def stand_still(notes: Notes) -> None:
    """Let this process be away when it first decides under a lease, and at times later; tell what is refused for it."""
    writing, first = ControlLog.writing, threading.Event()

    @contextmanager
    def late(self: ControlLog, lease: Lease | None = None) -> Iterator[sa.Connection]:
        if lease is not None and (not first.is_set() or random.random() < STANDS_STILL):
            first.set()
            time.sleep(random.uniform(LEASE_SECONDS, 2.5 * LEASE_SECONDS))
        try:
            with writing(self, lease) as connection:
                yield connection
        except LeaseLost:
            notes.tell("refused")
            raise

    ControlLog.writing = late  # type: ignore[method-assign]


def write(home: Home) -> None:
    """Decide as the dice say."""
    rollouts, leases = Rollouts(home.control_db), Leases(home.control_db)
    who = {"actor": f"ana/{os.getpid()}", "reason": "as the dice say"}
    while True:
        time.sleep(random.uniform(0.02, 0.15))
        with suppress(OritaError):  # a controller was quicker, or it makes no sense now
            lease = leases.take("writer", "writer", 5)
            now = rollouts.current("feed").routing
            if now is None:
                _start(home, rollouts, who)
            else:
                _decide(rollouts, now, lease, who)


def _start(home: Home, rollouts: Rollouts, who: dict[str, str]) -> None:
    deployed = Deployments(home.control_db).current("feed")
    assert deployed is not None
    version = random.choice([each for each in VERSIONS if each != deployed.version])
    plan = RolloutPlan(strategy="canary", versions=(version,), steps=STEPS, checks=CHECKS)
    rollouts.start("feed", plan, **who)


def _decide(rollouts: Rollouts, now: Rollout, lease: Lease | None, who: dict[str, Any]) -> None:
    match random.choice(COMMANDS):
        case "pause":
            rollouts.pause("feed", now.id, **who)
        case "resume":
            rollouts.resume("feed", now.id, **who)
        case "judge":
            verdict: Verdict = "hold" if random.random() < 0.5 else "not_enough_traffic"
            rollouts.judge(now, verdict, who["reason"], actor=who["actor"], evidence={"n": 1}, lease=lease)
        case "acknowledge":
            check = random.choice(["scores", "drift", "split"])
            rollouts.acknowledge(now, [Beyond(check=check, version=now.plan.versions[0], why="differs")], **who)
        case "advance":
            rollouts.advance(now, **who, lease=lease)
        case "abort" if random.random() < 0.2:
            rollouts.abort("feed", now.id, **who)
        case "promote" if now.last_step:
            rollouts.promote("feed", now.id, **who, lease=lease)


def decide(name: str, home: Home, notes: Notes) -> None:
    """Be what *name* says, until killed."""
    random.seed()
    tell_terms(notes)
    tell_decisions(notes)
    if name != "writer":
        stand_still(notes)
    write(home) if name == "writer" else control(home, name)


def main() -> None:
    """Fork those who decide."""
    home, notes = Home(Path(sys.argv[1])), Path(sys.argv[2])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever was killed is gone at once
    begun = []
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what it logs
            try:
                decide(line.strip(), home, Notes(notes))
            finally:
                traceback.print_exc()
                os._exit(1)
        begun.append(pid)
        print(pid, flush=True)  # noqa: T201
    for pid in begun:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
