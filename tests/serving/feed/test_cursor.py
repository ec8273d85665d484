"""Cursors: what they carry, whose they are, how long, how long at most; and that nobody else can make one."""

from __future__ import annotations

import base64
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.feed.made import AT

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.serving.feed.cursor import Cursors
from orita.serving.feed.cursor_key import KEY_FILE, read_key
from orita.serving.http.refusal import Refused

KEY = bytes(range(32))
IDS = st.one_of(st.integers(0, 2**63 - 1), st.text(min_size=1, max_size=256))


def cursors(clock: ManualClock | None = None, *, key: bytes = KEY, scope: str = "t/feed", most: int = 4096) -> Cursors:
    """Return what makes cursors for an hour."""
    return Cursors(key, scope, clock or ManualClock(AT), seconds=3600, max_bytes=most)


@given(IDS, st.integers(1, 1000), st.lists(IDS, min_size=1, max_size=60))
def test_a_cursor_carries_as_many_items_as_fit(user: int | str, rank: int, items: list[int | str]) -> None:
    """What is left comes back in order, with its types; of too much, as long a beginning as the bound lets through."""
    made = cursors().make(user, rank, items)
    if made is None:
        assert len(str(items[0]).encode()) > 500  # not even the first fits
        return
    assert len(made) <= 4096
    remaining = cursors().open(user, made)
    assert remaining.rank == rank
    count = len(remaining.item_ids)
    assert [(type(i), i) for i in remaining.item_ids] == [(type(i), i) for i in items[:count]]
    assert cursors().open(str(user), made) == remaining  # 12 and "12" are one user


def test_nothing_left_needs_no_cursor() -> None:
    """The last page has none."""
    assert cursors().make(1, 5, []) is None


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_cursor_is_refused(place: int, change: int) -> None:
    """Whichever byte is changed, the signature does not fit any more."""
    made = cursors().make(7, 21, list(range(100, 140)))
    assert made is not None
    raw = bytearray(base64.urlsafe_b64decode(made))
    raw[place % len(raw)] ^= change
    with pytest.raises(Refused, match="was changed") as refused:
        cursors().open(7, base64.urlsafe_b64encode(raw).decode())
    assert (refused.value.status, refused.value.code) == (422, "invalid_cursor")


@given(st.text(max_size=200))
def test_anything_else_is_no_cursor(text: str) -> None:
    """Text of any kind is refused, not failed on."""
    with pytest.raises(Refused) as refused:
        cursors().open(7, text)
    assert refused.value.code == "invalid_cursor"


def test_a_cursor_is_one_user_s_of_one_system_under_one_key() -> None:
    """Another user, another system, another key: refused; too long: refused unread."""
    made = cursors().make(7, 1, [1, 2])
    assert made is not None
    for other, user in ((cursors(), 8), (cursors(scope="t/shop"), 7), (cursors(key=bytes(32)), 7)):
        with pytest.raises(Refused, match="none of this user's feeds"):
            other.open(user, made)
    with pytest.raises(Refused, match="has 4097 characters"):
        cursors().open(7, "A" * 4097)


def test_a_cursor_ends() -> None:
    """It can be used for its time, again and again, and not after."""
    clock = ManualClock(AT)
    made = cursors(clock).make(7, 1, [1, 2])
    assert made is not None
    clock.advance(timedelta(seconds=3599))
    assert cursors(clock).open(7, made) == cursors(clock).open(7, made)
    clock.advance(timedelta(seconds=2))
    with pytest.raises(Refused, match="ask without a cursor for a new feed") as refused:
        cursors(clock).open(7, made)
    assert (refused.value.status, refused.value.code) == (410, "expired_cursor")


def test_the_home_keeps_a_key_of_its_own(tmp_path: Path) -> None:
    """It is made once, for its owner alone; one that is named is taken as it is."""
    made = read_key(None, tmp_path / "keys")
    assert len(made) == 32 and made == read_key(None, tmp_path / "keys")
    assert stat.S_IMODE((tmp_path / "keys" / KEY_FILE).stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "keys").iterdir()] == [KEY_FILE]
    (tmp_path / "named").write_bytes(KEY)
    assert read_key(tmp_path / "named", tmp_path / "keys") == KEY


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    """One that is not there, or is short, is refused by its path."""
    with pytest.raises(UserError, match="missing cannot be read"):
        read_key(tmp_path / "missing", tmp_path)
    (tmp_path / "short").write_bytes(b"secret")
    with pytest.raises(UserError, match="short has 6 bytes"):
        read_key(tmp_path / "short", tmp_path)
