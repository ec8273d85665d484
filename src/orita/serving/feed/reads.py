"""What a feed reads of the online store for one user: what they have seen, and which topics they like.

Without the store a feed goes on: nothing counts as seen, and no topic as liked.

Legend: C items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.core.clock import Clock
from orita.core.errors import OritaError, UserError
from orita.core.patience import patience
from orita.features.online.reader import found_by_itself
from orita.features.system import System
from orita.serving.features.unknown_ids import refused_by_features
from orita.serving.feed.signals import Signals
from orita.serving.protocols import FeatureReader, FeatureSource
from orita.serving.resilience.deadline import current_deadline

__all__ = ["Asker", "FeedReads"]

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, under which circumstances, and when (microseconds since the Unix epoch)."""

    user_id: int | str
    context: dict[str, object]
    at: int


class FeedReads:
    """Reads for requests.

    Args:
        features: where to read; each call is one read of the store.
        system: whose features.
        signals: which of them.
        seconds: how long a read may take where the store is on another machine; half of what a request has left, where
            that is less: the other half is for its scores.
        clock: the time.

    Raises:
        UserError: a feature is not known.
    """

    def __init__(self, features: FeatureSource, system: System, signals: Signals, seconds: float, clock: Clock) -> None:
        self._seconds, self._monotonic = seconds, clock.monotonic
        self._seen = features.reader(system.schema([signals.seen])) if signals.seen else None
        self._affinity = features.reader(system.schema(signals.affinity)) if signals.affinity else None

    @property
    def knows_affinity(self) -> bool:
        """Whether anything says which topics a user likes."""
        return self._affinity is not None

    def seen(self, asker: Asker, item_ids: Sequence[int | str]) -> Flags:
        """Return ``seen_C``: which of *item_ids* the user has seen.

        Raises:
            Refused: 422, the time of the request is before what the store knows, or its user is to be refused.
        """
        x_CF = self._read(self._seen, asker, item_ids)
        return np.zeros(len(item_ids), np.bool_) if x_CF is None else np.asarray(x_CF[:, 0] > 0)

    def affinity(self, asker: Asker, item_ids: Sequence[int | str]) -> Floats:
        """Return how much the user likes the topic of each item, at least 0.

        Raises:
            Refused: as `seen` does.
        """
        x_CF = self._read(self._affinity, asker, item_ids)
        if x_CF is None:
            return np.zeros(len(item_ids), np.float32)
        return np.asarray(np.maximum(np.nan_to_num(x_CF, posinf=0).prod(axis=1), 0))

    def _read(self, reader: FeatureReader | None, asker: Asker, item_ids: Sequence[int | str]) -> Floats | None:
        if reader is None or not len(item_ids):
            return None
        try:
            with patience(min(self._seconds, (current_deadline() - self._monotonic()) / 2)), found_by_itself("item"):
                return reader.matrix(asker.user_id, item_ids, asker.context, asker.at)
        except UserError as error:
            raise refused_by_features(error) from None
        except OritaError:  # the model is asked next; it answers on a lower level, or tells the log why it cannot
            return None
