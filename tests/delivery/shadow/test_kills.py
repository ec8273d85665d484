"""Each answer is mirrored once, however often and whenever who mirrors is killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.delivery.shadow.behaving import Behaving
from tests.delivery.shadow.worlds import answer, begun, home_in, open_segment, times
from tests.serving.patience import attempts

from orita.delivery.shadow.follower import ShadowFollower
from orita.delivery.shadow.kept import LogPlace, read_shadow, read_state, shadow_folder
from orita.events.prediction_files import convert_segment
from orita.events.prediction_segment import encode_frame


@pytest.mark.slow
@pytest.mark.parametrize("kills", [8])
def test_each_answer_is_mirrored_once_whenever_the_follower_is_killed(tmp_path: Path, kills: int) -> None:
    """Kill -9 at random moments of scoring and of writing, while a server writes and its segments become Parquet."""
    home, choose = home_in(tmp_path), random.Random(kills)
    rollout = begun(home, "v2.0.0")
    folder = shadow_folder(home, "feed", rollout.id)
    moments = iter(times(rollout, 700 * (kills + 1)))
    written = 0
    for round_ in range(kills):
        segment = open_segment(home, rollout.started_at)
        requests = [answer(written + n, next(moments), items=3, seed=1) for n in range(700)]
        written += len(requests)
        segment.append(b"".join(map(encode_frame, requests)))
        segment.sync()
        before = read_state(folder).place
        follower = subprocess.Popen([sys.executable, "-m", "tests.delivery.shadow.following", str(home.root)])
        try:
            if round_ % 2 == 0:  # in the midst of its work, else while it waits for more
                _await_change(folder, before)
            time.sleep(choose.random() * 2)
        finally:
            follower.kill()
            follower.wait()
        segment.close()
        if choose.random() < 0.5:
            convert_segment(home, segment.path)
    with closing(ShadowFollower(home, "feed", Behaving({"v2.0.0": "same"}))) as last:
        last.catch_up()
    state, rows = read_shadow(folder, ["request_id", "error"])
    assert sorted(rows["request_id"].to_pylist()) == sorted(f"request-1-{n}" for n in range(written))
    assert rows["error"].null_count == written
    assert state.counts["v2.0.0"].scored == written


def _await_change(folder: Path, before: LogPlace) -> None:
    """Wait until something was committed."""
    for _ in attempts(120):
        if read_state(folder).place != before:
            return
    raise AssertionError("nothing was committed")
