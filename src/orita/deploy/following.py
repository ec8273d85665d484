"""A server's own home that follows another: packages, declarations, trusted keys, and which version answers.

python -m orita.deploy.following /shared /var/lib/orita --system feed --every 2

The other home may be on a network's file system, where SQLite's write-ahead log is not safe to read: its control state
is copied, looked at only if it held still meanwhile, and its decisions are appended here. A server here swaps models
when pipelines there promote one, and takes part in rollouts and flags, without a restart. Where control state is in
PostgreSQL (``--control``), servers read it there, and only packages and files are brought.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import structlog

from orita.control.database import ControlDatabase
from orita.control.deployments import Deployments
from orita.control.replication import replicate
from orita.core.errors import OritaError, UserError
from orita.core.files import atomic_directory, atomic_file, remove_leftovers
from orita.core.home import DEFAULT_TENANT, Home
from orita.delivery.rollouts.rollouts import Rollouts

__all__ = ["Followed", "follow_once", "main"]

_log = structlog.stdlib.get_logger("orita.deploy")

_TRIES, _PAUSE = 20, 0.1


@dataclass(frozen=True, slots=True)
class Followed:
    """What one look brought: packages that were copied, files that were, and decisions that were made there."""

    packages: int
    files: int
    decisions: int


def follow_once(source: Home, target: Home, system: str) -> Followed:
    """Bring *target* to where *source* is; what is there already is not touched, and a kill leaves nothing half-done.

    Args:
        source: the home that pipelines write; it is only read. Where its control state is in PostgreSQL, *target* has
            the same, and only packages and files come.
        target: the home of a server, possibly one that runs.
        system: whose packages are brought.

    Raises:
        UserError: *target* has decisions of its own, or *source* changes without a pause.
        OSError: a file of *source* cannot be read.
        Unavailable: control state in PostgreSQL is away.
    """
    with _control_of(source) as control:
        remove_leftovers(target.packages / system)
        packages = sum(_copy_package(source, target, system, version) for version in _needed(control, source, system))
        packages += sum(_copy_if_there(source, target, system, version) for version in _useful(control, source, system))
        files = _copy_files(source.features, target.features) + _copy_files(source.trusted_keys, target.trusted_keys)
        # Last, so that a server never hears of a version whose package is not here yet.
        decisions = 0 if source.control_url else replicate(control, ControlDatabase(target.control), source.tenant)
    return Followed(packages, files, decisions)


def _needed(control: ControlDatabase, source: Home, system: str) -> list[str]:
    """Return the version without which a server cannot answer: the deployed one."""
    return Deployments(control, source.tenant).lineage(system)[-1:]


def _useful(control: ControlDatabase, source: Home, system: str) -> list[str]:
    """Return the versions that a server may use beside: the one before, and those that are tried."""
    before = Deployments(control, source.tenant).lineage(system)[-2:-1]
    tried = [rollout.plan.versions for rollout in Rollouts(control, source.tenant).current(system).live]
    return list(dict.fromkeys([*before, *chain.from_iterable(tried)]))


@contextmanager
def _control_of(source: Home) -> Iterator[ControlDatabase]:
    """Yield the control state of *source*: the database, or a copy of its file that was whole."""
    if source.control_url:
        yield ControlDatabase(source.control_url)
        return
    with tempfile.TemporaryDirectory(prefix="orita-follow-") as folder:
        copy = Path(folder) / source.control_db.name
        if source.control_db.exists():
            _copy_whole(source.control_db, copy)
        yield ControlDatabase(copy)


def _copy_whole(original: Path, copy: Path) -> None:
    for _ in range(_TRIES):
        if _copied_whole(original, copy):
            return
        threading.Event().wait(_PAUSE)
    raise UserError(f"{original} was written all the time for {_TRIES * _PAUSE:.0f} s: look who does.")


def _copied_whole(original: Path, copy: Path) -> bool:
    """Copy a database with its log; return whether neither changed meanwhile and the copy is sound."""
    parts = [(original.with_name(original.name + end), copy.with_name(copy.name + end)) for end in ("", "-wal")]
    before = [_state(part) for part, _ in parts]
    for part, target in parts:
        target.unlink(missing_ok=True)
        try:
            shutil.copyfile(part, target)
        except FileNotFoundError:  # there is a log only while somebody has the database open
            continue
    if [_state(part) for part, _ in parts] != before:
        return False
    connection = sqlite3.connect(copy)
    try:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def _state(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _copy_package(source: Home, target: Home, system: str, version: str) -> int:
    folder = target.packages / system / version
    if folder.exists():
        return 0
    with atomic_directory(folder) as partial:
        shutil.copytree(source.packages / system / version, partial, dirs_exist_ok=True)
    return 1


def _copy_if_there(source: Home, target: Home, system: str, version: str) -> int:
    try:
        return _copy_package(source, target, system, version)
    except FileNotFoundError as error:  # the server stands in for it; what was decided still has to come
        _log.warning("package_not_there", version=version, error=str(error))
        return 0


def _copy_files(source: Path, target: Path) -> int:
    copied = 0
    for file in sorted(source.iterdir()) if source.is_dir() else ():
        if not file.is_file() or file.name.startswith("."):
            continue
        content = file.read_bytes()
        there = target / file.name
        if not there.exists() or there.read_bytes() != content:
            with atomic_file(there) as partial:
                partial.write_bytes(content)
            copied += 1
    return copied


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow as the command line says; return the exit code: 0, or 2 where the last look failed."""
    parser = argparse.ArgumentParser(prog="python -m orita.deploy.following", description="Let a home follow another.")
    parser.add_argument("source", type=Path, help="the home that pipelines write; it is only read")
    parser.add_argument("target", type=Path, help="the home of a server")
    parser.add_argument("--system", required=True, help="whose deployments are followed, such as feed")
    parser.add_argument("--tenant", default=DEFAULT_TENANT)
    parser.add_argument("--control", default="", help="the PostgreSQL database of control state, where it is in one")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two looks")
    parser.add_argument("--once", action="store_true", help="look once, and end")
    given = parser.parse_args(arguments)
    with _stop_asked() as stopping:
        told = ""
        while True:
            source, target = (Home(root, given.tenant, given.control) for root in (given.source, given.target))
            told = _look(source, target, given.system, told)
            if given.once or stopping.wait(given.every):
                return 2 if told else 0


@contextmanager
def _stop_asked() -> Iterator[threading.Event]:
    """Yield what SIGTERM sets, so that it ends a pause and never a copy."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGTERM, before)


def _look(source: Home, target: Home, system: str, told: str) -> str:
    """Follow once; return what was wrong, telling it unless it is *told* already."""
    try:
        brought = follow_once(source, target, system)
    except (OritaError, OSError) as error:
        if str(error) != told:
            _log.error("home_not_followed", alert=True, source=str(source.root), error=str(error))
        return str(error)
    if brought.packages or brought.files or brought.decisions:
        _log.info("home_followed", packages=brought.packages, files=brought.files, decisions=brought.decisions)
    return ""


if __name__ == "__main__":
    sys.exit(main())
