"""What holds for all tests."""

from __future__ import annotations

import multiprocessing.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.left_behind import nothing_stays
from tests.postgres_server import MISSING, postgres_programs, postgres_server
from tests.registry_copies import copied_registries

# Workers share the cores, and threads of OpenMP that wait for one another keep them busy: one each, children included.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is slow, and that is no failure.
settings.register_profile("orita", deadline=None)
settings.load_profile("orita")

_CACHES = ("torchinductor_",)
"""What libraries keep among the temporary files from one process to the next."""

_LONGEST = ("cli/test_commands", "spark/test_spark_features", "test_parity_online", "cli/test_kills", "test_sink_kills")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is alone with one of them in the end."""
    items.sort(key=lambda item: next((n for n, name in enumerate(_LONGEST) if name in item.nodeid), len(_LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def _no_temporary_files_stay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give temporary files, those of processes that tests start too, a folder that is empty in the end."""
    tmp_path_factory.getbasetemp()  # pytest keeps its own for a while,
    multiprocessing.util.get_temp_dir()  # and Python that of the process until it ends: neither is in the folder
    with tempfile.TemporaryDirectory(prefix="orita-tests-") as name, pytest.MonkeyPatch.context() as patch:
        Path(name).chmod(0o711)  # PostgreSQL is another user
        patch.setenv("TMPDIR", name)
        patch.setattr(tempfile, "tempdir", name)
        yield
        left = sorted(entry.name for entry in Path(name).iterdir() if not entry.name.startswith(_CACHES))
        assert not left, f"left behind among the temporary files: {', '.join(left)}"


@pytest.fixture(scope="session", autouse=True)
def _copied_registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let MLflow migrate one registry a process, not one a test."""
    with copied_registries(tmp_path_factory.mktemp("registry") / "mlflow.db"):
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Yield the address of a PostgreSQL server, without a database."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip(MISSING)
    with postgres_server(programs) as address:
        yield address


@pytest.fixture(scope="session")
def control_database(postgres: str) -> str:
    """Return the address of a PostgreSQL database of this process."""
    import psycopg  # most tests need none

    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE control")
    return f"{postgres}/control"


@pytest.fixture
def empty_database(control_database: str) -> str:
    """Return the address of that database, with nothing in it."""
    import psycopg

    with psycopg.connect(control_database, autocommit=True) as connection:  # one a test takes half a second to go
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return control_database


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """Leave the process to the next test as this one found it, whatever the order."""
    with nothing_stays():
        yield
