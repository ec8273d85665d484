"""Scorers by the name of their type: how one that was written is found again."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from orita.core.errors import UserError
from orita.models.package.manifest import Contents
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.ease import Ease
from orita.models.retrieval.factors import Factors
from orita.models.retrieval.popularity import Popularity
from orita.models.retrieval.scorer import Scorer
from orita.models.retrieval.spectral import Spectral
from orita.models.retrieval.traits import GroupLift, KindAffinity

__all__ = ["SCORERS", "read_scorer"]

SCORERS: Mapping[str, type[Scorer]] = MappingProxyType(
    {each.type: each for each in (Ease, Factors, Popularity, Spectral, GroupLift, KindAffinity)}
)


def read_scorer(type_: str, contents: Contents, stem: str, catalogue: Catalogue) -> Scorer:
    """Return the scorer of *type_* that was written into a package under *stem*.

    Raises:
        UserError: there is no such type, or its files are damaged.
    """
    if type_ not in SCORERS:
        raise UserError(f"{contents.folder} names a scorer of type {type_[:40]!a}, allowed are {', '.join(SCORERS)}.")
    return SCORERS[type_].read(contents, stem, catalogue)
