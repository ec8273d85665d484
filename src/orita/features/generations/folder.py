"""Generations on one machine: a folder each, with an LMDB store, and a file ``CURRENT`` that names the one in use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orita.core.files import atomic_file, remove_leftovers
from orita.core.ids import uuid7
from orita.features.generations.generation import Generation
from orita.features.generations.steps import MOST_CHANGES
from orita.features.stores.lmdb import LmdbStore

__all__ = ["FolderGenerations"]

_POINTER = "CURRENT"
_META = "generation.json"
_BEGUN = "begun.json"


class FolderGenerations:
    """See `Generations`; *folder* is `Home.online` / name of the system."""

    most_changes = MOST_CHANGES
    near = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def current(self) -> Generation | None:
        """Return the generation that readers use, None before the first."""
        name = self._pointed()
        return Generation.from_json((self.folder / name / _META).read_text()) if name else None

    def names(self) -> tuple[str, ...]:
        """Return the names of all there are, the oldest first."""
        return tuple(sorted(path.name for path in self.folder.glob("gen-*")))

    def unfinished(self) -> dict[str, dict[str, Any]]:
        """Return by name what those are made of that were begun and not finished, the oldest first."""
        found = {}
        newest = self._pointed()
        for file in sorted(self.folder.glob(f"gen-*/{_BEGUN}")):
            try:
                if not (file.parent / _META).exists() or file.parent.name > newest:
                    found[file.parent.name] = json.loads(file.read_text())
            except FileNotFoundError:
                continue  # it was retired meanwhile
        return found

    def begin(self, made_of: Mapping[str, object], *, resume: bool) -> str:
        """Return the name of a generation to write; see the contract."""
        for begun, made in self.unfinished().items() if resume else ():
            if made == made_of:
                return begun
        name = f"gen-{uuid7()}"
        with atomic_file(self.folder / name / _BEGUN) as path:
            path.write_text(json.dumps(made_of))
        return name

    def writing(self, name: str) -> LmdbStore:
        """Open the store of a generation, to write it."""
        return LmdbStore(self.folder / name)

    def reading(self, name: str) -> LmdbStore:
        """Open the store of a generation, to read it."""
        return LmdbStore(self.folder / name, readonly=True)

    def finish(self, made: Generation) -> None:
        """Make *made* the generation that readers use, and delete all but it and the one before."""
        before = self.current()
        with atomic_file(self.folder / made.name / _META) as path:
            path.write_text(made.to_json())
        with atomic_file(self.folder / _POINTER) as path:
            path.write_text(made.name)
        self._retire(keep={made.name} | ({before.name} if before else set()))

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _pointed(self) -> str:
        pointer = self.folder / _POINTER
        return pointer.read_text().strip() if pointer.exists() else ""

    def _retire(self, keep: set[str]) -> None:
        remove_leftovers(self.folder)
        for name in self.names():
            if name not in keep:
                shutil.rmtree(self.folder / name)
