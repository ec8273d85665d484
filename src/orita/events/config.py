"""How strictly incoming data is judged: the ``validation`` section of ``data_config.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from orita.core.config import Section

__all__ = ["Timestamps", "ValidationConfig"]

Timestamps = Literal["iso", "epoch_seconds", "epoch_milliseconds"]

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class ValidationConfig(Section):
    """What is tolerated in incoming data, and how it is written.

    Attributes:
        max_bad_share: a run stops when more than this share of a table's rows breaks a rule.
        delimiter: what parts the columns of a ``.csv`` file; ``.tsv`` files are parted by tabs.
        timestamps: how times are written where they are text or numbers.
        time_zone: the zone that ``time_of_day`` and ``day_of_week`` are told in.
        future_days: a time later than this many days after the row came (into the log, or now) breaks the rule
            ``future``.
        id_integer_share: where some ids of a new table are no numbers: it has integer ids, and the others go to
            quarantine, when at least this share of its ids are integers; otherwise its ids are text.
        profile_range_factor: a number further outside the earlier range than this many times its width breaks
            the rule ``profile.range``; only where the schema declares no bounds, and not for rows of the event log.
        profile_min_rows: earlier rows that a profile needs before anything is judged by it, and rows that a
            batch needs before it is compared.
        null_share_rise: warn when the share of nulls rises by more than this.
        unseen_share: warn when more than this share of a category's values was never seen before.
        median_shift: warn when a median moves by more than this many interquartile ranges.
        volume_factor: warn when a batch is this many times larger or smaller than the median earlier batch.
        max_line_bytes: a longer line is taken for a broken file.
        memory_mb: memory of the query engine; larger work goes through the disk.
        lock_wait_seconds: how long to wait for another ingest into the same home.
    """

    max_bad_share: Share = 0.05
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    timestamps: Timestamps = "iso"
    time_zone: str = "UTC"
    future_days: Annotated[float, Field(ge=0)] = 1.0
    id_integer_share: Share = 0.99
    profile_range_factor: Annotated[float, Field(ge=0)] = 3.0
    profile_min_rows: Count = 100
    null_share_rise: Share = 0.1
    unseen_share: Share = 0.05
    median_shift: Annotated[float, Field(gt=0)] = 3.0
    volume_factor: Annotated[float, Field(gt=1)] = 10.0
    max_line_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    memory_mb: Annotated[int, Field(ge=128)] = 1024
    lock_wait_seconds: Annotated[float, Field(ge=0)] = 60.0

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("name a zone of the IANA database, such as UTC or Africa/Lagos") from None
        return name
