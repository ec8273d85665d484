"""From a configuration to a retriever."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from orita.models.retrieval.config import EaseSection, RetrieverSection
from orita.models.retrieval.ease import Ease
from orita.models.retrieval.factors import Factors
from orita.models.retrieval.popularity import Popularity
from orita.models.retrieval.reranked import Reranked
from orita.models.retrieval.retriever import Retriever
from orita.models.retrieval.scored import ScoredRetriever
from orita.models.retrieval.scorer import Scorer
from orita.models.retrieval.spectral import Spectral
from orita.models.retrieval.traits import GroupLift, KindAffinity, Traits
from orita.models.retrieval.two_tower import TwoTowerRetriever

__all__ = ["RETRIEVERS", "build_reranked", "build_retriever"]


def build_retriever(section: RetrieverSection) -> Retriever:
    """Return the retriever that *section* describes, not yet fitted."""
    return RETRIEVERS[section.type](section)


def build_reranked(
    section: RetrieverSection, groups: Mapping[str, Traits] | None = None, kinds: Mapping[str, Traits] | None = None
) -> ScoredRetriever:
    """Return the reranked retriever, not yet fitted.

    Args:
        section: its ``ease`` chooses the candidates.
        groups: groups of users, such as occupations, by name.
        kinds: kinds of items, such as genres, by name.
    """
    plain = EaseSection(**{**section.ease.model_dump(), "use_weights": False})
    members: list[Scorer] = [Ease(section.ease), Ease(plain), Spectral(section.spectral_directions)]
    members.append(Factors(section.factors))
    members += [GroupLift(traits) for traits in (groups or {}).values()]
    members += [KindAffinity(traits) for traits in (kinds or {}).values()]
    return ScoredRetriever(Reranked(members, section.reranked), max_items=section.ease.max_items)


RETRIEVERS: Mapping[str, Callable[[RetrieverSection], Retriever]] = MappingProxyType(
    {
        "ease": lambda section: ScoredRetriever(Ease(section.ease), max_items=section.ease.max_items),
        "two_tower": lambda section: TwoTowerRetriever(section.two_tower, section.search),
        "factors": lambda section: ScoredRetriever(Factors(section.factors)),
        "popularity": lambda section: ScoredRetriever(Popularity()),
        "reranked": build_reranked,
    }
)
