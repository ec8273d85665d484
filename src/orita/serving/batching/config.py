"""What can be set about requests that are answered together: the section ``serving.batching``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orita.core.config import Section

__all__ = ["BatchingConfig"]


class BatchingConfig(Section):
    """How requests are answered together.

    Attributes:
        enabled: whether requests that wait at the same time are scored in one run of the model: ``auto``, as far as the
            model was measured to gain by it when it was loaded; ``never``; ``always``, however many items they have.
        most: requests of one such run; while it lasts nobody else has a turn.
        max_requests: most requests of one ``POST /predict/batch``.
        max_items: most items of these together.
    """

    enabled: Literal["auto", "never", "always"] = "auto"
    most: Annotated[int, Field(ge=2, le=64)] = 16
    max_requests: Annotated[int, Field(ge=1, le=10_000)] = 1000
    max_items: Annotated[int, Field(ge=1, le=100_000)] = 10_000
