"""What kind of world is generated: the ``data_generation`` section of ``data_config.yaml``."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from pydantic import Field, model_validator

from orita.core.clock import to_micros
from orita.core.config import Section

__all__ = ["DateRange", "Effects", "WorldConfig"]

_FIRST, _LAST, _MAX_DAYS = date(1971, 1, 1), date(2199, 12, 31), 3660


class DateRange(Section):
    """The days that interactions fall on, half-open: *start* is in, *end* is not; UTC."""

    start: date = date(2024, 1, 1)
    end: date = date(2024, 11, 15)

    @model_validator(mode="after")
    def _ordered(self) -> DateRange:
        if not _FIRST <= self.start < self.end <= _LAST:
            raise ValueError(f"start must be before end, both from {_FIRST} to {_LAST}")
        if (self.end - self.start).days > _MAX_DAYS:
            raise ValueError(f"the range may span at most {_MAX_DAYS} days")
        return self

    @property
    def start_micros(self) -> int:
        """First microsecond of the range since the Unix epoch."""
        return to_micros(datetime.combine(self.start, time(), UTC))

    @property
    def end_micros(self) -> int:
        """First microsecond after the range since the Unix epoch."""
        return to_micros(datetime.combine(self.end, time(), UTC))


class Effects(Section):
    """How much each cause moves the log-odds of a click; every cause has a standard deviation near 1."""

    taste: float = Field(default=1.15, ge=0, le=5, description="a user's taste for the item's topic")
    style: float = Field(default=0.55, ge=0, le=5, description="a user's taste for the item's style, which nobody sees")
    leaning: float = Field(default=0.5, ge=0, le=5, description="how readily a user clicks at all")
    quality: float = Field(default=0.5, ge=0, le=5, description="how good an item is, for everyone")
    trend: float = Field(default=0.25, ge=0, le=5, description="what topic the week is about")
    hour_topic: float = Field(default=0.35, ge=0, le=5, description="topics have their hours")
    weekend_topic: float = Field(default=0.2, ge=0, le=5, description="topics have their days")
    age: float = Field(default=0.15, ge=0, le=5, description="an item loses interest with the logarithm of its age")
    position: float = Field(default=0.3, ge=0, le=5, description="a click falls with the logarithm of the position")


class WorldConfig(Section):
    """Size, time and nature of the synthetic world."""

    num_users: int = Field(default=10_000, ge=2, le=10_000_000)
    num_items: int = Field(default=50_000, ge=10, le=10_000_000)
    num_interactions: int = Field(default=1_000_000, ge=1, le=1_000_000_000)
    date_range: DateRange = DateRange()
    seed: int = Field(default=0, ge=0, lt=2**63)
    topics: int = Field(default=16, ge=2, le=256)
    styles: int = Field(default=3, ge=1, le=16, description="hidden dimensions of taste beside topics")
    page_length: int = Field(default=20, ge=1, le=200, description="items shown in one page view")
    click_rate: float = Field(default=0.2, ge=0.01, le=0.9, description="share of shown items that are clicked")
    activity_spread: float = Field(default=1.2, ge=0, le=3, description="log-normal spread of visits a user")
    popularity_spread: float = Field(default=1.3, ge=0, le=3, description="log-normal spread of an item's pull")
    fresh_days: float = Field(default=14.0, gt=0, le=3650, description="days in which an item's pull falls by 1/e")
    born_share: float = Field(default=0.4, ge=0, le=0.8, description="share of items created during the range")
    joined_share: float = Field(default=0.25, ge=0, le=0.8, description="share of users who join during the range")
    effects: Effects = Effects()
