"""Items, readers and models of a feed without store or training, made of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from orita.core.clock import to_micros
from orita.events.prediction_segment import ScoredRequest
from orita.serving.feed.items import AttributeValues, Items, ItemsRead
from orita.serving.feed.reads import Asker
from orita.serving.predict.question import LoadedModel, Question
from orita.serving.predict.requests import Asked
from orita.serving.protocols import LogStream
from orita.serving.resilience.ladder import Labelled, Level
from orita.serving.resilience.parts import Scored
from orita.testing.serving import LinePackage

AT = datetime(2024, 11, 20, 12, tzinfo=UTC)
AT_MICROS = to_micros(AT)
DAY = 86_400_000_000
TOPICS = ("art", "food", "news", "sport")

__all__ = ["AT", "AT_MICROS", "DAY", "TOPICS", "Sink", "Stub", "StubReads", "asker", "made_items"]


def made_items(count: int, topics: int = len(TOPICS), *, hidden: Sequence[int] = ()) -> Items:
    """Return items 0 … *count* − 1: the lower, the more popular; the higher, the newer; topics in turn.

    Those in *hidden* may not be shown.
    """
    numbers = np.arange(count)
    tag_IV = np.stack([numbers < count / 2, numbers % 2 == 0], axis=1)
    read = ItemsRead(
        ids_I=numbers.astype(np.int64),
        popularity_I=(count - numbers).astype(np.float32),
        created_I=(AT_MICROS - (count - numbers) * DAY).astype(np.float64),
        attributes={
            "topic": AttributeValues.single(TOPICS, (numbers % topics).astype(np.float64)),
            "tags": AttributeValues.several(("old", "round"), tag_IV),
        },
    )
    allowed_R = np.arange(count + 1) > 0
    allowed_R[np.array(hidden, np.intp) + 1] = False
    return Items(read, allowed_R, "topic").prepare()


def asker(user_id: int | str = 1) -> Asker:
    """Return somebody who asks now."""
    return Asker(user_id, {}, AT_MICROS)


class StubReads:
    """Knows what was seen, and which topics are liked: by the position in `TOPICS`."""

    def __init__(self, seen: Sequence[int] = (), liked: Mapping[int, float] | None = None) -> None:
        self.seen_items, self.liked = set(seen), liked
        self.knows_affinity = liked is not None
        self.asked = 0

    def seen(self, asker: Asker, item_ids: Sequence[int | str]) -> npt.NDArray[np.bool_]:
        """Return which were seen."""
        self.asked += 1
        return np.array([item in self.seen_items for item in item_ids], np.bool_)

    def affinity(self, asker: Asker, item_ids: Sequence[int | str]) -> npt.NDArray[np.float32]:
        """Return how much each item's topic is liked."""
        liked = self.liked or {}
        return np.array([liked.get(int(item) % len(TOPICS), 0.0) for item in item_ids], np.float32)


class Stub:
    """Scores items by a random number that changes with each call; its features are the number of the call."""

    def __init__(self, package: LinePackage, seed: int = 0) -> None:
        stream = LogStream("feed", package.version, package.schema.names)
        self._champion = LoadedModel(package, _NoReader(), stream, 1, AT)
        self._rng = np.random.default_rng(seed)
        self.calls = 0

    def question(self, asked: Asked) -> Question:
        """Return the question."""
        return Question(asked, self._champion, AT_MICROS, AT_MICROS, float("inf"))

    def labelled(self, question: Question) -> Labelled[Scored]:
        """Return new scores."""
        self.calls += 1
        count = len(question.item_ids)
        scores_N = self._rng.random(count, np.float32)
        x_NF = np.full((count, len(self._champion.package.schema)), self.calls, np.float32)
        return Labelled(Scored(scores_N, x_NF), Level.FULL, "model", None)


class _NoReader:
    def matrix(
        self, user_id: int | str, item_ids: Sequence[int | str], context: Mapping[str, object], at: int, /
    ) -> npt.NDArray[np.float32]:
        raise AssertionError("the stub of a model reads no features")


class Sink:
    """A prediction log in memory."""

    def __init__(self) -> None:
        self.requests: list[ScoredRequest] = []

    def room(self, rows: int, /) -> bool:
        """Always."""
        return True

    def append(self, stream: LogStream, request: ScoredRequest, /) -> None:
        """Keep it."""
        self.requests.append(request)
