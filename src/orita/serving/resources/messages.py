"""What ``/api/v1/models`` takes and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from orita.serving.http.refusal import Refused
from orita.serving.resources.known import KnownModel, Stage, created_at

__all__ = [
    "MOST_MODELS",
    "MOST_OFFSET",
    "MOST_TAGS",
    "PAGE",
    "Model",
    "ModelPage",
    "ModelUpdate",
    "Page",
    "model_of",
    "page_of",
]

MOST_MODELS = 100
"""Most models of one page."""

MOST_TAGS = 50
"""Most tags of one model."""

PAGE = 20
"""Models of a page where no limit is given."""

MOST_OFFSET = 1_000_000
"""Most models that a page may leave out."""

Description = Annotated[str, msgspec.Meta(max_length=2000)]
TagName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
TagValue = Annotated[str, msgspec.Meta(max_length=256)]


class Model(msgspec.Struct, frozen=True):
    """A model.

    Attributes:
        id: its UUID.
        name: the system that it is a model of.
        version: such as ``v1.2.0``.
        type: such as ``two_tower``.
        stage: ``production``, it is deployed; ``available``, it is in the package store; ``candidate``, it is
            registered and was never promoted; ``retired``, it is out of use.
        accuracy: on its own test rows, null where it was not measured.
        metrics: figures on its own test rows by name.
        created_at: when it was trained.
        deployed_at: since when it is deployed, null where it is not.
        retired_at: since when it is out of use, null where it is not.
        run_id: the run that made it, empty where there was none.
        feature_schema_version: of the features it reads.
        description: what people say of it.
        tags: texts by name.
    """

    id: str
    name: str
    version: str
    type: str
    stage: Stage
    accuracy: float | None
    metrics: dict[str, float | None]
    created_at: datetime
    deployed_at: datetime | None
    retired_at: datetime | None
    run_id: str
    feature_schema_version: str
    description: str
    tags: dict[str, str]


class ModelPage(msgspec.Struct, frozen=True):
    """Some models, the newest version first.

    Attributes:
        models: those of this page.
        total: how many there are on all pages.
        limit: most of a page.
        offset: how many come before this page.
        next_offset: the offset of the next page, null after the last.
    """

    models: list[Model]
    total: int
    limit: int
    offset: int
    next_offset: int | None


class ModelUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be so of a model; its card and its figures never change.

    Attributes:
        description: what it is, in words; it replaces what was said before.
        tags: texts by name, at most 50; they replace those before.
        stage: ``production`` deploys it, ``retired`` puts it out of use, ``available`` takes that back; left out or
            null, it stays where it stands.
    """

    description: Description
    tags: dict[TagName, TagValue]
    stage: Literal["production", "available", "retired"] | None = None


class Page(msgspec.Struct, frozen=True):
    """Which models of a list are wanted."""

    limit: int
    offset: int


def page_of(limit: str | int | None, offset: str | int | None) -> Page:
    """Return the page that is asked for.

    Args:
        limit: 1 to 100 models; None: 20.
        offset: how many to leave out, 0 to 1,000,000; None: 0.

    Raises:
        Refused: 422, one of them is something else.
    """
    return Page(
        _number("limit", PAGE if limit is None else limit, 1, MOST_MODELS),
        _number("offset", 0 if offset is None else offset, 0, MOST_OFFSET),
    )


def model_of(known: KnownModel) -> Model:
    """Return *known* as it is answered."""
    card, record = known.metadata, known.record
    return Model(
        id=known.id,
        name=known.system,
        version=known.version,
        type=card.model_type,
        stage=known.stage,
        accuracy=known.accuracy,
        metrics=dict(card.metrics),
        created_at=created_at(card),
        deployed_at=known.deployed_at,
        retired_at=record.retired_at if known.stage == "retired" else None,
        run_id=card.mlflow_run_id,
        feature_schema_version=card.feature_schema_version,
        description=record.description,
        tags=dict(record.tags),
    )


def _number(field: str, given: str | int, least: int, most: int) -> int:
    text = str(given)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise Refused(422, "invalid_value", f"{field} has the value {text[:40]!r}, allowed are {least} to {most}.")
    return int(text)
