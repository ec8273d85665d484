"""The rows that are to be scored: which files hold them, under which names, and a digest of what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import UserError
from orita.core.progress import Progress
from orita.events.config import ValidationConfig
from orita.events.lake import Lake
from orita.events.sources.delimited import read_header
from orita.events.sources.opened import FAULT, ROW, TEXT
from orita.events.sources.probe import digest_of, require_readable

__all__ = ["LAKE", "InputFile", "Source", "open_source", "refuse_changed"]

LAKE = "lake:"
"""What the name of a lake table begins with as an input."""

_TEXTS = (".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the input.

    Attributes:
        path: where it is.
        name: its path below the input.
        bytes: how large it is.
        modified_ns: when it was last written, nanoseconds since the Unix epoch.
        digest: SHA-256 of its bytes; of a file of a lake table, which never changes, its name.
    """

    path: str
    name: str
    bytes: int
    modified_ns: int
    digest: str


@dataclass(frozen=True, slots=True)
class Source:
    """The rows to score.

    Attributes:
        kind: how they are kept.
        name: what they are called: a path, or ``lake:NAME@VERSION``.
        files: in the order of their rows.
        schema: names and types of the columns, those of all files together; of text every column is text.
    """

    kind: Literal["parquet", "text", "lake"]
    name: str
    files: tuple[InputFile, ...]
    schema: pa.Schema

    @property
    def digest(self) -> str:
        """A digest of every row and name: equal where the input is the same, wherever it lies."""
        told = [[self.kind, *([self.name] if self.kind == "lake" else [])], *([f.name, f.digest] for f in self.files)]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {"kind": self.kind, "name": self.name, "digest": self.digest, "files": [asdict(f) for f in self.files]}


def open_source(
    named: str, lake: Lake, config: ValidationConfig, known: Sequence[Mapping[str, Any]], progress: Progress
) -> Source:
    """Return the input that *named* means.

    Args:
        named: as of `ScoreOptions.source`.
        lake: where tables are.
        config: how text is written.
        known: files as an earlier manifest tells them; what has not been written since is not read for its digest.
        progress: where to draw the reading.

    Raises:
        NotFound: there is no such file, table or version.
        UserError: there is nothing to score, or a file is not what its name says.
    """
    if named.startswith(LAKE):
        return _table(named.removeprefix(LAKE), lake)
    path = Path(named)
    text = path.with_suffix("") if path.suffix == ".gz" else path
    if path.is_dir():
        found, root = _parquet_files(path), path
    else:
        require_readable(path)
        found, root = [path], path.parent
        if text.suffix not in (*_TEXTS, ".parquet") or (path.suffix == ".gz" and text.suffix == ".parquet"):
            raise UserError(
                f"{path} is of no known format: give a .parquet, .csv or .tsv file (text also as .gz), a folder of "
                "Parquet files, or lake:NAME."
            )
    files = _read(found, root, {each["path"]: each for each in known}, progress)
    if text.suffix in _TEXTS and not path.is_dir():
        return Source(
            "text",
            f"{path.absolute()}",
            files,
            _header(path, "\t" if text.suffix == ".tsv" else config.delimiter, config),
        )
    return Source("parquet", f"{path.absolute()}", files, _united(files))


def refuse_changed(source: Source) -> None:
    """Refuse an input of which a file was written since it was opened.

    Raises:
        UserError: one was, or is gone.
    """
    for file in source.files:
        path = Path(file.path)
        found = path.stat() if path.exists() else None
        if found is None or (found.st_size, found.st_mtime_ns) != (file.bytes, file.modified_ns):
            raise UserError(
                f"{path} was changed while it was scored: what is scored so far is of the old rows. Score it again "
                "with --restart."
            )


def _table(named: str, lake: Lake) -> Source:
    name, given, number = named.partition("@")
    if given and not number.isdecimal():
        raise UserError(f"lake:{named} has the version {number!r}: give a number, such as lake:{name}@3, or none.")
    snapshot = lake.snapshot(name, int(number) if given else None)
    root = lake.home.table(name).absolute()
    files = []
    for file in snapshot.files:
        told, inner = Path(file).stat(), str(Path(file).relative_to(root))
        files.append(InputFile(file, inner, told.st_size, told.st_mtime_ns, inner))
    return Source("lake", f"{LAKE}{name}@{snapshot.version}", tuple(files), _plain(snapshot.schema))


def _parquet_files(folder: Path) -> list[Path]:
    """Return the Parquet files below *folder* by name, without those that are hidden, as other readers take them."""
    if (folder / "_delta_log").is_dir():
        raise UserError(f"{folder} is a lake table, whose files alone do not say what it holds: name it lake:NAME.")
    found = [
        file
        for file in sorted(folder.rglob("*.parquet"))
        if not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    ]
    if not found:
        raise UserError(f"{folder} has no *.parquet file to score: name a file, or a folder of Parquet files.")
    return found


def _read(
    found: Sequence[Path], root: Path, known: Mapping[str, Mapping[str, Any]], progress: Progress
) -> tuple[InputFile, ...]:
    return tuple(_digested(found, root, known, progress))


def _digested(
    found: Sequence[Path], root: Path, known: Mapping[str, Mapping[str, Any]], progress: Progress
) -> Iterator[InputFile]:
    with progress.bar("Digest of the input", total=len(found)) as bar:
        for file in found:
            told, path = file.stat(), str(file.absolute())
            before = known.get(path, {})
            same = (before.get("bytes"), before.get("modified_ns")) == (told.st_size, told.st_mtime_ns)
            digest = str(before["digest"]) if same else digest_of(file)
            yield InputFile(path, str(file.relative_to(root)), told.st_size, told.st_mtime_ns, digest)
            bar.advance()


def _header(file: Path, delimiter: str, config: ValidationConfig) -> pa.Schema:
    names = read_header(file, delimiter, config.max_line_bytes)
    twice = [name for name in names if names.count(name) > 1]
    if taken := [name for name in names if name in (ROW, FAULT, TEXT)] or twice:
        why = "names twice" if twice else "has the column"
        raise UserError(f"{file} {why} {taken[0]!r} in its first line: give the column another name.")
    return pa.schema([(name, pa.string()) for name in names])


def _united(files: Sequence[InputFile]) -> pa.Schema:
    schemas = []
    for file in files:
        try:
            schemas.append(_plain(pq.read_schema(file.path)))
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{file.path} is no Parquet file that can be read: {_line(error)}.") from None
        names = schemas[-1].names
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(f"{file.path} has the column {twice[0]!r} twice: give each column a name of its own.")
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(
            f"the files of the input hold a column in types that do not go together: {_line(error)}. Write them alike."
        ) from None


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return the schema with values in the place of dictionaries of them, and without what is said beside it."""
    kinds = [f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in schema]
    return pa.schema(list(zip(schema.names, kinds, strict=True)))


def _line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
