"""The folder of scores: one writer at a time, parts that are there whole or not, nothing that nobody knows of."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import UserError
from orita.core.files import atomic_file, remove_leftovers
from orita.events.sources.probe import digest_of
from orita.pipelines.scoring.manifest import MANIFEST, Manifest, Part

__all__ = ["QUARANTINE", "WORK", "alone", "clear", "lacking", "refuse_foreign", "sweep", "write_part"]

QUARANTINE, WORK = "_quarantine", "_orita_work"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold *folder*, which is made where there is none; the system lets go of it when the process ends, however.

    Raises:
        UserError: it is a file, or another process holds it.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: --out names the folder of the scores.")
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another run scores into {folder}: wait until it ends, or choose another folder."
            ) from None
        yield
    finally:
        os.close(held)


def refuse_foreign(folder: Path, source: str) -> None:
    """Refuse a folder that holds what no scoring wrote, and one that is part of the input.

    Raises:
        UserError: it is such.
    """
    if (inputs := Path(source)).is_dir() and folder.resolve().is_relative_to(inputs.resolve()):
        raise UserError(f"--out {folder} is within the input {source}: choose a folder beside it.")
    others = sorted(each.name for each in folder.iterdir() if each.name != WORK)
    if MANIFEST not in others and others:
        raise UserError(f"{folder} holds {others[0]!r}, which no scoring wrote: choose a folder that is empty or new.")


def write_part(folder: Path, name: str, batches: Iterable[pa.RecordBatch | pa.Table], schema: pa.Schema) -> Part:
    """Write the rows of *batches* to the Parquet file *name* of *folder*, wholly or not at all."""
    file, rows = folder / name, 0
    with atomic_file(file) as partial:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write(batch.select(schema.names).cast(schema) if isinstance(batch, pa.Table) else batch)
                rows += len(batch)
        digest, size = digest_of(partial), partial.stat().st_size
    return Part(name, rows, size, digest)


def lacking(folder: Path, manifest: Manifest) -> str | None:
    """Return the name of a file that *manifest* lists and that is gone or of another size; None: all are there."""
    gone = manifest.finished_at and manifest.making["top"] is not None  # the best of each step are needed no more
    held: list[Part] = [] if gone else [part for step in manifest.steps for part in step.parts]
    bad = (part for step in manifest.steps for part in step.quarantine)
    for part in (*held, *manifest.best, *bad):
        file = folder / part.file
        if not file.is_file() or file.stat().st_size != part.bytes:
            return part.file
    return None


def sweep(folder: Path, manifest: Manifest) -> None:
    """Delete what a killed run wrote and no step names."""
    known = {part.file for step in manifest.steps for part in (*step.parts, *step.quarantine)}
    known |= {part.file for part in manifest.parts}
    for place in (folder, folder / QUARANTINE, folder / WORK):
        remove_leftovers(place)
        for file in place.glob("part-*.parquet"):
            if str(file.relative_to(folder)) not in known:
                file.unlink()


def clear(folder: Path) -> None:
    """Delete the work that the output does not need, and the folder of refused rows where there are none."""
    shutil.rmtree(folder / WORK, ignore_errors=True)
    quarantine = folder / QUARANTINE
    if quarantine.is_dir() and not any(quarantine.iterdir()):
        quarantine.rmdir()
