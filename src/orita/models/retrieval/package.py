"""A fitted retriever as a folder: plain arrays, tables and graphs, with checksums; reading it executes nothing.

Needs NumPy, SciPy and pyarrow; a reranked one onnxruntime as well. Neither PyTorch nor LightGBM.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orita.core.errors import UserError
from orita.core.files import atomic_directory
from orita.models.package.manifest import verify_manifest, write_manifest
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.members import SCORERS, read_scorer
from orita.models.retrieval.reranked import Reranked
from orita.models.retrieval.retriever import Retriever
from orita.models.retrieval.scored import ScoredRetriever
from orita.models.retrieval.two_tower import TwoTowerRetriever

__all__ = ["READERS", "load_retriever", "write_retriever"]

_FORMAT = 1
_CARD = "retriever.json"


def write_retriever(folder: Path, retriever: Retriever) -> None:
    """Write *retriever* at *folder*, whole or not at all, in place of what was there."""
    with atomic_directory(folder) as partial:
        retriever.export(partial)
        card = {"format": _FORMAT, "type": retriever.type}
        (partial / _CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        write_manifest(partial)


def load_retriever(folder: Path, readers: Mapping[str, Callable[[Path], Retriever]] | None = None) -> Retriever:
    """Return the retriever at *folder*, after its checksums were verified.

    Args:
        folder: what `write_retriever` wrote.
        readers: how to read types of your own, beside `READERS`.

    Raises:
        UserError: a file is changed, missing or extra, or the type is unknown; the sentence names it.
    """
    verify_manifest(folder)
    card = _read_card(folder / _CARD)
    known = {**READERS, **(readers or {})}
    if card.get("format") != _FORMAT or card.get("type") not in known:
        raise UserError(
            f"{folder / _CARD} says format {card.get('format')!r} and type {card.get('type')!r}, "
            f"allowed are {_FORMAT} and {', '.join(known)}."
        )
    return known[card["type"]](folder)


def _read_card(file: Path) -> dict[str, Any]:
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as JSON: {error}.") from None
    if not isinstance(card, dict):
        raise UserError(f"{file} holds a {type(card).__name__}, expected an object with format and type.")
    return card


def _scored(type_: str) -> Callable[[Path], Retriever]:
    def read(folder: Path) -> Retriever:
        catalogue = Catalogue.read(folder)
        return ScoredRetriever(read_scorer(type_, folder, "model", catalogue), catalogue=catalogue)

    return read


def _reranked(folder: Path) -> Retriever:
    catalogue = Catalogue.read(folder)
    return ScoredRetriever(Reranked.read(folder, "model", catalogue), catalogue=catalogue)


READERS: Mapping[str, Callable[[Path], Retriever]] = MappingProxyType(
    {**{type_: _scored(type_) for type_ in SCORERS}, "reranked": _reranked, "two_tower": TwoTowerRetriever.read}
)
