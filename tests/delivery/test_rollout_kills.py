"""``kill -9`` of controllers, writers and servers while versions are rolled out: what was decided stays whole.

A server with two workers is asked for the same users all the time. A controller judges, another process decides at
random, and one of all these is killed again and again. Then every decision is read again, and every answer is held
against the router of what was decided at that time.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.compute as pc
import pytest
from tests.serving.patience import attempts
from tests.serving.workers.served import Served, serving, until

from orita.control.deployments import DEPLOYMENT, Deployments
from orita.control.events import ControlEvent, ControlLog
from orita.control.replay import rebuild
from orita.core.home import Home
from orita.delivery.rollouts import ROLLOUT, Rollout, SystemRollouts
from orita.delivery.rollouts.rollout import ENDED
from orita.delivery.rollouts.routing import Router
from orita.events.predictions import prediction_log
from orita.testing.serving import publish_line_package

USERS = range(60)
VERSIONS = [f"v1.{number}.0" for number in range(9)]
LATEST_FOLLOWED = timedelta(seconds=30)
"""How long a server on a busy machine may go on with what was decided before."""

_CONTROLLER = """
import sys, threading
from pathlib import Path
from orita.core.home import Home
from orita.delivery.rollouts.controller import Controller
from orita.events.log.opening import EventLogConfig, open_log
home = Home(Path(sys.argv[1]))
print("ready", file=sys.stderr, flush=True)
Controller(home, open_log(EventLogConfig(), home), holder="one", settle=0.2).run(0.1, threading.Event())
"""
_WRITER = """
import random, sys, time
from contextlib import suppress
from pathlib import Path
from orita.core.errors import OritaError
from orita.core.home import Home
from orita.control.deployments import Deployments
from orita.control.leases import Leases
from orita.delivery.rollouts import Checks, RolloutPlan, Rollouts, Step
from orita.delivery.rollouts.rollout import Beyond
home, versions = Home(Path(sys.argv[1])), sys.argv[2].split(",")
rollouts, leases = Rollouts(home.control_db), Leases(home.control_db)
who = {"actor": "ana", "reason": "as the dice say"}
print("ready", file=sys.stderr, flush=True)
checks = Checks(latency=None, scores=None, metric=None)
steps = tuple(Step(share, 0, 30) for share in (10, 25, 50, 75, 100))
while True:
    time.sleep(random.uniform(0.02, 0.15))
    lease = leases.take("writer", "writer", 5)
    with suppress(OritaError):  # the controller was quicker, or it makes no sense now
        now = rollouts.current("feed").routing
        if now is None:
            champion = Deployments(home.control_db).current("feed").version
            version = random.choice([each for each in versions if each != champion])
            plan = RolloutPlan(strategy="canary", versions=(version,), steps=steps, checks=checks)
            rollouts.start("feed", plan, **who)
            continue
        commands = ["pause", "resume", "resume", "judge", "judge", "acknowledge", "advance", "abort", "promote"]
        match random.choice(commands):
            case "pause":
                rollouts.pause("feed", now.id, **who)
            case "resume":
                rollouts.resume("feed", now.id, **who)
            case "judge":
                verdict = random.choice(["hold", "not_enough_traffic"])
                rollouts.judge(now, verdict, "as the dice say", actor="ana", evidence={"n": 1}, lease=lease)
            case "acknowledge":
                check = random.choice(["scores", "drift", "split"])
                rollouts.acknowledge(now, [Beyond(check=check, version=now.plan.versions[0], why="differs")], **who)
            case "advance":
                rollouts.advance(now, **who, lease=lease)
            case "abort" if random.random() < 0.2:
                rollouts.abort("feed", now.id, **who)
            case "promote" if now.last_step:
                rollouts.promote("feed", now.id, **who, lease=lease)
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """Which version answered a user, when it was asked and when answered."""

    user: int
    version: str
    sent: datetime
    received: datetime


