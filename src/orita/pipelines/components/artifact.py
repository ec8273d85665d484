"""What passes from component to component: a name, a type, where it is, and a digest of its content; plain JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orita.core.home import Home

__all__ = ["TYPES", "Artifact", "FileMark", "Made", "artifact_of", "damage", "digest_of"]

TYPES = (
    "Source",
    "IngestReport",
    "Examples",
    "TrainingSet",
    "Statistics",
    "Schema",
    "Anomalies",
    "TrainedModel",
    "Model",
    "Evaluation",
    "Run",
    "ModelVersion",
    "Blessing",
    "PushedVersion",
    "Predictions",
)
"""The types of what Orita's own components make; a component of yours may name others."""

_ALWAYS_READ = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileMark:
    """One file of an artifact, as it was when it was made.

    Attributes:
        path: relative to the artifact's own path; empty where the artifact is the file.
        size: bytes.
        mtime_ns: when it was last changed, by its file system.
        sha256: of its bytes.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something that a component made, or found.

    Attributes:
        name: under which later components ask for it; unique in its graph.
        type: one of `TYPES`, or of your own.
        uri: a path relative to the home, an absolute path outside of it, or the address of something that is no file.
        digest: stands for the content: what has the same digest is not worked through again.
        facts: a few plain values for people and for later components.
        files: its files, where it is made of files.
    """

    name: str
    type: str
    uri: str
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[FileMark, ...] = ()

    def path(self, home: Home) -> Path:
        """Return where it is on disk."""
        return home.root / self.uri

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Artifact:
        """Return the artifact that `to_dict` described."""
        return cls(**{**content, "files": tuple(FileMark(**mark) for mark in content["files"])})


@dataclass(frozen=True, slots=True)
class Made:
    """What a component hands back for one of its outputs.

    Attributes:
        path: the file or folder, where it is one.
        address: where it is, where it is no file.
        digest: of the content; empty: that of the files, which must be there then.
        facts: plain values.
        watched: whether its files are looked at again before they are taken for unchanged.
    """

    path: Path | None = None
    address: str = ""
    digest: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    watched: bool = True


def digest_of(value: object) -> str:
    """Return a digest of a plain JSON value, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def artifact_of(name: str, type_: str, made: Made, home: Home, moved: tuple[Path, Path] | None = None) -> Artifact:
    """Describe what was made.

    Args:
        name, type_: what it is called, and what it is.
        made: what the component handed back.
        home: paths in it are kept relative, so that it can be moved.
        moved: a folder that will be renamed once everything in it is made, and what it will be called.
    """
    path, uri = made.path, made.address
    marks: tuple[FileMark, ...] = ()
    if path is not None:
        marks = tuple(_marks(path)) if made.watched or not made.digest else ()
        uri = str(_final(path, home, moved))
    digest = made.digest or digest_of([[mark.path, mark.sha256] for mark in marks])
    return Artifact(name, type_, uri, digest, dict(made.facts), marks if made.watched else ())


def _final(path: Path, home: Home, moved: tuple[Path, Path] | None) -> Path:
    if moved is not None and path.is_relative_to(moved[0]):
        path = moved[1] / path.relative_to(moved[0])
    return path.relative_to(home.root) if path.is_relative_to(home.root) else path.absolute()


def damage(artifact: Artifact, home: Home) -> str | None:
    """Return what is wrong with the files of *artifact* in words, None where they are as they were.

    A file of the same size and time of change is taken for the same, unless it is so small (1 MiB) that reading it
    costs nothing; one of another time is read, as a copy of a home has new times.
    """
    base = artifact.path(home)
    for mark in artifact.files:
        file = base / mark.path if mark.path else base
        try:
            found = file.stat()
        except OSError:
            return f"{_shown(file, home)} is gone"
        if found.st_size != mark.size:
            return f"{_shown(file, home)} has {found.st_size:,} bytes, not {mark.size:,}"
        same = found.st_mtime_ns == mark.mtime_ns and mark.size > _ALWAYS_READ
        if not same and _sha256(file) != mark.sha256:
            return f"{_shown(file, home)} was changed"
    return None


def _shown(file: Path, home: Home) -> str:
    return str(file.relative_to(home.root) if file.is_relative_to(home.root) else file)


def _marks(path: Path) -> Iterator[FileMark]:
    for file in _files(path):
        found = file.stat()
        inside = file.relative_to(path).as_posix() if file != path else ""
        yield FileMark(inside, found.st_size, found.st_mtime_ns, _sha256(file))


def _files(path: Path) -> Iterable[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else (path,)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
