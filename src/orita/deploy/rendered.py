"""Rendered files: their mark, how YAML is written, and how they come into a folder or are compared with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from orita.core.errors import UserError
from orita.core.files import atomic_file

__all__ = ["MARK", "RenderedFile", "differing", "to_yaml", "write"]

MARK = "Rendered by `orita render`"
"""What tells a file of ours, which may be replaced, from somebody's own; within the first 2,000 characters."""

_WIDTH = 110


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """A file below the folder that is rendered: its path with ``/``, and its text."""

    path: str
    text: str

    def __post_init__(self) -> None:
        assert not PurePosixPath(self.path).is_absolute() and ".." not in PurePosixPath(self.path).parts
        assert MARK in self.text[:2000], f"{self.path} has no mark"


def to_yaml(about: str, *documents: Any) -> str:
    """Return *documents* as YAML under a comment: the mark, and *about*, one sentence or several lines."""
    head = "".join(f"# {line}\n" if line else "#\n" for line in [f"{MARK} from orita.yaml.", *about.splitlines()])
    parts = [
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH) for document in documents
    ]
    return head + "---\n".join(parts)


class _Dumper(yaml.SafeDumper):
    """Writes every list and mapping out: the same one in two places is no alias."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below their key, as people write them."""
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def write(files: Iterable[RenderedFile], folder: Path) -> list[Path]:
    """Put *files* into *folder*, each whole or not at all; return where they are.

    Raises:
        UserError: a file in the way is not a rendered one; nothing was written.
    """
    targets = [(folder / file.path, file.text) for file in files]
    for target, text in targets:
        there = _read(target)
        if there is not None and there != text and MARK not in there[:2000]:
            raise UserError(
                f"{target} was not rendered by Orita, and would be replaced: move it away, or render to another folder."
            )
    for target, text in targets:
        if _read(target) != text:
            with atomic_file(target) as partial:
                partial.write_text(text, encoding="utf-8")
    return [target for target, _ in targets]


def differing(files: Sequence[RenderedFile], folder: Path) -> list[Path]:
    """Return which of *files* are absent from *folder* or otherwise there than they would be written."""
    return [folder / file.path for file in files if _read(folder / file.path) != file.text]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is in the way, and is no text file that may be read: {error}.") from None
