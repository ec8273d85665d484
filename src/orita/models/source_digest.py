"""A digest of the code of a user's own: it changes with the file that declares it and with all that this imports.

Followed are the modules of the user's own, wherever in a file they are imported; nothing is imported for it. Libraries
(the standard one, what is installed in ``site-packages``, Orita) do not count, unless the code is one of them itself:
then its whole package does. Layout and comments do not count. What is not seen: data that code reads, versions of
libraries, modules that are imported by a computed name.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

import orita
from orita.core.errors import UserError

__all__ = ["file_digest", "source_digest"]

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_ORITA = Path(orita.__file__).parent


def source_digest(name: str, code: Callable[..., Any]) -> str:
    """Return 12 hexadecimal digits that change with the source of *code*, a class or a function called *name*.

    Raises:
        UserError: its source is nowhere to be read, so that a change would go unseen.
    """
    code = inspect.unwrap(code)
    file = _file_of(code)
    if file is None:
        raise UserError(
            f"the source of the ranker {name!r} cannot be read, so a change of it would not be seen: declare it in a "
            "Python file."
        )
    own = (code.__module__ or "").partition(".")[0]
    return hashlib.sha256(repr((code.__qualname__, _sources(file, own))).encode()).hexdigest()[:12]


def file_digest(file: Path) -> str:
    """Return 12 hexadecimal digits that change with *file* and the files of the user's own that it imports."""
    return hashlib.sha256(repr(_sources(file.resolve(), "")).encode()).hexdigest()[:12]


def _sources(file: Path, own: str) -> list[str]:
    """Return the digests of *file* and of all that it imports, sorted."""
    told: dict[Path, str] = {}
    waiting = [file]
    while waiting:
        each = waiting.pop()
        if each in told:
            continue
        told[each], imported = _read(each)
        waiting += [found for names in imported for found in _files(names, each, own)]
    return sorted(told.values())


def _file_of(code: Callable[..., Any]) -> Path | None:
    try:
        found = inspect.getsourcefile(code)
    except (TypeError, OSError):  # it is written in C, or nowhere: typed at a prompt
        return None
    return Path(found).resolve() if found and Path(found).is_file() else None


Names = tuple[str, int]
"""A dotted name, and how many dots are before it."""


def _read(file: Path) -> tuple[str, list[Names]]:
    """Return what the code in *file* is, and what it imports."""
    content = file.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # it cannot be imported either: whoever mends it changes it
        return hashlib.sha256(content).hexdigest(), []
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest(), list(_imported(tree))


def _imported(tree: ast.AST) -> Iterator[Names]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = [node.module] if node.module else []
            yield from ((".".join([*parent, alias.name]), node.level) for alias in node.names)


def _files(names: Names, importer: Path, own: str) -> Iterator[Path]:
    """Yield the files of a user's own that are read when *importer* imports *names*: of packages, and of the module."""
    dotted, level = names
    parts = dotted.split(".")
    if level:
        folder = importer.parents[level - 1]
        if (folder / "__init__.py").is_file():
            yield (folder / "__init__.py").resolve()
        spec = PathFinder.find_spec(parts[0], [str(folder)])
    elif parts[0] in sys.stdlib_module_names:
        return
    else:
        spec = _top(parts[0])
    for place in range(1, len(parts) + 1):
        if spec is None or not (level or _counts(spec, own)):
            return
        if spec.origin and spec.origin.endswith(".py"):
            yield Path(spec.origin).resolve()
        if place < len(parts):
            within: Sequence[str] | None = spec.submodule_search_locations
            spec = None if within is None else PathFinder.find_spec(".".join(parts[: place + 1]), list(within))


def _top(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # ValueError: a module that was made by hand and has no spec
        return None


def _counts(spec: ModuleSpec, own: str) -> bool:
    places = [Path(place) for place in (spec.origin, *(spec.submodule_search_locations or ())) if place]
    if any(place.is_relative_to(_ORITA) for place in places):
        return False
    return spec.name.partition(".")[0] == own or not any(_INSTALLED & set(place.parts) for place in places)
