"""The ``data_generation`` section says what it allows."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from orita.core.config import Section, load
from orita.core.errors import UserError
from orita.events.world import DateRange, WorldConfig


class _Root(Section):
    data_generation: WorldConfig = WorldConfig()


def test_defaults_are_the_contract() -> None:
    """Without a file the world has the size and the range that the configuration contract states."""
    config = WorldConfig()
    assert (config.num_users, config.num_items, config.num_interactions) == (10_000, 50_000, 1_000_000)
    assert config.date_range == DateRange(start=date(2024, 1, 1), end=date(2024, 11, 15))
    assert config.seed == 0


def test_the_contracts_file_is_read(tmp_path: Path) -> None:
    """The section as the contract writes it, dates as quoted text, is understood."""
    file = tmp_path / "data_config.yaml"
    file.write_text(
        "data_generation: {num_users: 10, num_items: 20, num_interactions: 100, "
        'date_range: {start: "2024-02-01", end: "2024-03-01"}}\n'
    )
    config = load(_Root, file, environment={}).value.data_generation
    assert config.date_range.end == date(2024, 3, 1)
    assert config.num_items == 20


def test_the_range_is_half_open_in_utc() -> None:
    """A range of one day lasts from its first midnight to the next, UTC."""
    day = DateRange(start=date(1971, 1, 1), end=date(1971, 1, 2))
    assert day.start_micros == 365 * 86_400 * 1_000_000
    assert day.end_micros - day.start_micros == 86_400 * 1_000_000


@pytest.mark.parametrize(
    ("item", "named"),
    [
        ("data_generation.num_users=1", "num_users"),
        ("data_generation.num_items=3", "num_items"),
        ("data_generation.num_interactions=0", "num_interactions"),
        ("data_generation.seed=-1", "seed"),
        ("data_generation.click_rate=1.5", "click_rate"),
        ("data_generation.date_range={start: 2024-03-01, end: 2024-03-01}", "date_range"),
        ("data_generation.date_range={start: 2024-03-01, end: 2044-03-01}", "date_range"),
        ("data_generation.num_user=5", "num_users"),
        ("data_generation.effects.tastes=1", "taste"),
    ],
)
def test_what_is_not_allowed_is_named(item: str, named: str) -> None:
    """A value out of bounds or an unknown key is refused in a sentence that names the key."""
    with pytest.raises(UserError, match=named):
        load(_Root, overrides=[item], environment={})
