"""When training rows are unusual, and when that stops a training: ``expectations`` in ``data_config.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orita.core.config import Section

__all__ = ["ExpectationsSection"]


class ExpectationsSection(Section):
    """What is told of training rows, and what stops a training.

    Attributes:
        stop_on: the mildest finding that stops: ``error``, what cannot be trained on; ``warning``, that and what a
            person should look at; ``never``.
        missing_rise: warn where the share of rows without a value is higher than expected by more than this.
        range_factor: warn where values lie further outside the expected range than this many times its width.
    """

    stop_on: Literal["error", "warning", "never"] = "error"
    missing_rise: Annotated[float, Field(ge=0, le=1)] = 0.1
    range_factor: Annotated[float, Field(ge=0)] = 3.0
