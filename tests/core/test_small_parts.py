"""Clock, ids, home, errors, extras: the parts that everyone shares."""

from __future__ import annotations

import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orita.core.clock import ManualClock, from_micros, to_micros
from orita.core.errors import MissingExtra, UserError, closest
from orita.core.extras import require
from orita.core.home import Home
from orita.core.ids import uuid7


def test_ids_are_version_7_and_ordered_by_time() -> None:
    """Ids are RFC 9562 version 7: later ones sort later, and no two are equal."""
    clock = ManualClock(datetime(2024, 1, 1, tzinfo=UTC))
    made = []
    for _ in range(100):
        made.append(uuid7(clock))
        clock.advance(timedelta(milliseconds=1))
    assert made == sorted(made)
    assert {uuid.UUID(text).version for text in made} == {7}
    assert len({uuid7(clock) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "text", ["1970-01-01T00:00:00+00:00", "2024-03-31T01:30:00.000001+01:00", "1969-12-31T23:59:59+00:00"]
)
def test_micros_and_back(text: str) -> None:
    """Microseconds keep every instant exactly, before the epoch and across offsets too."""
    at = datetime.fromisoformat(text)
    assert from_micros(to_micros(at)) == at


def test_a_time_without_an_offset_is_utc() -> None:
    """The contract: a missing offset means UTC."""
    assert to_micros(datetime(1970, 1, 2)) == 86_400_000_000  # noqa: DTZ001


@pytest.mark.parametrize("tenant", ["", "../other", "A", "a" * 64, "a/b", "-a"])
def test_a_tenant_cannot_leave_its_folder(tmp_path: Path, tenant: str) -> None:
    """A tenant's name can never be a path."""
    with pytest.raises(UserError, match="is not a name"):
        Home(tmp_path, tenant)


def test_the_home_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``ORITA_HOME`` names the home; without it, it is .orita in the current folder."""
    monkeypatch.setenv("ORITA_HOME", str(tmp_path / "state"))
    assert Home.default().root == tmp_path / "state"
    monkeypatch.delenv("ORITA_HOME")
    monkeypatch.chdir(tmp_path)
    assert Home.default().root == tmp_path / ".orita"
    assert Home.default(folder=tmp_path / "shop").root == tmp_path / "shop" / ".orita"


def test_a_home_is_a_folder(tmp_path: Path) -> None:
    """A file cannot be a home; the sentence names it."""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is not a folder"):
        Home(tmp_path / "file")


def test_a_missing_part_says_how_to_install_it() -> None:
    """An optional part that is absent fails with the install line."""
    with pytest.raises(MissingExtra, match=r"pip install 'orita\[train\]'"):
        require("no_such_library", extra="train")


def test_the_closest_name_is_offered() -> None:
    """A near miss gets the near name, a far one the list of what exists."""
    assert closest("lightgmb", ["lightgbm", "two_tower"]) == "Did you mean 'lightgbm'?"
    assert closest("x", ["b", "a"]) == "Known: a, b."


def test_import_is_light() -> None:
    """``import orita`` loads no optional part, no array library and starts no thread."""
    code = (
        "import sys, threading, orita; "
        "heavy = {'torch', 'numpy', 'pyarrow', 'duckdb', 'mlflow', 'lightgbm', 'starlette'} & set(sys.modules); "
        "assert not heavy, heavy; assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
