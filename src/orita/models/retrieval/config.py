"""Settings of retrieval: which model finds candidates, and how its vectors are searched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orita.core.config import Section

__all__ = [
    "EaseSection",
    "FactorsSection",
    "RerankSection",
    "RetrieverSection",
    "RetrieverType",
    "SearchSection",
    "TwoTowerRetrievalSection",
]

RetrieverType = Literal["ease", "two_tower", "factors", "popularity", "reranked"]


class EaseSection(Section):
    """Settings of ``type: ease``.

    *l2* is λ, *input_dropout* the share of the input that is thought away, *user_weight_power* α: a user of n items
    weighs n^−α. At most *max_items* items, as it holds the square of that many numbers. *use_weights*: what an item
    of a history says is multiplied by the weight of its interaction.
    """

    l2: Annotated[float, Field(gt=0.0, le=1e6)] = 200.0
    input_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    user_weight_power: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    max_items: Annotated[int, Field(ge=1, le=30_000)] = 10_000
    use_weights: bool = True


class FactorsSection(Section):
    """Settings of ``type: factors``: *unobserved_weight* is α₀, *l2* λ of `orita.models.retrieval.factors`."""

    width: Annotated[int, Field(ge=1, le=1024)] = 32
    rounds: Annotated[int, Field(ge=1, le=1000)] = 8
    unobserved_weight: Annotated[float, Field(gt=0.0, le=1000.0)] = 0.3
    l2: Annotated[float, Field(gt=0.0, le=1000.0)] = 0.01


class SearchSection(Section):
    """How vectors are searched; a missing ``lists`` is 2 · √items.

    ``auto``: exact up to 100,000 items, from there on approximate.
    """

    method: Literal["auto", "exact", "approximate"] = "auto"
    lists: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    probes: Annotated[int, Field(ge=1, le=100_000)] = 64


class TwoTowerRetrievalSection(Section):
    """Settings of ``type: two_tower``: both towers end in vectors of *embedding_dim* numbers and length 1.

    A step tells each of *batch_size* taken items from the others of the batch; a low *temperature* makes it sharper.
    """

    embedding_dim: Annotated[int, Field(ge=1, le=1024)] = 64
    hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 128
    temperature: Annotated[float, Field(gt=0.0, le=10.0)] = 0.1
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 1024
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.005
    weight_decay: Annotated[float, Field(ge=0.0, le=1000.0)] = 1e-4
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3


class RerankSection(Section):
    """Settings of ``type: reranked``: the hold-outs that the trees learn from, and the trees of each bag.

    A share *held_out* of every history is held out *holdouts* times; at most *max_users* users are judged each time.
    """

    candidates: Annotated[int, Field(ge=2, le=10_000)] = 60
    holdouts: Annotated[int, Field(ge=1, le=20)] = 4
    held_out: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.25
    max_users: Annotated[int, Field(ge=1, le=1_000_000)] = 5_000
    bags: Annotated[int, Field(ge=1, le=20)] = 1
    trees: Annotated[int, Field(ge=1, le=5_000)] = 100
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    leaves: Annotated[int, Field(ge=2, le=1024)] = 8
    truncation: Annotated[int, Field(ge=1, le=10_000)] = 20
    min_rows_in_leaf: Annotated[int, Field(ge=1)] = 100
    lambda_l2: Annotated[float, Field(ge=0.0, le=1000.0)] = 20.0
    threads: Annotated[int, Field(ge=1, le=256)] = 2


class RetrieverSection(Section):
    """The ``retriever`` section: a type, and the settings of each type."""

    type: RetrieverType = "ease"
    ease: EaseSection = EaseSection()
    factors: FactorsSection = FactorsSection()
    two_tower: TwoTowerRetrievalSection = TwoTowerRetrievalSection()
    search: SearchSection = SearchSection()
    reranked: RerankSection = RerankSection()
    spectral_directions: Annotated[int, Field(ge=1, le=4096)] = 24
