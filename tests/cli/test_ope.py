"""``orita ope``: a candidate on the home's own log, and a policy on a table, on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tests.cli.small_world import orita_inside, told
from tests.features.small_system import DECLARED, NOW, ingested, small_workspace

from orita.control.deployments import Deployments
from orita.core.clock import to_micros
from orita.core.progress import SILENT
from orita.delivery.bandits import SwapExploration
from orita.events.prediction_files import convert_segment, segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame, encode_header
from orita.models.build import build_ranker
from orita.models.config import ModelSection, TrainingSection
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.package import Package, write_package
from orita.models.ranker import FitContext
from orita.pipelines.workspace import Workspace

HERE = ("--home", "home")
PAGES, ITEMS = 900, (100, 101, 102, 103)
EXPLORATION = SwapExploration(share=0.4, positions=4)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose champion v1.0.0 answered 900 feeds, explored two in five, beside one that exchanges two items."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "orita.yaml").write_text("system: features.py\n")
    (folder / "features.py").write_text(DECLARED)
    workspace = small_workspace(folder)
    packages = [published(workspace, *each) for each in (("v1.0.0", (8, 6, 4, 2)), ("v1.1.0", (8, 4, 6, 2)))]
    Deployments(workspace.home.control).deploy("small", "v1.0.0", actor="ada", reason="the first")
    fed(workspace, packages[0], folder)
    return folder


def published(workspace: Workspace, version: str, clicks: Sequence[int]) -> Package:
    """Put a model of popularity where servers look for it: each item was shown ten times, and clicked so often."""
    schema = workspace.system.schema()
    items_N = np.repeat(np.array(ITEMS), 10)
    clicks_N = np.concatenate([np.arange(10) < most for most in clicks]).astype(np.float32)
    x_NF = np.zeros((len(items_N), len(schema)), np.float32)
    rows = Examples(schema, np.arange(len(items_N)), items_N, x_NF, clicks_N, np.arange(len(items_N)))
    ranker = build_ranker("popularity", ModelSection(), TrainingSection())
    ranker.fit(rows, rows, FitContext(SILENT))
    card = ModelMetadata("01890000-0000-7000-8000-000000000000", version, NOW.isoformat(), "", "popularity")
    return write_package(workspace.home.packages / "small" / version, ranker, card, schema, rows)


def fed(workspace: Workspace, package: Package, folder: Path) -> None:
    """Log pages of the champion, on random features, and clicks on the item of the least number, wherever it stood."""
    rng = np.random.default_rng(0)
    names = package.schema.names
    header = SegmentHeader(f"{NOW.date()}-feeds", NOW.date(), "small", package.version, names)
    frames, events = [encode_header(header)], []
    for number in range(PAGES):
        at = NOW - timedelta(hours=12) + timedelta(seconds=40 * number)
        x_NF = rng.random((len(ITEMS), len(names)), np.float32)
        scores_N = package.score_user(number, list(ITEMS), x_NF)
        shown = EXPLORATION.shown(len(ITEMS), rng)
        place_N = np.argsort(-scores_N, kind="stable")[shown.order_N]
        placement_N = EXPLORATION.placements(len(ITEMS))[shown.order_N, np.arange(len(ITEMS))]
        frames.append(
            encode_frame(
                ScoredRequest(
                    at_micros=to_micros(at),
                    as_of_micros=to_micros(at),
                    request_id=f"feed-{number}",
                    salt=number << 40,
                    user_id=number,
                    item_ids=[ITEMS[place] for place in place_N],
                    latency_ms=1.0,
                    scores=scores_N[place_N].tobytes(),
                    ranks=np.arange(1, len(ITEMS) + 1, dtype=np.int32).tobytes(),
                    features=np.ascontiguousarray(x_NF[place_N]).tobytes(),
                    propensities=np.exp(shown.log_propensities_N).astype(np.float32).tobytes(),
                    placements=placement_N.astype(np.float32).tobytes(),
                )
            )
        )
        if number % 3:
            events.append(clicked(number, at))
    events.append({**clicked(PAGES, NOW - timedelta(hours=1)), "click": 0})
    path = segment_folder(workspace.home) / f"{header.name}.wal"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(frames))
    convert_segment(workspace.home, path)
    ingested(workspace.home, folder, events, workspace.system)


def clicked(number: int, at: Any) -> dict[str, Any]:
    """Return a click."""
    return {
        "interaction_id": f"fed{number}",
        "user_id": number,
        "item_id": 100 + number % 4,
        "timestamp": (at + timedelta(minutes=1)).isoformat(),
        "click": 1,
        "dwell_time": 2.0,
        "device": "mobile",
        "request_id": f"feed-{number}",
    }


def test_a_candidate_on_the_home_s_log(project: Path) -> None:
    """The table has every estimator beside what was logged, the page its plots, and the verdict stands in words."""
    shown = orita_inside(project, *HERE, "ope", "log", "--policy", "v1.1.0", "--html", "candidate.html")
    for words in (
        "v1.1.0 on the log of small",
        "as logged",
        "cascade_dr",
        "in the logged order",
        "Enough to decide by.",
    ):
        assert words in shown, shown
    page = (project / "candidate.html").read_text()
    assert "What the policy would have earned" in page and "Gain over what was logged" in page
    assert "://" not in page.split("</style>")[-1]
    found = told(project, *HERE, "ope", "log", "--policy", "v1.1.0", "--within", "1h", "--answers", "100")
    assert (found["logged"], found["candidate"], found["reward"]) == ("v1.0.0", "v1.1.0", "click")
    assert (found["answers"]["used"], found["answers"]["answered"]) == (100, PAGES)
    assert found["found"]["diagnostics"]["rows"] == 100


def test_the_champion_gains_nothing(project: Path) -> None:
    """By its version or its alias."""
    for name in ("champion", "v1.0.0"):  # both without asking the catalogue
        found = told(project, *HERE, "ope", "log", "--policy", name)
        assert found["enough"]
        assert [each["value"] for each in found["found"]["gains"]] == pytest.approx([0] * 7, abs=1e-12)
        assert found["found"]["logged"]["value"] == pytest.approx(found["answers"]["rewarded"] / PAGES)


def test_popularity_by_the_features_that_the_feed_goes_by(project: Path) -> None:
    """A policy without a model: the product of the features that say how popular an item is."""
    overridden = ("--set", "serving.feed.signals.popularity=[item_ctr]")
    found = told(project, *HERE, *overridden, "ope", "log", "--policy", "popularity")
    assert found["candidate"] == "popularity" and not found["enough"]
    shown = orita_inside(project, *HERE, *overridden, "ope", "log", "--policy", "popularity", "--html", "far.html")
    assert "NOT enough to decide by:" in shown and "is never done by logging" in shown
    assert "cascade_dr" not in shown  # a figure that the log does not support is not shown
    page = (project / "far.html").read_text()
    assert "so no value is shown" in page and "What the policy would have earned" not in page and "Support" in page


def test_a_table_of_decisions(tmp_path: Path) -> None:
    """Parquet and CSV, with columns of any names; slates by their id."""
    random = np.random.default_rng(1)
    action_N = random.integers(2, size=4000)
    rows = pa.table(
        {
            "won": (random.random(4000) < np.array([0.2, 0.4])[action_N]).astype(float),
            "chance": np.full(4000, 0.5),
            "candidate": np.array([0.1, 0.9])[action_N],
            "user_id": random.integers(2000, size=4000),
            "list": np.arange(4000) // 2,
            "place": np.arange(4000) % 2,
        }
    )
    pq.write_table(rows, tmp_path / "log.parquet")
    pyarrow.csv.write_csv(rows, tmp_path / "log.csv")
    columns = ("--policy", "candidate", "--reward", "won", "--propensity", "chance", "--unit", "user_id")
    found = told(tmp_path, "ope", "log.parquet", *columns)
    ips = next(each for each in found["estimates"] if each["estimator"] == "ips")
    assert ips["low"] < 0.1 * 0.2 + 0.9 * 0.4 < ips["high"] and found["diagnostics"]["verdict"]["enough"]
    assert told(tmp_path, "ope", "log.csv", *columns)["estimates"] == found["estimates"]
    slates = ("--policy", "candidate", "--reward", "won", "--propensity", "chance")
    shown = orita_inside(
        tmp_path, "ope", "log.csv", *slates, "--slate", "list", "--position", "place", "--html", "a.html"
    )
    assert "slate_ips" in shown and "Enough to decide by." in shown
    assert "Values" in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("log.csv", b"reward,propensity,caf\xe9\n1,0.5,0.5\n", "whose name is not text in UTF-8"),
        ("log.csv", b"reward,propensity\n1,0.5,0.5\n", "cannot be read"),
        ("log.parquet", b"reward,propensity\n1,0.5\n", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    """Latin-1 in a header, rows of other lengths, a CSV file by the name of a Parquet file."""
    (tmp_path / name).write_bytes(content)
    told = orita_inside(tmp_path, "ope", name, "--policy", "propensity", code=2)
    assert sentence in told and name in told


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    """A header alone has no types to be cast: what is missing is rows."""
    (tmp_path / "head.csv").write_text("reward,propensity,candidate\n")
    told = orita_inside(tmp_path, "ope", "head.csv", "--policy", "candidate", code=2)
    assert "the table has no rows: give logged decisions, a row each." in told


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, name: str) -> None:
    """Where it is asked for; one that nobody reads may be there as often as it likes."""
    names = ["reward", "propensity", "candidate", "note", "note"]
    rows = pa.Table.from_arrays([pa.array([1.0, 0.0] * 50), *[pa.array([0.5] * 100)] * 4], names=names)
    write = pyarrow.csv.write_csv if name.endswith(".csv") else pq.write_table
    write(rows, tmp_path / name)
    assert "nough to decide by" in orita_inside(tmp_path, "ope", name, "--policy", "candidate")
    told = orita_inside(tmp_path, "ope", name, "--policy", "note", code=2)
    assert "column 'note' is 2 times in the table: rename or leave out all but one." in told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ope", "nowhere.parquet", "--policy", "a"), "give 'log' for the home's own log"),
        (("ope", "log", "--policy", "champion", "--within", "soon"), "--within"),
        (("ope", "log", "--policy", "champion", "--since", "soon"), "--since is 'soon'"),
        (("ope", "log", "--policy", "champion", "--reward", "likes"), "have no 'likes'"),
        (("--set", "serving.feed.signals.popularity=[]", "ope", "log", "--policy", "popularity"), "no feature tells"),
        (("ope", "log", "--policy", "v0.0.1", "--logged", "v0.0.1"), "v0.0.1 has answered nothing"),
    ],
)
def test_what_cannot_be_asked_is_refused(project: Path, arguments: tuple[str, ...], sentence: str) -> None:
    """One sentence and exit code 2."""
    assert sentence in orita_inside(project, *HERE, *arguments, code=2)
