"""Files that are either wholly there or not at all, also after a kill or a power cut."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_directory", "atomic_file", "remove_leftovers", "sync_directory"]

_PREFIX = ".partial-"


def sync_directory(folder: Path) -> None:
    """Make the names in *folder* durable (POSIX: a rename is durable once its folder is synced)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write; on success it is synced and takes the place of *path*."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX, suffix=path.suffix)
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.chmod(0o644)
        partial.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)  # a write that finds no room does not say where
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success its files are synced and it becomes *path*.

    A folder already at *path* is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=_PREFIX))
    try:
        yield partial
        for file in sorted(partial.rglob("*")):
            if file.is_file():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
        partial.chmod(0o755)
        if path.exists():
            retired = Path(tempfile.mkdtemp(dir=path.parent, prefix=_PREFIX))
            path.replace(retired / "old")
            partial.replace(path)
            shutil.rmtree(retired)
        else:
            partial.replace(path)
        sync_directory(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_leftovers(folder: Path, suffix: str = "") -> int:
    """Delete what killed writers of files that end in *suffix* left in *folder*; return how many there were.

    Only call it where no other writer can be at work.
    """
    found = list(folder.glob(f"{_PREFIX}*{suffix}")) if folder.is_dir() else []
    for partial in found:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
    return len(found)
