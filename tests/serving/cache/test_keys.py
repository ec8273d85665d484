"""Equal keys mean equal scores: whatever a score depends on is in the key, in one way only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.serving.cache.keys import (
    EVERYTHING,
    Scorer,
    item_tag,
    key_of_ids,
    key_of_values,
    tags_of,
    user_tag,
    version_tag,
)

SCORER = Scorer("v1.2.0", "ab12", {"click": 1.0, "like": 0.5})
X_NF = np.array([[0.1, 0.2], [0.3, np.nan]], np.float32)
KEY = key_of_values(SCORER, 7, [1, 2], X_NF)


def test_the_same_request_has_the_same_key_everywhere() -> None:
    """Order of weights and layout of memory do not matter; another process with another hash seed agrees."""
    turned = Scorer("v1.2.0", "ab12", {"like": 0.5, "click": 1.0})
    assert key_of_values(turned, 7, [1, 2], np.asfortranarray(X_NF)) == KEY
    program = (
        "import numpy as np\nfrom orita.serving.cache.keys import Scorer, key_of_values\n"
        "x = np.array([[0.1, 0.2], [0.3, np.nan]], np.float32)\n"
        "print(key_of_values(Scorer('v1.2.0', 'ab12', {'click': 1.0, 'like': 0.5}), 7, [1, 2], x).hex())\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == KEY.hex()
    assert len(KEY) == 16


@pytest.mark.parametrize(
    "key",
    [
        lambda: key_of_values(Scorer("v1.2.1", "ab12", SCORER.objective), 7, [1, 2], X_NF),
        lambda: key_of_values(Scorer("v1.2.0", "ab13", SCORER.objective), 7, [1, 2], X_NF),
        lambda: key_of_values(Scorer("v1.2.0", "ab12", {"click": 1.0, "like": 0.6}), 7, [1, 2], X_NF),
        lambda: key_of_values(Scorer("v1.2.0", "ab12"), 7, [1, 2], X_NF),
        lambda: key_of_values(SCORER, 8, [1, 2], X_NF),
        lambda: key_of_values(SCORER, "7", [1, 2], X_NF),
        lambda: key_of_values(SCORER, 7, [2, 1], X_NF),
        lambda: key_of_values(SCORER, 7, ["1", "2"], X_NF),
        lambda: key_of_values(SCORER, 7, [1, 2], X_NF[::-1]),
        lambda: key_of_values(SCORER, 7, [1, 2], X_NF.reshape(1, 4)),
        lambda: key_of_values(SCORER, 7, [1, 2], np.nextafter(X_NF, np.float32(1))),
        lambda: key_of_ids(SCORER, 7, [1, 2], {}, None),
    ],
)
def test_whatever_differs_makes_another_key(key: Callable[[], bytes]) -> None:
    """Version, schema, objective, ids and their types, order, shape, and the last bit of a value."""
    assert key() != KEY


def test_a_request_is_known_by_its_ids_context_and_time() -> None:
    """The order of the context does not matter, its values and the time asked do."""
    key = key_of_ids(SCORER, 7, [1], {"device": "mobile", "place": 3}, None)
    assert key == key_of_ids(SCORER, 7, [1], {"place": 3, "device": "mobile"}, None)
    assert key != key_of_ids(SCORER, 7, [1], {"device": "tablet", "place": 3}, None)
    assert key != key_of_ids(SCORER, 7, [1], {"device": "mobile", "place": 3}, 5)


Ids = st.one_of(st.integers(0, 2**63 - 1), st.text(max_size=5))


@given(st.tuples(Ids, st.lists(Ids, max_size=4)), st.tuples(Ids, st.lists(Ids, max_size=4)))
def test_two_requests_never_run_into_each_other(
    one: tuple[int | str, list[int | str]], two: tuple[int | str, list[int | str]]
) -> None:
    """Keys are equal exactly where user and items are, of the same types."""
    typed = [[(type(part), part) for part in (user, *items)] for user, items in (one, two)]
    keys = [key_of_ids(SCORER, user, items, {}, None) for user, items in (one, two)]
    assert (keys[0] == keys[1]) == (typed[0] == typed[1])


def test_tags_name_what_a_record_came_from() -> None:
    """Users, items and versions of the same name have different tags; everything has one tag in common."""
    tags = tags_of("7", 7, [7, "a7"])
    assert tags == [EVERYTHING, version_tag("7"), user_tag(7), item_tag(7), item_tag("a7")]
    assert len(set(tags)) == 5


@pytest.mark.parametrize("tag", [user_tag, item_tag])
def test_however_an_id_is_spelled_its_tag_is_one(tag: Callable[[object], bytes]) -> None:
    """A whole number is one id as a number, without a fraction, and as text; what else is text stays what it is."""
    assert len({tag(spelled) for spelled in (31, "31", 31.0, np.int64(31))}) == 1
    assert len({tag(other) for other in (31, "031", "31.5", 31.5, "a", -31, 1e300, 2**63, "")}) == 8
    assert tag(2**63 - 1) == tag(str(2**63 - 1))
    assert tag(2**70) == tag(str(2**70))
