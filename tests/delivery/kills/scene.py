"""A server, two controllers and a writer of rollouts, each of which can be killed, and callers that never stop."""

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
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.delivery.kills.audit import USERS, Answer, Connection
from tests.delivery.kills.deciding import VERSIONS
from tests.delivery.kills.noting import noted
from tests.serving.patience import attempts
from tests.serving.workers.served import Served, gone, serving, until

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.testing.serving import publish_line_package

__all__ = ["Scene", "under_way"]

CONTROLLERS = ("one", "two")
_TELL = """
from pathlib import Path
from tests.delivery.kills.following import tell_follows
from tests.delivery.kills.noting import Notes
tell_follows(Notes(Path({!r})))
"""


@dataclass
class Scene:
    """The processes under way, and what answered.

    Attributes:
        notes: folder of what processes tell.
        host: forks those who decide.
        connections: of callers to workers.
        asked: reasons of the commands that a server answered with success.
    """

    home: Home
    notes: Path
    host: subprocess.Popen[str]
    served: Served | None = None
    connections: list[Connection] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    deciding: dict[str, int] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)
    stop: threading.Event = field(default_factory=threading.Event)
    decide: threading.Event = field(default_factory=threading.Event)

    def start(self, name: str) -> None:
        """Start a controller or the writer, again if need be."""
        assert self.host.stdin is not None
        assert self.host.stdout is not None
        self.host.stdin.write(f"{name}\n")
        self.host.stdin.flush()
        self.deciding[name] = int(self.host.stdout.readline())

    def end(self, name: str) -> None:
        """Kill a controller or the writer."""
        pid = self.deciding.pop(name)
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: gone(pid), f"{name} ends")

    def stop_deciding(self) -> None:
        """Kill all who decide; nobody does any more."""
        self.decide.clear()
        for name in list(self.deciding):
            self.end(name)

    def serve(self) -> None:
        """Start the server, again if need be."""
        self.stack.close()
        served = self.stack.enter_context(serving(self.home, _TELL.format(str(self.notes))))
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
            name = random.choice(CONTROLLERS) if who == "controller" else who
            self.end(name)
            self.start(name)

    def _worker_killed(self) -> bool:
        """Kill a worker of those that answered; False where it ended meanwhile, of the kill before."""
        assert self.served is not None
        workers = until(self.served.answering)
        with suppress(ProcessLookupError):
            os.kill(random.choice(sorted(workers)), signal.SIGKILL)
            return True
        return False

    def until(self, there: Callable[[], bool], what: str) -> None:
        """Wait for *what*, two minutes at most."""
        for _ in attempts(120):
            if there():
                return
        raise AssertionError(f"within two minutes it did not come to that: {what}")

    def until_answered(self, more: int) -> None:
        """Wait until there are so many more answers."""
        before = self._answers
        self.until(lambda: self._answers >= before + more, f"{more} more answers come")

    @property
    def _answers(self) -> int:
        return sum(len(each.answers) for each in self.connections)

    def all_follow(self, position: int) -> bool:
        """Whether two workers answer, and the latest look of each saw *position*."""
        assert self.served is not None
        with suppress(OSError, http.client.HTTPException):
            latest = {note["pid"]: note["position"] for note in noted(self.notes, "followed")}
            workers = self.served.answering()
            return len(workers) == 2 and all(latest.get(pid, 0) >= position for pid in workers)
        return False

    def ask(self, seed: int) -> None:
        """Ask for all users again and again, on one connection until it breaks: it is one worker's."""
        users = random.Random(seed).sample(USERS, len(USERS))
        while not self.stop.is_set():
            with suppress(OSError, http.client.HTTPException):
                self._ask_on_one(users)
            time.sleep(0.05)

    def _ask_on_one(self, users: list[int]) -> None:
        assert self.served is not None
        at = time.monotonic_ns()
        connection = http.client.HTTPConnection(self.served.address, timeout=20)
        try:
            connection.connect()
            connection.auto_open = 0  # another connection would be another worker's
            noted_down = Connection(connection.sock.getsockname()[1], at)
            self.connections.append(noted_down)
            while not self.stop.is_set():
                for user in users:
                    if self.stop.is_set():
                        return
                    sent = time.monotonic_ns()
                    connection.request("POST", "/predict", json.dumps({"user_id": user, "item_ids": [1, 2, 3]}))
                    answer = connection.getresponse()
                    content = json.loads(answer.read())
                    if answer.status == 200:
                        noted_down.answers.append(Answer(user, content["model_version"], sent, datetime.now(UTC)))
                    time.sleep(0.002)
        finally:
            connection.close()

    def command(self) -> None:
        """Ask servers to pause and to resume what is under way; a reason tells each command from all others."""
        number = 0
        while not self.stop.is_set():
            if self.decide.wait(0.1):
                number += 1
                with suppress(OSError, http.client.HTTPException):
                    self._command(f"asked for the {number}th time", "resume" if number % 3 else "pause")
                time.sleep(0.3)

    def _command(self, reason: str, what: str) -> None:
        assert self.served is not None
        _, listed = self.served.ask("GET", "/api/v1/rollouts?system=feed")
        live = [each["id"] for each in listed["data"]["rollouts"] if each["ended_at"] is None]
        for id_ in live:
            status, _ = self.served.ask("POST", f"/api/v1/rollouts/{id_}/{what}", {"reason": reason})
            if status == 200:
                self.asked.append(reason)


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
    notes = folder / "notes"
    notes.mkdir()
    command = [sys.executable, "-m", "tests.delivery.kills.deciding", str(home.root), str(notes)]
    host = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    scene = Scene(home, notes, host)
    callers = [threading.Thread(target=scene.ask, args=(seed,)) for seed in range(2)]
    callers.append(threading.Thread(target=scene.command))
    try:
        scene.serve()
        for name in (*CONTROLLERS, "writer"):
            scene.start(name)
        scene.decide.set()
        for caller in callers:
            caller.start()
        yield scene
    finally:
        scene.stop.set()
        host.communicate()
        for caller in callers:
            if caller.ident is not None:
                caller.join()
        scene.stack.close()
