"""Scored on Spark, a table has the rows, the scores and the refusals that it has here; it needs Java."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from tests.pipelines.scoring.small_scoring import rows_asking, scored_rows, scoring, written

from orita.features.config import FeatureSection, SparkConfig
from orita.features.spark import spark_session
from orita.pipelines.config import DataConfig
from orita.pipelines.scoring import ScoreOptions, score_table, spark
from orita.pipelines.workspace import Workspace

pytest.importorskip("pyspark", reason="PySpark is not installed: pip install 'orita[spark]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("java") is None, reason="Java is not installed: apt-get install openjdk-17-jre-headless"
    ),
    pytest.mark.timeout(600),
]

SMALL = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.log.level": "OFF",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
CONFIG = SparkConfig(master="local[2]", driver_memory="1g", settings=SMALL)


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """Keep one session of two workers for all tests."""
    started = spark_session(CONFIG)
    yield
    started.stop()


@pytest.fixture
def clustered(served: Workspace) -> Workspace:
    """The surroundings with that session."""
    return replace(served, data=DataConfig(feature_engineering=FeatureSection(spark=CONFIG)))


def broken_rows() -> list[dict[str, Any]]:
    """Return rows some of which cannot be scored."""
    rows = rows_asking(60)
    rows[3]["user_id"], rows[20]["timestamp"], rows[41]["device"] = None, None, "toaster"
    return rows


def compared(clustered: Workspace, file: Path, folder: Path, **options: Any) -> None:
    """Score *file* here and there, and compare rows, refusals and counts."""
    here = scoring(clustered, file, folder / "here", **options).to_dict()
    there = scoring(clustered, file, folder / "there", engine="spark", **options).to_dict()
    assert scored_rows(folder / "there").equals(scored_rows(folder / "here"))
    for name in ("rows", "quarantine", "cold_start", "tables"):
        assert there[name] == here[name], name
    bad = [pq.read_table(folder / where / "_quarantine") for where in ("here", "there")]
    assert bad[0].equals(bad[1])


def test_spark_scores_what_history_scores(clustered: Workspace, tmp_path: Path) -> None:
    """Rows of several files, in the order of the input, in parts of the same size, with copies."""
    (tmp_path / "in").mkdir()
    written(tmp_path / "in" / "a b%20.parquet", broken_rows()[:25])
    written(tmp_path / "in" / "b.parquet", broken_rows()[25:])
    compared(clustered, tmp_path / "in", tmp_path, part_rows=17, keep=("order",))


def test_spark_keeps_the_best_of_text(clustered: Workspace, tmp_path: Path) -> None:
    """A CSV file, of which each user's best rows are kept."""
    pc.write_csv(pa.Table.from_pylist(broken_rows()), tmp_path / "rows.csv")
    compared(clustered, tmp_path / "rows.csv", tmp_path, part_rows=17, top=2)


def test_on_spark_too_a_kill_loses_nothing(
    clustered: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended between two steps, it goes on with the next, and the rows are those of an undisturbed run."""
    monkeypatch.setattr(spark, "_STEP_PARTS", 1)
    file = written(tmp_path / "rows.parquet", broken_rows())
    options = ScoreOptions(str(file), tmp_path / "out", part_rows=25, engine="spark")

    def killed(progressed: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_table(clustered, options, killed)
    report = score_table(clustered, options)
    assert report.rows == 35
    scoring(clustered, file, tmp_path / "here", part_rows=25)
    assert scored_rows(tmp_path / "out").equals(scored_rows(tmp_path / "here"))
