"""What ids are, learned from events: two workers of one store never disagree, and lose nothing by learning at once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.features.small_system import NOW
from tests.features.test_ids import GIVEN, SHOWN, declared, event

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.arriving import event_table
from orita.events.log.embedded import EmbeddedLog
from orita.features.plan import plan_of
from orita.features.state.id_kinds import learned_kinds
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.intake import Taken
from orita.features.stream.worker import StreamWorker

PLAN = plan_of(declared(gifts=True))


@pytest.mark.parametrize("giver", [None, "12"])
def test_a_worker_does_not_forget_what_another_learned_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, giver: str | None
) -> None:
    """One takes a gift while the other counts users by text: users are texts for both, and everything counts once."""
    log, store = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state")
    for source in (SHOWN, GIVEN):
        log.create(source.name, 1)
    gifts, users = (StreamWorker(PLAN, log, store, group, clock=ManualClock(NOW)) for group in ("a", "b"))
    gift = {"id": "g", "giver": giver, "item_id": 7, "at": datetime.fromisoformat(event(1)["at"])}
    given = event_table(GIVEN.schema, [gift], {"giver": pa.int64()} if giver else {})
    log.append("gifts", given.set_column(1, "giver", pa.nulls(1)) if giver is None else given, key=["item_id"])
    users._intakes.pop("gifts").close(counted=False)  # its share is the other source alone
    take, met = gifts._take, list[int]()

    def interrupted(name: str, wait: float) -> Taken | None:
        if not met:
            rows = event_table(SHOWN.schema, [event(2, user_id="ann"), event(3, user_id="12")])
            log.append("shown", rows, key=["item_id"])
            met.append(users.step().counted)
        return take(name, wait)

    monkeypatch.setattr(gifts, "_take", interrupted)
    counted = [gifts.step(0.05).counted for _ in range(4)]
    assert met == [2] and sum(counted) == 1
    assert learned_kinds(store.get_many) == {"user": True, "item": False}
    assert told(gifts) == {"user_id": pa.string(), "giver": pa.string(), "item_id": pa.int64()}


def told(worker: StreamWorker) -> dict[str, Any]:
    """Return the types by which *worker* judges."""
    return worker._id_types
