"""Whether a choice was ever given is told by the log, however much lies around it, and however little is kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.delivery.bandits.logged import Logged, choice, rewards

from orita.core.home import Home
from orita.core.ids import uuid7
from orita.delivery.bandits import given
from orita.delivery.bandits.given import NotKept, given_choice
from orita.delivery.bandits.records import PARTITION, STREAM, Choice
from orita.events.log.embedded import EmbeddedLog

TITLES = """
bandits:
  - {key: title, policy: {type: bernoulli_thompson}, arms: [short, long]}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return an empty home."""
    return Home(tmp_path)


@pytest.fixture
def logged(home: Home) -> Logged:
    """Return a log to which choices are written."""
    return Logged(home, TITLES)


def made(logged: Logged) -> Choice:
    """Return a choice of now."""
    return msgspec.structs.replace(choice(logged.of("title"), "short"), decision=uuid7(logged.clock))


def test_each_that_was_given_is_found(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a log of minutes, from wherever was read; ids that are made up between them are nobody's."""
    monkeypatch.setattr(given, "_PIECE", 7)
    all_given, made_up = [], []
    for _ in range(24):
        made_up.append(uuid7(logged.clock))
        all_given.append(made(logged))
        late = timedelta(seconds=len(all_given) % 3 * 20)  # the disk stood still
        logged.clock.advance(late)
        logged.append([all_given[-1], rewards(all_given[-1], [1.0])])
        logged.clock.advance(timedelta(seconds=5))
    for unread in (0, 24, 47, 48):
        for each in all_given:
            assert given_choice(logged.log, each.decision, unread) == each
        assert all(given_choice(logged.log, each, unread) is None for each in made_up)
    assert given_choice(logged.log, uuid7(logged.clock), 48) is None


def test_where_nothing_was_logged_nothing_was_given(home: Home) -> None:
    """Neither without a log nor in an empty one."""
    assert given_choice(EmbeddedLog(home), uuid7()) is None
    assert given_choice(Logged(home, TITLES).log, uuid7()) is None


def test_what_was_deleted_is_not_known(home: Home) -> None:
    """Of times of which rows are gone the log does not say that there was no choice."""
    logged = Logged(home, TITLES)
    logged.log = EmbeddedLog(home, logged.clock, segment_bytes=1)  # a row a segment
    all_given = []
    for _ in range(10):
        all_given.append(made(logged))
        logged.append([all_given[-1]])
        logged.clock.advance(timedelta(hours=1))
    assert logged.log.retire(STREAM, PARTITION, 5) == 5
    for each in all_given[5:]:
        assert given_choice(logged.log, each.decision) == each
    for each in all_given[:5]:
        with pytest.raises(NotKept):
            given_choice(logged.log, each.decision)
    assert given_choice(logged.log, uuid7(logged.clock)) is None