@dataclass
class Scene:
    """The processes under way, and what answered."""

    home: Home
    served: Served | None = None
    connections: list[list[Answer]] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)
    stop: threading.Event = field(default_factory=threading.Event)

    def start(self, name: str) -> None:
        """Start the controller or the writer, again if need be."""
        script, more = {"controller": (_CONTROLLER, ""), "writer": (_WRITER, ",".join(VERSIONS))}[name]
        command = [sys.executable, "-c", script, str(self.home.root), more]
        self.processes[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def ready(self, name: str) -> None:
        """Wait until the controller or the writer is at work: before that a kill would be of its imports."""
        process = self.processes[name]
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line == b"ready\n", line + process.stderr.read()

    def end(self, name: str) -> None:
        """Kill the controller or the writer."""
        process = self.processes[name]
        process.kill()
        process.communicate()

    def serve(self) -> None:
        """Start the server, again if need be."""
        self.stack.close()
        served = self.stack.enter_context(serving(self.home))
        for stream in (served.process.stdout, served.process.stderr):  # nobody reads what it logs
            drained = threading.Thread(target=deque, args=(stream, 0))
            drained.start()
            self.stack.callback(drained.join)
        self.stack.callback(_ended, served.process)
        for _ in attempts(300):  # a busy machine takes long to start three processes
            with suppress(OSError, http.client.HTTPException):
                if len(served.answering()) == 2:
                    break
        self.served = served

    def kill(self, who: str) -> None:
        """Kill one process, and have another one in its place."""
        assert self.served is not None
        if who == "worker":
            until(self._worker_killed)
        elif who == "server":
            for pid in (self.served.process.pid, *until(self.served.workers)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.served.process.wait()
            self.serve()
        else:
            self.ready(who)
            time.sleep(random.uniform(0.0, 1.0))
            self.end(who)
            self.start(who)

    def _worker_killed(self) -> bool:
        """Kill a worker of those that answered; False where it ended meanwhile, of the kill before."""
        assert self.served is not None
        workers = until(self.served.answering)
        with suppress(ProcessLookupError):
            os.kill(random.choice(sorted(workers)), signal.SIGKILL)
            return True
        return False

    def ask(self, seed: int) -> None:
        """Ask for all users again and again, on one connection until it breaks: it is one worker's."""
        users = random.Random(seed).sample(USERS, len(USERS))
        while not self.stop.is_set():
            answers: list[Answer] = []
            self.connections.append(answers)
            with suppress(OSError, http.client.HTTPException):
                self._ask_on_one(users, answers)
            time.sleep(0.05)

    def _ask_on_one(self, users: list[int], answers: list[Answer]) -> None:
        assert self.served is not None
        connection = http.client.HTTPConnection(self.served.address, timeout=20)
        try:
            while not self.stop.is_set():
                for user in users:
                    if self.stop.is_set():
                        return
                    sent = datetime.now(UTC)
                    connection.request("POST", "/predict", json.dumps({"user_id": user, "item_ids": [1, 2, 3]}))
                    answer = connection.getresponse()
                    content = json.loads(answer.read())
                    if answer.status == 200:
                        answers.append(Answer(user, content["model_version"], sent, datetime.now(UTC)))
                    time.sleep(0.002)
        finally:
            connection.close()


def _ended(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.wait()


@contextmanager
def under_way(folder: Path) -> Iterator[Scene]:
    """Run everything on a small home; all of it has ended with the block."""
    home = Home(folder / "home")
    for version in VERSIONS:
        publish_line_package(home, "feed", version, ("item_ctr", "item_popularity"))
    Deployments(home.control_db).deploy("feed", VERSIONS[0], actor="test", reason="the first")
    scene = Scene(home)
    askers = [threading.Thread(target=scene.ask, args=(seed,)) for seed in range(2)]
    try:
        scene.serve()
        for name in ("controller", "writer"):
            scene.start(name)
        for asker in askers:
            asker.start()
        yield scene
    finally:
        for name in scene.processes:
            scene.end(name)
        scene.stop.set()
        for asker in askers:
            if asker.ident is not None:
                asker.join()
        scene.stack.close()


def check_audit(log: ControlLog) -> list[ControlEvent]:
    """Check that no decision is missing, each is told, and what is kept follows from them; return them."""
    events = log.events()
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    for kind in (DEPLOYMENT, ROLLOUT):
        of_kind = [event for event in events if event.kind == kind.name]
        assert [event.version for event in of_kind] == list(range(1, len(of_kind) + 1))
    assert all(event.actor and event.reason for event in events)
    assert all(before.at <= after.at for before, after in pairwise(events))
    assert rebuild(log, {kind.name: kind for kind in (DEPLOYMENT, ROLLOUT)}).different == ()
    return events


def check_legal(before: SystemRollouts, event: ControlEvent, after: SystemRollouts, deployed: str) -> None:
    """Check one decision: only what is under way changes, by one step, and its end is for good."""
    body = msgspec.json.decode(event.body)
    assert sum(each.plan.routes for each in after.live) <= 1
    assert all(not each.ended for each in after.live)
    assert all(each.ended for each in after.ended)
    then, now = before.find(body["id"]), after.find(body["id"])
    assert now is not None
    if event.type == "started":
        assert then is None
        assert before.routing is None
        assert now.champion == deployed
        return
    assert then is not None
    assert not then.ended
    _check_step(event.type, then, now)
    if event.type == "promoted":
        assert now.winner == deployed
    others = {each.id: each for each in (*before.live, *before.ended) if each.id != now.id}
    assert all(others.get(each.id, each) == each for each in (*after.live, *after.ended) if each.id != now.id)


def _check_step(type_: str, then: Rollout, now: Rollout) -> None:
    match type_:
        case "advanced":
            assert (then.state, now.step) == ("running", then.step + 1)
            assert now.shares[now.plan.versions[0]] == now.plan.steps[now.step].share
        case "paused" | "resumed":
            assert (then.state, now.state) == (("running", "paused") if type_ == "paused" else ("paused", "running"))
            assert (now.step, now.split) == (then.step, then.split)
        case "judged":
            assert then.state == now.state == "running"
            assert (now.step, now.split, now.verdict != then.verdict) == (then.step, then.split, True)
        case "acknowledged":
            (new,) = now.acknowledged[len(then.acknowledged) :]
            assert now.acknowledged[:-1] == then.acknowledged
            assert new.beyond not in [each.beyond for each in then.acknowledged]
            assert (now.state, now.step, now.split) == (then.state, then.step, then.split)
        case _:
            assert now.state == type_
            assert now.state in ENDED
            assert (now.step, now.split) == (then.step, then.split)


@dataclass(frozen=True, slots=True)
class Decided:
    """What every user gets from some time on."""

    at: datetime
    versions: tuple[str, ...]


def decided(events: list[ControlEvent]) -> list[Decided]:
    """Return what users get after each decision that changes it, from the events alone; check each on the way."""
    state, deployed, found = SystemRollouts(), "", [Decided(events[0].at, tuple(VERSIONS[0] for _ in USERS))]
    for event in events:
        if event.kind == DEPLOYMENT.name:
            deployed = msgspec.json.decode(event.body)["version"]
        else:
            after = ROLLOUT.after(state, event)
            assert after is not None
            check_legal(state, event, after, deployed)
            state = after
        rollout = state.routing
        if rollout is None or rollout.champion != deployed:
            versions = tuple(deployed for _ in USERS)
        else:
            route = Router(rollout).route
            versions = tuple(route({"user_id": user}).version for user in USERS)
        if versions != found[-1].versions:
            found.append(Decided(event.at, versions))
    return found


def check_answers(decisions: list[Decided], connections: list[list[Answer]]) -> int:
    """Check that each worker went from decision to decision and never back, and gave users what these say.

    Return how many answers there were.
    """
    times = [each.at for each in decisions]
    for answers in connections:
        now = 0
        for answer in answers:
            now = max(now, bisect_right(times, answer.sent - LATEST_FOLLOWED) - 1)
            last = bisect_right(times, answer.received) - 1
            while now <= last and decisions[now].versions[answer.user] != answer.version:
                now += 1
            assert now <= last, f"nobody decided {answer}"
    return sum(map(len, connections))


def check_log(home: Home, events: list[ControlEvent]) -> int:
    """Check that each row that a rollout's dice chose is what the split that it names says, which began before it."""
    allowed: dict[tuple[str, datetime, int], str] = {}
    state = SystemRollouts()
    for event in (each for each in events if each.kind == ROLLOUT.name):
        state = ROLLOUT.after(state, event) or state
        if event.type in ("started", "advanced") and state.routing is not None:
            route = Router(state.routing).route
            allowed |= {(state.routing.id, event.at, user): route({"user_id": user}).version for user in USERS}
    rows = logged(home)
    for row in rows:
        assert allowed[row["rollout"], row["split_since"], row["user_id"]] == row["variant"], row
        assert row["split_since"] <= row["timestamp"], row
        assert row["model_version"] == row["variant"]
    return len(rows)


def logged(home: Home) -> list[dict[str, Any]]:
    """Return the first row of each answer that dice chose."""
    columns = ["user_id", "model_version", "rollout", "variant", "split_since", "rank", "timestamp"]
    rows = prediction_log(home, columns=columns, ids="int64")
    chosen = pc.and_(pc.is_valid(rows["rollout"]), pc.equal(rows["rank"], 1))
    found: list[dict[str, Any]] = rows.filter(chosen).to_pylist()
    return found


def check_kills(folder: Path, victims: list[str], seed: int) -> None:
    """Kill processes, one after the other, then look at everything."""
    print(f"seed {seed}")  # noqa: T201  shown where the test fails
    random.seed(seed)
    random.shuffle(victims)
    with under_way(folder) as scene:
        for victim in victims:
            time.sleep(random.uniform(0.1, 0.8))
            scene.kill(victim)
        log = ControlLog(scene.home.control_db)
        for _ in attempts(120):  # the last writer goes on
            if log.position() > len(victims):
                break
        time.sleep(1)
    events = check_audit(log)
    answers, rows = check_answers(decided(events), scene.connections), check_log(scene.home, events)
    print(f"{len(victims)} kills, {len(events)} decisions, {answers} answers, {rows} rows")  # noqa: T201
    assert len(events) > len(victims)
    assert answers > 10 * len(victims)
    assert rows > 0


@pytest.mark.timeout(300)
def test_a_few_kills(tmp_path: Path) -> None:
    """A dozen kills: every decision is whole and told, and every user got what was decided."""
    check_kills(tmp_path, ["worker"] * 9 + ["writer"] * 2 + ["controller"], random.randrange(1000))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_kills(tmp_path: Path) -> None:
    """The same with 200, some of them of the whole server at once."""
    check_kills(tmp_path, ["worker"] * 110 + ["writer"] * 50 + ["controller"] * 35 + ["server"] * 5, 7)
