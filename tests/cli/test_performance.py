"""``orita performance``: what a home's log and its clicks say of a model, on the command line."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.cli.small_world import orita_inside, told
from tests.features.small_system import DECLARED, NOW, ingested, small_workspace

from orita.core.clock import to_micros
from orita.events.prediction_files import segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame, encode_header

HERE = ("--home", "home")
REQUESTS, ITEMS = 600, (100, 101, 102, 103)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose model was asked 600 times in ten hours; a click came a minute later, or never."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "orita.yaml").write_text("system: features.py\n")
    (folder / "features.py").write_text(DECLARED)
    workspace, rng = small_workspace(folder), np.random.default_rng(0)
    header = SegmentHeader(f"{NOW.date()}-asked", NOW.date(), "small", "v1.0.0", ())
    frames, events = [encode_header(header)], list[dict[str, object]]()
    for number in range(REQUESTS):
        at = NOW - timedelta(hours=11) + timedelta(minutes=number)
        scores_N = np.sort(rng.uniform(0.1, 0.6, len(ITEMS))).astype(np.float32)[::-1]
        frames.append(encode_frame(_asked(number, to_micros(at), scores_N)))
        clicked = np.flatnonzero(rng.random(len(ITEMS)) < scores_N).tolist()
        events += [_click(number, item, at + timedelta(minutes=1)) for item in clicked]
    path = segment_folder(workspace.home) / f"{header.name}.wal"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(frames))
    ingested(workspace.home, folder, events, workspace.system)
    return folder


def _click(number: int, item: int, at: datetime) -> dict[str, object]:
    return {
        "interaction_id": f"c{number}-{item}",
        "user_id": number,
        "item_id": ITEMS[item],
        "timestamp": at.isoformat(),
        "click": 1,
        "request_id": f"r{number}",
    }


def _asked(number: int, micros: int, scores_N: np.ndarray) -> ScoredRequest:
    return ScoredRequest(
        at_micros=micros,
        as_of_micros=micros,
        request_id=f"r{number}",
        salt=number << 40,
        user_id=number,
        item_ids=list(ITEMS),
        latency_ms=1.0,
        scores=scores_N.tobytes(),
        ranks=np.arange(1, len(ITEMS) + 1, dtype=np.int32).tobytes(),
        features=b"",
    )


def test_silence_counts_where_it_is_said(project: Path) -> None:
    """With clicks alone there is no figure; once what got none is refused, the model is found to be calibrated."""
    found = told(project, *HERE, "performance")
    assert found["joined"]["joined"] == found["parts"][0]["rows"] == found["parts"][0]["clicks"] > 0
    assert found["parts"][0]["auc"] is None
    rule = ("--within", "1h", "--unanswered", "no_click", "--as-of", NOW.isoformat())
    whole = told(project, *HERE, "performance", *rule)["parts"][0]
    assert whole["rows"] == REQUESTS * len(ITEMS)
    assert whole["ctr"]["low"] < whole["mean_score"] < whole["ctr"]["high"]
    assert whole["calibration_error"]["low"] == 0.0
    assert 0.5 < whole["auc"]["low"] < whole["auc"]["value"] < whole["auc"]["high"]


def test_the_last_hours_wait(project: Path) -> None:
    """Predictions whose window is still open are in no figure, and the table says how many there are."""
    rule = ("--within", "4h", "--unanswered", "no_click", "--as-of", NOW.isoformat())
    shown = orita_inside(project, *HERE, "performance", *rule)
    waiting = 4 * sum(NOW - timedelta(hours=11) + timedelta(minutes=n) > NOW - timedelta(hours=4) for n in range(600))
    assert f"{waiting:,} wait for answers still" in shown


def test_slices_and_what_was_expected_of_them(project: Path) -> None:
    """Each slice has its figures, later ones an expectation that holds, and the page has both."""
    rule = ("--within", "1h", "--unanswered", "no_click", "--as-of", NOW.isoformat())
    options = ("--every", "3h", "--estimate", "--html", "quality.html")
    slices = [p for p in told(project, *HERE, "performance", *rule, *options)["parts"] if p["start"]]
    assert slices[0]["estimated"] is None and "needs" in slices[0]["note"]
    last = slices[-2]
    assert last["estimated"]["auc"]["low"] < last["auc"]["value"] < last["estimated"]["auc"]["high"]
    assert "AUC over time" in (project / "quality.html").read_text()


def test_nothing_to_measure_is_a_sentence(project: Path) -> None:
    """A time without answers, and a column that is not there, are refused."""
    assert "no model answered a request" in orita_inside(project, *HERE, "performance", "--since", "2030-01-01", code=2)
    assert "'variantt' is not in the prediction log" in orita_inside(
        project, *HERE, "performance", "--by", "variantt", code=2
    )
