"""How reads are brought together in exchanges, and what is said where Spark cannot run: no Java is needed for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.features.shapes import expressions_plan
from tests.features.shapes_roles import roles_plan
from tests.features.small_system import write_jsonl
from typer.testing import CliRunner

from orita.cli import feature_values  # noqa: F401 - it registers its commands
from orita.cli.app import app
from orita.core.errors import MissingExtra, UserError
from orita.features.spark import SparkConfig, spark_session
from orita.features.spark.steps import steps_of


def test_a_longer_key_needs_no_exchange_of_its_own() -> None:
    """What is read by a pair is done where one of the pair has come together already; every read is done once."""
    steps = {step.columns: step.reads for step in steps_of(roles_plan())}
    assert set(steps) == {(), ("payee_id",), ("payer_id",), ("bank", "branch")}
    done = [read for reads in steps.values() for read, _ in reads]
    assert len(done) == len(set(done))
    aggregates = roles_plan().aggregates
    assert {roles_plan().place(a)[0] for a in aggregates} == {roles_plan().reads.index(read) for read in done}


def test_events_come_by_the_columns_that_hold_what_rows_ask_by() -> None:
    """A role reads the other's events by its own id, and a source that names a column otherwise by that name."""
    found = {
        (read.record.name, tuple(e.name for e in read.entities)): (step.columns, events)
        for step in steps_of(roles_plan())
        for read, events in step.reads
    }
    assert found["payer", ("payee",)] == (("payee_id",), ("payer_id",))
    assert found["logins:payer", ("payer",)] == (("payer_id",), ("holder_id",))
    assert found["logins:branch", ("branch",)] == (("bank", "branch"), ("bank_code", "branch"))
    (columns, events), (_, turned) = found["payer_payee", ("payer", "payee")], found["payer_payee", ("payee", "payer")]
    assert columns == events
    assert turned != events


def test_what_has_no_key_comes_to_one_place_alone() -> None:
    """A key of no columns is not taken for the beginning of every key: only what needs one worker goes to one."""
    steps = {step.columns: [read.record.name for read, _ in step.reads] for step in steps_of(expressions_plan())}
    assert steps[()] == ["all"]
    assert len(steps) == 3


def test_a_machine_without_java_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no Java the sentence is the line that installs it, also where JAVA_HOME says a wrong place."""
    pytest.importorskip("pyspark")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=r"no Java on the PATH.*apt-get install openjdk-17-jre-headless"):
        spark_session()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MissingExtra, match=f"no Java in JAVA_HOME={tmp_path}"):
        spark_session()


def test_the_command_says_what_is_missing_for_spark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`features read --engine spark` without PySpark or Java is the line that installs it."""

    def read(*arguments: str) -> None:
        folder = ["-p", str(tmp_path), "features", "read", *arguments]
        CliRunner().invoke(app, ["-q", *folder, "--engine", "spark"], catch_exceptions=False)

    rows = str(write_jsonl(tmp_path / "rows.jsonl", [{"user_id": 1, "item_id": 2, "timestamp": "2024-11-20"}]))
    with pytest.raises(UserError, match="--engine spark is for --rows FILE"):
        read("1", "2")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "pyspark", None)
        with pytest.raises(MissingExtra, match=r"pyspark is not installed: pip install 'orita\[spark\]'"):
            read("--rows", rows)
    pytest.importorskip("pyspark")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=r"no Java on the PATH.*apt-get install openjdk-17-jre-headless"):
        read("--rows", rows)


def test_a_memory_that_spark_cannot_read_is_refused() -> None:
    """The driver's memory is a number and m or g."""
    with pytest.raises(ValueError, match="driver_memory"):
        SparkConfig(driver_memory="4 GB")
