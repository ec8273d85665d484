"""Opening a registry: indexes are there, once, whoever opens it and whatever ended the one before."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, text
from tests.registry.conftest import create_database
from tests.registry.registering import register

from orita.core.errors import Unavailable
from orita.core.home import Home
from orita.registry.catalogue import Catalogue
from orita.registry.config import RegistryConfig
from orita.registry.indexes import INDEXES, ensure_indexes
from orita.registry.store import Store

psycopg = pytest.importorskip("psycopg")

OPEN = """
import sys
from pathlib import Path
from orita.core.home import Home
from orita.registry.catalogue import Catalogue
from orita.registry.config import RegistryConfig
print(Catalogue(Home(Path(sys.argv[1])), config=RegistryConfig(tracking_uri=sys.argv[2])).runs.begin("feed", "one"))
"""


def opening(home: Path, address: str) -> subprocess.Popen[str]:
    """Begin a process that opens a registry and begins a run."""
    command = [sys.executable, "-c", OPEN, str(home), address]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def indexes(catalogue: Catalogue) -> set[str]:
    """Return the names of the indexes of Orita in a registry."""
    engine = Store(catalogue.home, config=catalogue._store.config).sql_store.engine
    listed = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'orita%'",
        "postgresql": "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'orita%'",
    }
    with engine.connect() as connection:
        return set(connection.execute(text(listed[engine.dialect.name])).scalars())


def test_opening_makes_the_indexes_and_makes_a_lost_one_again(catalogue: Catalogue) -> None:
    """An older registry, or one whose tables a migration made anew, gets what it lacks at the next opening."""
    catalogue.runs.begin("feed", "one")
    assert indexes(catalogue) == set(INDEXES)
    engine = catalogue._store.sql_store.engine
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX orita_tags_value"))
    assert indexes(Catalogue(catalogue.home, config=catalogue._store.config)) == set(INDEXES)


def test_a_user_who_may_not_make_indexes_is_told_and_searches_without(
    postgres: str, postgres_catalogue: Callable[[Path], Catalogue], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody who may read and write but not own the tables is warned, and gets his answers."""
    catalogue = postgres_catalogue(tmp_path / "home")
    run = catalogue.runs.begin("feed", "one")
    address = catalogue._store.config.tracking_uri
    assert address is not None
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP INDEX orita_tags_value")
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO reader")
    reader = Catalogue(
        Home(tmp_path / "other"), config=RegistryConfig(tracking_uri=address.replace("orita@", "reader@"))
    )
    with caplog.at_level(logging.WARNING):
        assert [found.run_id for found in reader.runs.search("feed", "name = 'one'")] == [run]
    assert "searches stay slow" in caplog.text
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP OWNED BY reader")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_several_processes_open_a_new_database_at_once(postgres: str, tmp_path: Path) -> None:
    """Each in a home of its own, as on several machines: one makes the tables, all begin their runs."""
    create_database(postgres, "at_once")
    begun = [opening(tmp_path / str(number), f"{postgres}/at_once") for number in range(2)]
    for process in begun:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
    catalogue = Catalogue(Home(tmp_path / "0"), config=RegistryConfig(tracking_uri=f"{postgres}/at_once"))
    assert len(catalogue.runs.search("feed")) == 2
    assert indexes(catalogue) == set(INDEXES)


@pytest.mark.timeout(600)
def test_a_kill_while_postgresql_makes_the_tables_costs_nothing(postgres: str, tmp_path: Path) -> None:
    """Killed once the first tables are there and the migrations are not: the next opening goes on and succeeds."""
    create_database(postgres, "killed")
    process = opening(tmp_path / "home", f"{postgres}/killed")
    deadline = time.monotonic() + 120
    with psycopg.connect(f"{postgres}/killed", autocommit=True) as connection:
        while time.monotonic() < deadline and process.poll() is None:
            row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
            if row and row[0]:
                break
            time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    catalogue = Catalogue(Home(tmp_path / "home"), config=RegistryConfig(tracking_uri=f"{postgres}/killed"))
    run = catalogue.runs.begin("feed", "after")
    assert [found.run_id for found in catalogue.runs.search("feed")] == [run]


def test_a_server_that_is_away_is_a_sentence(tmp_path: Path) -> None:
    """Where nothing listens, the sentence names the address without the password."""
    address = "postgresql://ada:secret@127.0.0.1:9/registry"
    with pytest.raises(Unavailable, match=r"registry\.tracking_uri") as refused:
        Catalogue(Home(tmp_path / "home"), config=RegistryConfig(tracking_uri=address)).runs.search("feed")
    assert "secret" not in str(refused.value)


def test_a_server_that_is_away_does_not_give_the_password_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow repeats the whole address in what it says; the sentence leaves user and password out of that too."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    config = RegistryConfig(tracking_uri="http://ada:secret@127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9 does not answer") as refused:
        Catalogue(Home(tmp_path / "home"), config=config).versions("feed")
    assert "secret" not in str(refused.value) and "ada" not in str(refused.value)


def test_every_version_is_read_however_many_pages_they_are(
    sqlite_catalogue: Callable[[Path], Catalogue], tmp_path: Path, draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow answers a page at a time; no version is lost behind the first."""
    catalogue = sqlite_catalogue(tmp_path / "home")
    for _ in range(3):
        register(catalogue, draft)
    monkeypatch.setattr("orita.registry.versions._PAGE", 1)
    assert [entry.number for entry in catalogue.versions("feed")] == [3, 2, 1]


def test_versions_are_read_in_as_many_questions_however_many_they_are(
    sqlite_catalogue: Callable[[Path], Catalogue], tmp_path: Path, draft: Path
) -> None:
    """One more version costs no more questions to the database."""
    catalogue, asked = sqlite_catalogue(tmp_path / "home"), []
    for number in range(2):
        register(catalogue, draft, metrics={"auc": 0.5 + number / 10})
    engines = (catalogue._store.sql_store.engine, catalogue._store.client._get_registry_client().store.engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", lambda *_: asked.append(1))
    assert [entry.metrics["auc"] for entry in catalogue.versions("feed")] == [0.6, 0.5]
    few = len(asked)
    for _ in range(3):
        register(catalogue, draft)
    asked.clear()
    assert len(catalogue.versions("feed")) == 5
    assert len(asked) <= few


def test_indexes_are_looked_for_but_not_made_twice(
    sqlite_catalogue: Callable[[Path], Catalogue], tmp_path: Path
) -> None:
    """Where they are, opening asks for them once and writes nothing."""
    catalogue, asked = sqlite_catalogue(tmp_path / "home"), []
    engine = catalogue._store.sql_store.engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    ensure_indexes(engine)
    assert len(asked) == 1
    assert asked[0].startswith("SELECT")
