"""A controller as a process, a prediction log that is really written: how long does a broken version stay?

Answers come 300 a second, from a thread that follows the rollout as a server does and writes through the server's
prediction log, so that what the controller reads is what a server leaves: segments that grow, and Parquet of those that
ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.delivery.rollouts import Rollout, RolloutPlan, Rollouts
from orita.delivery.rollouts.routing import Router
from orita.events.prediction_segment import ScoredRequest
from orita.serving.log.prediction_log import PredictionLog
from orita.serving.protocols import LogStream

__all__ = ["FAILING", "SLOW", "Broken", "drill"]

OLD, NEW = "v1.0.0", "v1.1.0"
RATE, ITEMS = 300, 20
MOST_SECONDS = 60.0


@dataclass(frozen=True)
class Broken:
    """What is wrong with the new version: the share of answers that something stood in for, milliseconds more."""

    failing: float = 0.001
    more_ms: float = 0.0


FAILING, SLOW = Broken(failing=1.0), Broken(more_ms=50.0)


def drill(broken: Broken, *, seed: int = 0) -> float:
    """Return seconds from the beginning of the rollout to its rollback; infinity where it takes too long."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        Deployments(home.control).deploy("feed", OLD, actor="bench", reason="")
        rollouts = Rollouts(home.control)
        command = [sys.executable, "-m", "orita", "--project", folder, "--home", str(home.root), "controller", "--json"]
        controller = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        stopping = threading.Event()
        writer = threading.Thread(target=_write, args=(home, rollouts, broken, stopping, seed))
        try:
            assert controller.stderr is not None
            controller.stderr.readline()  # it is watching
            threading.Thread(target=controller.stderr.read, daemon=True).start()
            writer.start()
            time.sleep(2)
            plan = RolloutPlan(strategy="canary", versions=(NEW,))
            began = time.monotonic()
            rollout = rollouts.start("feed", plan, actor="bench", reason="")
            return _until_rolled_back(rollouts, rollout, began)
        finally:
            stopping.set()
            writer.join()
            controller.send_signal(signal.SIGTERM)
            controller.wait(30)


def _until_rolled_back(rollouts: Rollouts, rollout: Rollout, began: float) -> float:
    while (passed := time.monotonic() - began) < MOST_SECONDS:
        now = rollouts.current("feed").find(rollout.id)
        if now is not None and now.state == "rolled_back":
            return passed
        time.sleep(0.05)
    return float("inf")


def _write(home: Home, rollouts: Rollouts, broken: Broken, stopping: threading.Event, seed: int) -> None:
    """Answer users at an even pace, as the rollout of half a second ago says."""
    random = np.random.default_rng(seed)
    streams = {version: LogStream("feed", version, ()) for version in (OLD, NEW)}
    log = PredictionLog(home)
    log.start()
    router: Router | None = None
    followed, number, began = 0.0, 0, time.monotonic()
    while not stopping.is_set():
        now = time.monotonic()
        if now - followed > 0.5:
            current, followed = rollouts.current("feed").routing, now
            router = None if current is None else Router(current)
        while number < (now - began) * RATE:
            request = _answer(int(random.integers(1_000_000)), router, broken, random)
            log.append(streams[request.variant or OLD], request)
            number += 1
        stopping.wait(0.005)
    log.close()


def _answer(user: int, router: Router | None, broken: Broken, random: np.random.Generator) -> ScoredRequest:
    route = None if router is None else router.route({"user_id": user})
    new = route is not None and route.version == NEW
    failed = random.random() < (broken.failing if new else 0.001)
    scores = random.normal(size=ITEMS).astype(np.float32)
    ranks = np.argsort(np.argsort(-scores)) + 1
    at = time.time_ns() // 1000
    return ScoredRequest(
        at_micros=at,
        as_of_micros=at,
        request_id=f"{os.getpid()}-{at}-{user}",
        salt=int(random.integers(1 << 62)),
        user_id=user,
        item_ids=list(range(ITEMS)),
        latency_ms=float(random.lognormal(np.log(8.0), 0.4)) + (broken.more_ms if new else 0.0),
        scores=scores.tobytes(),
        ranks=ranks.astype(np.int32).tobytes(),
        features=b"",
        level=2 if failed else 1,
        rollout=None if route is None else route.rollout,
        variant=None if route is None else route.version,
        split_micros=None if route is None else route.split_micros,
    )
