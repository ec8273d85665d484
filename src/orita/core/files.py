"""Files that are either wholly there or not at all, also after a kill or a power cut."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["PARTIAL", "atomic_directory", "atomic_file", "remove_leftovers", "sync_directory"]

PARTIAL = ".partial-"
"""How the names of what is not whole yet begin."""


def sync_directory(folder: Path) -> None:
    """Make the names in *folder* durable (POSIX: a rename is durable once its folder is synced)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write; on success it is synced and takes the place of *path*.

    Args:
        path: the file; its folder is made where there is none.
        alone: whether nobody else can be writing *path*. Its temporary name is then always the same, so that whoever
            comes after a killed writer writes over what that one left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if alone:
        partial = path.parent / f"{PARTIAL}{path.name}"
    else:
        with _named(path):
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL, suffix=path.suffix)
        os.close(descriptor)
        partial = Path(name)
    try:
        with _named(path):
            yield partial
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.chmod(0o644)
            partial.replace(path)
            sync_directory(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let errors name *path*: a temporary name tells nobody anything, and a write that finds no room tells no name."""
    try:
        yield
    except OSError as error:
        if error.filename is None or Path(os.fsdecode(error.filename)).name.startswith(PARTIAL):
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success its files are synced and it becomes *path*.

    A folder already at *path* is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=PARTIAL))
    try:
        yield partial
        for file in sorted(partial.rglob("*")):
            if file.is_file():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
        partial.chmod(0o755)
        if path.exists():
            retired = Path(tempfile.mkdtemp(dir=path.parent, prefix=PARTIAL))
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
    found = list(folder.glob(f"{PARTIAL}*{suffix}")) if folder.is_dir() else []
    for partial in found:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
    return len(found)
