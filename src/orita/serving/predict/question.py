"""A request on its way to an answer, and what answers it.

Legend: N items of one request, F features.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt

from orita.events.prediction_segment import ScoredRequest
from orita.serving.predict.outliers import OutlierCheck
from orita.serving.predict.requests import Asked
from orita.serving.protocols import FeatureReader, LogStream, ScoringPackage

__all__ = ["LoadedModel", "Question"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What answers: a package, the reader of its features, and since when.

    Attributes:
        package: the model.
        features: reads exactly the package's schema.
        stream: what its rows in the prediction log share.
        sequence: the deployment it came from.
        loaded_at: when it began to answer.
        outliers: tells requests that are unlike its training rows; None where the package keeps nothing of them.
        joins: items that a request may have at most to be scored with others in one run; 0: none is.
    """

    package: ScoringPackage
    features: FeatureReader
    stream: LogStream
    sequence: int
    loaded_at: datetime
    outliers: OutlierCheck | None = None
    joins: int = 0


class Question(msgspec.Struct, gc=False):
    """A request on its way to an answer.

    Attributes:
        asked: the checked request.
        model: what answers it.
        at_micros: when it is answered.
        as_of_micros: the time that its features are for.
        deadline: seconds of `Clock.monotonic`.
        x_NF: its features, where they were read already.
        failure: why they could not be.
        scores_N: what the model says, where it was asked for several requests at once.
        objective: what one unit of each head is worth, where the request weighs them.
        rollout: the rollout whose dice chose what answers; None where none did.
        variant: the variant of a rollout that answers; None where none runs.
        split_micros: when the split of the dice began, microseconds since the Unix epoch; None where none chose.
    """

    asked: Asked
    model: LoadedModel
    at_micros: int
    as_of_micros: int
    deadline: float
    x_NF: Floats | None = None
    failure: Exception | None = None
    scores_N: Floats | None = None
    objective: dict[str, float] | None = None
    rollout: str | None = None
    variant: str | None = None
    split_micros: int | None = None

    @property
    def user_id(self) -> int | str:
        """Who asks."""
        return self.asked.user_id

    @property
    def item_ids(self) -> list[int | str]:
        """What is to be ranked."""
        return self.asked.item_ids

    def logged(
        self,
        request_id: str,
        item_ids: list[int | str],
        scores_N: Floats,
        ranks_N: npt.NDArray[np.int32],
        x_NF: Floats | None,
        *,
        latency_ms: float,
        level: int,
        cached: bool = False,
        propensities_N: Floats | None = None,
        placements_N: Floats | None = None,
    ) -> ScoredRequest:
        """Return what the prediction log says of the answer: of the items *item_ids*, which may be some of those asked.

        ``x_NF`` is None where the scores come from no features. ``propensities_N`` and ``placements_N`` are the
        probabilities of each item at its rank, given those above it and whatever is above it; None: nothing explored.
        """
        return ScoredRequest(
            at_micros=self.at_micros,
            as_of_micros=self.as_of_micros,
            request_id=request_id,
            salt=secrets.randbits(62),
            user_id=self.asked.user_id,
            item_ids=item_ids,
            latency_ms=latency_ms,
            scores=scores_N.tobytes(),
            ranks=ranks_N.tobytes(),
            features=b"" if x_NF is None else x_NF.tobytes(),
            level=level,
            cached=cached,
            objective=self.objective,
            rollout=self.rollout,
            variant=self.variant,
            propensities=b"" if propensities_N is None else propensities_N.tobytes(),
            placements=b"" if placements_N is None else placements_N.tobytes(),
            split_micros=self.split_micros,
        )
