"""What must hold of all decisions on rollouts, of what was told of them, and of what users got."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.compute as pc
from tests.delivery.kills.deciding import VERSIONS
from tests.delivery.kills.noting import digest_of, noted

from orita.control.deployments import DEPLOYMENT
from orita.control.events import ControlEvent, ControlLog
from orita.control.replay import rebuild
from orita.core.home import Home
from orita.delivery.rollouts import ROLLOUT, Rollout, SystemRollouts
from orita.delivery.rollouts.rollout import ENDED
from orita.delivery.rollouts.rollouts import lease_name
from orita.delivery.rollouts.routing import Router
from orita.events.predictions import prediction_log

__all__ = [
    "USERS",
    "Answer",
    "Connection",
    "check_acknowledged",
    "check_answers",
    "check_asked",
    "check_audit",
    "check_log",
    "check_terms",
    "decided",
    "followed_ms",
]

USERS = range(60)


@dataclass(frozen=True, slots=True)
class Answer:
    """Which version answered a user, when it was asked (nanoseconds of the monotonic clock) and when answered."""

    user: int
    version: str
    sent: int
    received: datetime


@dataclass
class Connection:
    """A connection to one worker: its port here, when it was made, and the answers on it."""

    port: int
    at: int
    answers: list[Answer] = field(default_factory=list)


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


def check_acknowledged(events: list[ControlEvent], notes: Path) -> int:
    """Check that each decision that a process was acknowledged is there as it was, and all but its last were told.

    Return how many were acknowledged.
    """
    told = noted(notes, "decided")
    there = {event.position: event for event in events}
    for note in told:
        assert note["position"] in there, f"an acknowledged decision is lost: {note}"
        assert digest_of(there[note["position"]]) == note["digest"], f"an acknowledged decision became another: {note}"
    acknowledged = {note["position"] for note in told}
    assert len(acknowledged) == len(told), "a position was acknowledged twice"
    for actor in {event.actor for event in events if "/" in event.actor}:
        own = [event for event in events if event.actor == actor]
        cut = [event for event in own if event.position not in acknowledged]
        assert own[len(own) - len(cut) :] == cut, f"{actor} went on after it was not told of {cut}"
        assert len({event.at for event in cut}) <= 1, f"{actor} was killed in more than one command: {cut}"
    return len(told)


def check_asked(events: list[ControlEvent], answered: Sequence[str]) -> None:
    """Check that each command that a server answered with success was decided, once; *answered* are their reasons."""
    reasons = [event.reason for event in events]
    for reason in answered:
        assert reasons.count(reason) == 1, f"{reason!r} was answered with success, and decided {reasons.count(reason)}x"


def check_terms(events: list[ControlEvent], notes: Path) -> int:
    """Check that each term of the controllers' lease was one holder's, and none acted once a later one was taken.

    Return how many terms decided something.
    """
    terms: dict[str, list[int]] = {}
    taken = [note for note in noted(notes, "took") if note["lease"] == lease_name("feed")]
    for note in taken:
        terms.setdefault(note["holder"], []).append(note["token"])
    for note in noted(notes, "acted"):
        if note["lease"] == lease_name("feed"):
            later = [each for each in taken if each["token"] > note["token"] and each["at"] < note["begun"]]
            assert not later, f"{note} was allowed, though the lease had been taken: {later[0]}"
    tokens = [token for of_holder in terms.values() for token in of_holder]
    assert len(tokens) == len(set(tokens)), f"two held the lease under one token: {terms}"
    acted_under = {note["position"]: note["token"] for note in noted(notes, "decided")}
    term, acted = 0, set()
    for event in events:
        if not event.actor.startswith("controller "):
            continue
        of_holder = terms[event.actor.removeprefix("controller ")]
        now = acted_under.get(event.position) or of_holder[-1]  # who was killed before it told had its last term
        assert now in of_holder, f"{event} under term {now}, its holder had {of_holder}"
        assert now >= term, f"{event} under term {now}, though term {term} had acted"
        term = now
        acted.add(now)
    return len(acted)


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
    """What every user gets from some decision on."""

    position: int
    at: datetime
    versions: tuple[str, ...]


def decided(events: list[ControlEvent]) -> list[Decided]:
    """Return what users get after each decision that changes it, from the events alone; check each on the way."""
    state, deployed, found = SystemRollouts(), "", [Decided(0, events[0].at, tuple(VERSIONS[0] for _ in USERS))]
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
            found.append(Decided(event.position, event.at, versions))
    return found


def check_answers(
    decisions: list[Decided], events: list[ControlEvent], connections: list[Connection], notes: Path
) -> int:
    """Check that each worker went from decision to decision, never back, and gave users what these say.

    A request that was sent after a look of its worker at control state goes by what that look saw, or later; how long
    machines stand still is no matter. Return how many answers there were.
    """
    times, positions = [each.at for each in decisions], [each.position for each in decisions]
    looks, made = _looks(events, notes), noted(notes, "connected")
    for connection in connections:
        if not connection.answers:
            continue
        known, now = looks[_worker(connection, made)], 0
        for answer in connection.answers:
            seen = bisect_left(known, (answer.sent, 0))
            position = known[seen - 1][1] if seen else 0  # 0: it waited for its worker to start
            now = max(now, bisect_right(positions, position) - 1)
            last = bisect_right(times, answer.received) - 1
            while now <= last and decisions[now].versions[answer.user] != answer.version:
                now += 1
            assert now <= last, f"nobody decided {answer}, of a worker that knew position {position}"
    return sum(len(connection.answers) for connection in connections)


def _looks(events: list[ControlEvent], notes: Path) -> dict[int, list[tuple[int, int]]]:
    """Return, by worker, when each look ended and the position that it saw."""
    deployments = [event.position for event in events if event.kind == DEPLOYMENT.name]
    found: dict[int, list[tuple[int, int]]] = {}
    for note in noted(notes, "followed"):
        if note["deployment"] >= bisect_right(deployments, note["position"]):  # else the deployment could not be read
            found.setdefault(note["pid"], []).append((note["at"], note["position"]))
    return found


def _worker(connection: Connection, made: list[dict[str, Any]]) -> int:
    """Return the worker that a connection was made to: the first that had its port from then on."""
    mine = (note for note in made if note["port"] == connection.port and note["at"] > connection.at)
    return int(next(mine)["pid"])


def followed_ms(notes: Path) -> list[float]:
    """Return how long after each acknowledged decision each worker that had looked before it answered by it."""
    looks: dict[int, list[tuple[int, int]]] = {}
    for note in noted(notes, "followed"):
        looks.setdefault(note["pid"], []).append((note["at"], note["position"]))
    found = []
    for decision in noted(notes, "decided"):
        for known in looks.values():
            later = bisect_left(known, decision["position"], key=lambda look: look[1])
            if later and later < len(known):
                found.append(max(known[later][0] - decision["at"], 0) / 1e6)
    return sorted(found)


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
