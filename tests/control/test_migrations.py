"""The schema grows by steps: what the steps make is what is used, and state of before is brought along."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from orita.control.database import ControlDatabase
from orita.control.deployments import DEPLOYMENT, Deployment, Deployments
from orita.control.events import ControlLog
from orita.control.migrations import VERSION_TABLE
from orita.control.model_records import MODELS, ModelRecord, ModelRecords
from orita.control.replay import rebuild
from orita.control.tables import METADATA

AT = datetime(2024, 11, 15, 10, 30, 0, 5, tzinfo=UTC)
MICROS = 1_731_666_600_000_005

OLD = ("deployments", "model_records")
BEFORE = """
CREATE TABLE deployments (tenant TEXT NOT NULL, system TEXT NOT NULL, sequence BIGINT NOT NULL, kind TEXT NOT NULL,
    version TEXT NOT NULL, at_micros BIGINT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (tenant, system, sequence));
CREATE TABLE model_records (tenant TEXT NOT NULL, system TEXT NOT NULL, sequence BIGINT NOT NULL, version TEXT NOT NULL,
    description TEXT NOT NULL, tags TEXT NOT NULL, retired_micros BIGINT, at_micros BIGINT NOT NULL,
    actor TEXT NOT NULL, PRIMARY KEY (tenant, system, sequence));
"""
"""What Orita made before control state was events."""


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Return control state as it was written before: two deployments and a rollback, and a retired model."""
    file = tmp_path / "control.db"
    connection = sqlite3.connect(file)
    connection.executescript(BEFORE)
    for number, (kind, version) in enumerate([("deploy", "v1"), ("deploy", "v2"), ("rollback", "v1")], start=1):
        row = ("default", "feed", number, kind, version, MICROS + number, "ana", f"reason {number}")
        connection.execute("INSERT INTO deployments VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.execute("INSERT INTO deployments VALUES ('acme', 'ads', 1, 'deploy', 'v7', ?, 'ben', '')", (MICROS + 9,))
    told = ("default", "feed", 1, "v2", "worse", '{"team": "a"}', MICROS, MICROS + 4, "ana")
    connection.execute("INSERT INTO model_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", told)
    connection.commit()
    connection.close()
    return file


def test_the_steps_make_what_is_used(where: Path | str) -> None:
    """The tables of the last step are those that the code names, column by column."""
    with ControlDatabase(where).writing() as connection:
        options = {"version_table": VERSION_TABLE, "include_name": lambda name, *_: name not in OLD}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []


def test_state_of_before_is_brought_along(before: Path) -> None:
    """Every deployment and record is there, in its order and of its tenant, and decisions go on from there."""
    deployments = Deployments(before)
    history = deployments.history("feed")
    assert [(each.sequence, each.kind, each.version, each.reason) for each in history] == [
        (1, "deploy", "v1", "reason 1"),
        (2, "deploy", "v2", "reason 2"),
        (3, "rollback", "v1", "reason 3"),
    ]
    assert deployments.current("feed") == Deployment(
        3, "feed", "v1", AT.replace(microsecond=8), "ana", "reason 3", "rollback"
    )
    assert deployments.lineage("feed") == ["v1"]
    assert ModelRecords(before).of("feed") == {"v2": ModelRecord("worse", {"team": "a"}, AT)}
    assert Deployments(before, "acme").lineage("ads") == ["v7"]
    assert deployments.deploy("feed", "v3", actor="ben", reason="better", expected_sequence=3).sequence == 4
    assert deployments.lineage("feed") == ["v1", "v3"]
    log = ControlLog(before)
    assert rebuild(log, {kind.name: kind for kind in (DEPLOYMENT, MODELS)}).different == ()
    assert [event.position for event in log.events()] == [1, 2, 3, 4, 6]  # the fifth is another tenant's


def test_one_of_before_writes_where_nobody_looks_no_more(before: Path) -> None:
    """A process of before reads what it knew, and is told to upgrade when it writes."""
    Deployments(before).deploy("feed", "v3", actor="ben", reason="")
    connection = sqlite3.connect(before)
    try:
        assert connection.execute("SELECT count(*) FROM deployments").fetchone() == (4,)
        with pytest.raises(sqlite3.IntegrityError, match="a later Orita has taken over"):
            connection.execute("INSERT INTO deployments VALUES ('default', 'feed', 4, 'deploy', 'v9', 1, 'a', 'b')")
    finally:
        connection.close()


def test_clocks_that_went_back(tmp_path: Path) -> None:
    """Of a thing of before each decision stays the next, whatever times they have; a replay agrees."""
    file = tmp_path / "control.db"
    connection = sqlite3.connect(file)
    connection.executescript(BEFORE)
    for number, (version, at) in enumerate([("v1", 100), ("v2", 50), ("v3", 70)], start=1):
        row = ("default", "feed", number, "deploy", version, at, "ana", "")
        connection.execute("INSERT INTO deployments VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    deployments, log = Deployments(file), ControlLog(file)
    assert [(each.sequence, each.version) for each in deployments.history("feed")] == [(1, "v1"), (2, "v2"), (3, "v3")]
    assert deployments.lineage("feed") == ["v1", "v2", "v3"]
    assert rebuild(log, {"deployment": DEPLOYMENT}).different == ()
    assert deployments.lineage("feed") == ["v1", "v2", "v3"]


def test_one_of_before_does_not_begin_anew(tmp_path: Path) -> None:
    """In state that was never one of before, a process of before finds its tables, and may not write there either."""
    Deployments(tmp_path / "control.db").deploy("feed", "v1", actor="ana", reason="")
    connection = sqlite3.connect(tmp_path / "control.db")
    try:
        for table in OLD:
            columns = connection.execute(f"SELECT count(*) FROM pragma_table_info('{table}')").fetchone()[0]
            with pytest.raises(sqlite3.IntegrityError, match="a later Orita has taken over"):
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('1' * columns)})")
    finally:
        connection.close()


def test_neighbours_in_a_database(empty_database: str) -> None:
    """MLflow and others that Alembic keeps may be in the same database, and have tables of our old names."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('of another')")
        connection.execute("CREATE TABLE deployments (id INT)")
    assert Deployments(empty_database).deploy("feed", "v1", actor="ana", reason="").sequence == 1
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("of another",)]


def test_writers_wait_whatever_the_server_is_set_to(empty_database: str) -> None:
    """A server whose transactions see one moment by default lets no writer decide on what is past."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("ALTER DATABASE control SET default_transaction_isolation = 'repeatable read'")
    try:
        test_many_may_come_first(empty_database)
    finally:
        with psycopg.connect(empty_database, autocommit=True) as connection:
            connection.execute("ALTER DATABASE control RESET default_transaction_isolation")


def test_many_may_come_first(where: Path | str) -> None:
    """Of processes that begin together one makes the tables, and the others wait for it."""
    failed: list[BaseException] = []

    def begin(number: int) -> None:
        try:
            Deployments(where).deploy("feed", f"v{number}", actor="a", reason="b")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(Deployments(where).history("feed")) == 8
