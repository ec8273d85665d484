"""Models of a server: what is told of them, and the calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Unpack
from urllib.parse import quote, urlencode

import msgspec

from orita.client.answers import Ranking
from orita.client.asking import CallOptions
from orita.client.course import Asks, asked
from orita.client.exchange import Call, Course
from orita.client.json_form import read_data, under_its_id, written

__all__ = ["Model", "ModelCalls", "ModelPage", "Stage"]

_PREFIX = "/api/v1/models"
_PAGE = 100  # most models that a server gives at once

Stage = Literal["production", "available", "candidate", "retired"]


class Model(msgspec.Struct, frozen=True):
    """A model.

    Attributes:
        id: its UUID.
        name: the system that it is a model of.
        version: such as ``v1.2.0``.
        type: such as ``two_tower``.
        stage: ``production``, it is deployed; ``available``, its package is there; ``candidate``, it was never
            promoted; ``retired``, it is out of use.
        accuracy: on its own test rows, None where it was not measured.
        metrics: figures on its own test rows by name.
        created_at: when it was trained.
        deployed_at: since when it is deployed, None where it is not.
        retired_at: since when it is out of use, None where it is not.
        run_id: the run that made it, empty where there was none.
        feature_schema_version: of the features it reads.
        description: what people say of it.
        tags: texts by name.
    """

    id: str
    name: str
    version: str
    type: str
    stage: str
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
        next_offset: the offset of the next page, None after the last.
    """

    models: tuple[Model, ...]
    total: int
    limit: int
    offset: int
    next_offset: int | None


_model, _models, _ranking = read_data(Model), read_data(ModelPage), under_its_id(read_data(Ranking))


class ModelCalls(Asks):
    """What can be asked of models; a server that does not tell of them refuses with ``models_hidden``."""

    @asked
    def page(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        stage: Stage | None = None,
        **options: Unpack[CallOptions],
    ) -> Course[ModelPage]:
        """Return some models, the newest version first.

        Args:
            limit: most of them, 1 to 100; by default 20.
            offset: how many to leave out.
            stage: only those that stand there; None: all but the retired.
            options: see `CallOptions`.
        """
        return self._start(_page(limit, offset, stage), options)

    @asked
    def list(self, *, stage: Stage | None = None, **options: Unpack[CallOptions]) -> Course[tuple[Model, ...]]:
        """Return all models, the newest version first.

        Args:
            stage: as of `page`.
            options: see `CallOptions`; the ``timeout`` is that of each 100.
        """
        found: tuple[Model, ...] = ()
        offset: int | None = 0
        while offset is not None:
            page = yield from self._start(_page(_PAGE, offset, stage), options)
            found, offset = found + page.models, page.next_offset
        return found

    @asked
    def get(self, model_id: str, **options: Unpack[CallOptions]) -> Course[Model]:
        """Return one model; one that is not known is refused with ``model_not_found``."""
        return self._start(Call(b"GET", _path(model_id), _model), options)

    @asked
    def update(
        self,
        model_id: str,
        *,
        description: str,
        tags: Mapping[str, str],
        stage: Literal["production", "available", "retired"] | None = None,
        **options: Unpack[CallOptions],
    ) -> Course[Model]:
        """Say what a model is, and return it as it is then. The server decides who may: by default its own machine.

        Args:
            model_id: its id.
            description: in words; it replaces what was said before.
            tags: texts by name; they replace those before.
            stage: ``production`` deploys it, which takes seconds, so give it a ``timeout``; ``retired`` puts it out of
                use; ``available`` takes that back; None: it stays where it stands.
            options: see `CallOptions`.

        Raises:
            Refused: 403, the caller may not; 409, its stage cannot become that one.
        """
        body = written(description=description, tags=tags, stage=stage)
        return self._start(Call(b"PUT", _path(model_id), _model, body), options)

    @asked
    def retire(self, model_id: str, **options: Unpack[CallOptions]) -> Course[Model]:
        """Put a model out of use, and return it; its package stays, and `update` takes it back.

        Raises:
            Refused: 403, the caller may not; 409, it is deployed.
        """
        return self._start(Call(b"DELETE", _path(model_id), _model), options)

    @asked
    def predict(
        self,
        model_id: str,
        user_id: int | str,
        item_ids: Sequence[int | str],
        *,
        context: Mapping[str, object] | None = None,
        objective: Mapping[str, float] | None = None,
        **options: Unpack[CallOptions],
    ) -> Course[Ranking]:
        """Return *item_ids* ranked by this model, deployed or not; else as `Client.predict`.

        Raises:
            Refused: 409, its package is not published, or it reads features that are not known any more; 410, it is
                retired.
        """
        body = written(user_id=user_id, item_ids=item_ids, context=context, objective=objective)
        call = Call(b"POST", f"{_path(model_id)}/predict", _ranking, body)
        return self._start(call, options)


def _page(limit: int | None, offset: int | None, stage: Stage | None) -> Call[ModelPage]:
    given = {"limit": limit, "offset": offset, "stage": stage}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    return Call(b"GET", f"{_PREFIX}?{query}" if query else _PREFIX, _models)


def _path(model_id: str) -> str:
    return f"{_PREFIX}/{quote(model_id, safe='')}"
