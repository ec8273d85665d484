"""The predict path with a cache before the model, or before features and model (`orita.serving.cache`).

What is kept is scores, with their features where the key is one of ids; order, label and log are made for each request,
so an answer from the cache is logged as any other, and says that it is one. Only answers of level 1 are kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from orita.serving.cache.keys import Scorer, key_of_ids, key_of_values, tags_of, version_tag
from orita.serving.cache.predictions import CachedScores, PredictionCache
from orita.serving.predict.answer import PredictAnswer
from orita.serving.predict.predictor import Predictor
from orita.serving.predict.question import LoadedModel, Question
from orita.serving.predict.requests import Asked
from orita.serving.resilience.contracts import is_failure
from orita.serving.resilience.ladder import Labelled, Level
from orita.serving.resilience.parts import Scored

__all__ = ["CachedPredictor"]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CachedScores).decode


class CachedPredictor:
    """Answers requests from a cache where it can; called by one event loop.

    Args:
        predictor: answers what is not there.
        cache: keeps scores.
        by_ids: whether a request is known by its ids, so that its features are not read again; otherwise by its values.
    """

    def __init__(self, predictor: Predictor, cache: PredictionCache, *, by_ids: bool) -> None:
        self._predictor, self._cache, self._by_ids = predictor, cache, by_ids
        self._version: str | None = None

    async def answer(
        self, asked: Asked, request_id: str, started: float, preview: Mapping[str, object] | None = None
    ) -> PredictAnswer:
        """Return the answer to what was *asked*; see `Predictor.answer` and `Predictor.question`."""
        question = self._predictor.question(asked, preview)
        labelled, hit = await self.labelled(question)
        return self._predictor.finished(question, labelled, request_id, started, cached=hit)

    async def labelled(self, question: Question) -> tuple[Labelled[Scored], bool]:
        """Return the scores of the best level that has some, and whether they were kept.

        Raises:
            Refused: as `Predictor.labelled` does.
        """
        await self._follow(self._predictor.champion)
        return await self._known(question) or (self._predictor.labelled(question), False)

    async def _known(self, question: Question) -> tuple[Labelled[Scored], bool] | None:
        """Return the scores and whether they were kept, None where the cache is not asked."""
        ladder = self._predictor.ladder
        if ladder is not None and ladder.rests(question):
            return None
        if not self._by_ids:
            try:
                question.x_NF = self._predictor.features(question)
            except Exception as error:
                if not is_failure(error):
                    raise
                question.failure = error  # the levels find it, and count it
                return None
        return await self._looked_up(question)

    async def _looked_up(self, question: Question) -> tuple[Labelled[Scored], bool]:
        own: list[Labelled[Scored]] = []

        async def compute() -> bytes | None:
            labelled = self._predictor.labelled(question)
            own.append(labelled)
            return self._record(labelled, question) if labelled.level is Level.FULL else None

        kept = await self._cache.get(*self._key(question), compute)
        if own:
            return own[0], False
        if kept.record is None:  # who computed it was answered below level 1
            return self._predictor.labelled(question), False
        return self._restored(kept.record, question), True

    def _key(self, question: Question) -> tuple[bytes, list[bytes]]:
        asked, package = question.asked, question.model.package
        scorer = Scorer(package.version, package.schema.version, question.objective or {})
        if question.x_NF is not None:
            return key_of_values(scorer, asked.user_id, asked.item_ids, question.x_NF), tags_of(
                package.version, asked.user_id
            )
        key = key_of_ids(scorer, asked.user_id, asked.item_ids, asked.context, asked.at_micros)
        return key, tags_of(package.version, asked.user_id, asked.item_ids)

    def _record(self, labelled: Labelled[Scored], question: Question) -> bytes:
        scored = labelled.value
        features = scored.x_NF.tobytes() if self._by_ids and scored.x_NF is not None else b""
        return _encode(CachedScores(scored.scores_N.tobytes(), features, question.as_of_micros))

    def _restored(self, record: bytes, question: Question) -> Labelled[Scored]:
        kept = _decode(record)
        scores_N, x_NF = np.frombuffer(kept.scores, np.float32), question.x_NF
        if x_NF is None:
            x_NF = np.frombuffer(kept.features, np.float32).reshape(len(scores_N), -1)
            question.as_of_micros = kept.as_of_micros
        return Labelled(Scored(scores_N, x_NF), Level.FULL, "cache", None)

    async def _follow(self, champion: LoadedModel | None) -> None:
        """Let go what the version before said, once another is deployed."""
        if champion is None:
            return
        version = champion.package.version
        before, self._version = self._version, version
        if before is not None and before != version:
            await self._cache.invalidate([version_tag(before)])
