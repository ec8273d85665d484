"""``orita shadow``: what it says before there is one, and of a real model beside its copy."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from benchmarks.swap import publish_copy
from tests.cli.small_world import orita, orita_inside, told

from orita.core.clock import to_micros
from orita.core.ids import uuid7
from orita.events.prediction_files import segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame
from orita.project import Project, open_project
from orita.serving.log.segment_file import SegmentFile


def test_no_shadow(tmp_path: Path) -> None:
    """A report of none is refused with what is known."""
    assert "has no shadow. There was none yet" in " ".join(orita_inside(tmp_path, "shadow", "report", code=2).split())
    assert "no shadow '01932'" in orita_inside(tmp_path, "shadow", "report", "01932", code=2)


def test_a_single_look_needs_no_shadow(tmp_path: Path) -> None:
    """With nothing to follow it ends, and says how one begins."""
    done = orita(tmp_path, "shadow", "run", "--once", "--json")
    assert json.loads(done.splitlines()[-1]) == {"shadows": []}


@pytest.mark.slow
def test_a_copy_of_the_champion_is_the_champion(tmp_path: Path) -> None:
    """Trained, published, mirrored; features come from the log, or from the online store where it has not all."""
    told(tmp_path, "run", "all")
    project = open_project(tmp_path)
    champion = next((project.home.packages / "feed").iterdir())
    publish_copy(champion, "v9.0.0")
    from orita.delivery.rollouts import RolloutPlan, Rollouts

    plan = RolloutPlan(strategy="shadow", versions=("v9.0.0",), cpu_percent=100.0)
    rollout = Rollouts(project.home.control).start("feed", plan, actor="test", reason="test")
    _answered(project, champion, left_out=())
    _answered(project, champion, left_out=("user_historical_ctr", "item_ctr"))
    done = json.loads(orita(tmp_path, "shadow", "run", "--once", "--json").splitlines()[-1])
    (shadow,) = done["shadows"]
    assert (shadow["rollout"], shadow["scored"], shadow["failed"], shadow["unread"]) == (rollout.id, 40, 0, 0)
    report = told(tmp_path, "shadow", "report", rollout.id[:13], "--html", str(tmp_path / "shadow.html"))
    (candidate,) = report["candidates"]
    assert candidate["features_from"] == {"log": 20, "store": 20}
    assert candidate["figures"]["tau"]["mean"] == pytest.approx(1.0, abs=1e-6)
    assert candidate["figures"]["largest_shift"]["mean"] == pytest.approx(0.0, abs=1e-6)
    assert "<svg" in (tmp_path / "shadow.html").read_text()
    shutil.rmtree(champion.parent / "v9.0.0")


def _answered(project: Project, champion: Path, left_out: tuple[str, ...]) -> None:
    """Log twenty answers of the champion without some of its features."""
    package, features = project.load_package(champion), project.online_features()
    features.refresh()
    reader, rng = features.reader(package.schema), np.random.default_rng(len(left_out))
    kept = [f for f, name in enumerate(package.schema.names) if name not in left_out]
    now = datetime.now(UTC)
    names = tuple(package.schema.names[f] for f in kept)
    header = SegmentHeader(f"{now.date()}-{uuid7()}", now.date(), "feed", package.version, names)
    segment = SegmentFile(segment_folder(project.home), header)
    for number in range(20):
        at, user = to_micros(datetime.now(UTC)), int(rng.integers(300))
        items = rng.choice(400, 30, replace=False).tolist()
        x_NF = reader.matrix(user, items, {"device": "mobile"}, at)
        scores_N = package.score_user(user, items, x_NF)
        logged = ScoredRequest(
            at_micros=at,
            as_of_micros=at,
            request_id=uuid7(),
            salt=number,
            user_id=user,
            item_ids=items,
            latency_ms=2.0,
            scores=scores_N.tobytes(),
            ranks=np.arange(1, 31, dtype=np.int32).tobytes(),
            features=np.ascontiguousarray(x_NF[:, kept]).tobytes(),
        )
        segment.append(encode_frame(logged))
    segment.sync()
    segment.close()
    features.close()
