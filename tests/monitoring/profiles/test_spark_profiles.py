"""Profiled on Spark, rows have the figures that they have here; it needs Java."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from tests.monitoring.profiles.test_stored_profiles import rows_of

from orita.features.config import SparkConfig
from orita.features.spark import spark_session
from orita.monitoring.profiles.profiler import Slicing, profile_rows, rolled_up
from orita.monitoring.profiles.reference import reference_profile
from orita.monitoring.profiles.spark import spark_profiles

pytest.importorskip("pyspark", reason="PySpark is not installed: pip install 'orita[spark]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("java") is None, reason="Java is not installed: apt-get install openjdk-17-jre-headless"
    ),
    pytest.mark.timeout(600),
]

SMALL = {"spark.sql.shuffle.partitions": "2", "spark.sql.adaptive.enabled": "false", "spark.log.level": "OFF"}


def test_partitions_merge_to_what_rows_are_here() -> None:
    """By device and hour, over four partitions, counted in the bins of a reference."""
    table, slicing = rows_of(), Slicing("device", "at", timedelta(hours=6))
    reference = reference_profile(lambda: rows_of(seed=9).to_batches())
    bins = {name: column.binned.bins for name, column in reference.columns.items() if column.binned is not None}
    here = profile_rows(table.to_batches(), slicing=slicing, bins=bins)
    session = spark_session(SparkConfig(master="local[2]", driver_memory="1g", settings=SMALL))
    try:
        frame = session.createDataFrame(table).repartition(4)
        there = spark_profiles(frame, slicing=slicing, bins=bins)
    finally:
        session.stop()
    assert {key: part.rows for key, part in there.items()} == {key: part.rows for key, part in here.parts.items()}
    one, other = here.whole(), next(iter(rolled_up(there, segments=False).values()))
    for name, column in one.columns.items():
        found = other.columns[name]
        assert (found.rows, found.missing) == (column.rows, column.missing)
        assert found.moments.mean == pytest.approx(column.moments.mean, nan_ok=True)
        assert found.distinct.estimate() == pytest.approx(column.distinct.estimate())
        assert found.binned is not None
        assert column.binned is not None
        assert found.binned.cells.tolist() == column.binned.cells.tolist()
