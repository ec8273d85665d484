"""A stream worker in a process of its own, to be killed: ``counting_worker.py HOME SECONDS MOST_ROWS``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from orita import INTERACTION, Entity, Source, System, system
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog
from orita.features.plan import Plan, plan_of
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.worker import StreamWorker

__all__ = ["SHOWN", "counting_plan", "counting_system"]

SHOWN = Source("interactions", INTERACTION)


def counting_system() -> System:
    """Declare counts and sums of integers: they are exact, or wrong."""
    user, item = Entity("user", "user_id"), Entity("item", "item_id")
    declared = system("counted", label=SHOWN.click, rank=item, for_=user)
    declared.features(
        by_user=SHOWN.count().by(user),
        by_item=SHOWN.count().by(item),
        by_pair=SHOWN.count().by(user, item),
        clicks=SHOWN.sum("click").by(item),
        places=SHOWN.sum("position").by(user),
        of_late=SHOWN.count().by(item).over("1h", hop="10m"),
        exactly=SHOWN.count().by(user).over("1h"),
        different=SHOWN.count_distinct("item_id").by(user),
    )
    return declared


def counting_plan() -> Plan:
    """Return the plan of `counting_system`."""
    return plan_of(counting_system())


def main() -> None:
    """Count until killed, or until nothing came for the given seconds."""
    root, seconds, most = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    home = Home(root)
    worker = StreamWorker(counting_plan(), EmbeddedLog(home), LmdbStore(root / "state"), "state", most_rows=most)
    idle = time.monotonic()
    while time.monotonic() - idle < seconds:
        done = worker.step(0.05)
        if done.counted or done.duplicates:
            idle = time.monotonic()
            sys.stdout.write(f"{done.counted}\n")
            sys.stdout.flush()
    worker.close()


if __name__ == "__main__":
    main()
