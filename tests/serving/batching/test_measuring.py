"""Which models gain by scoring several requests in one run, and that one run says what each run says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.models.clicks import SCHEMA, clicks

from orita.core.errors import UserError
from orita.models.package import Package
from orita.serving.batching.config import BatchingConfig
from orita.serving.batching.measuring import ROWS, gains_up_to, joins_up_to

SIDES = [column.side for column in SCHEMA.columns]


class Timed:
    """A package whose runs take *a_run* seconds, and *a_row* for each row, of a clock of its own."""

    def __init__(self, a_run: float, a_row: float) -> None:
        self.now, self._run, self._row = 0.0, a_run, a_row
        self.schema = SCHEMA

    def seconds(self) -> float:
        """Return the time."""
        return self.now

    def score_user(self, user_id: Any, item_ids: Sequence[Any], x_NF: Any) -> Any:
        """Score rows of one request."""
        assert len(item_ids) == len(x_NF)
        self.now += self._run + self._row * len(x_NF)

    def score_requests(
        self, user_ids: Sequence[Any], lengths: Sequence[int], item_ids: Sequence[Any], x_NF: Any
    ) -> Any:
        """Score rows of several."""
        assert len(user_ids) == len(lengths)
        assert sum(lengths) == len(item_ids)
        self.score_user(0, item_ids, x_NF)


@pytest.mark.parametrize(
    ("a_run", "a_row", "gains"),
    # Eight together cost (a + 8 n b) / 8 (a + n b) of eight alone: at most 0.4 where 4.8 n b <= 2.2 a.
    [(100.0, 1.0, ROWS[-1]), (100.0, 10.0, 4), (100.0, 40.0, 1), (100.0, 100.0, 0), (0.0, 1.0, 0)],
)
def test_what_gains_is_measured(a_run: float, a_row: float, gains: int) -> None:
    """Requests gain as long as a run by itself costs more than their rows."""
    package: Any = Timed(a_run, a_row)
    assert gains_up_to(package, package.seconds) == gains


def test_configuration_goes_before_measuring() -> None:
    """Never is never, always is all that a request may have; what cannot score several gains nothing in any case."""
    package: Any = Timed(1.0, 1.0)
    assert joins_up_to(package, BatchingConfig(enabled="never"), 1000) == 0
    assert joins_up_to(package, BatchingConfig(enabled="always"), 1000) == 1000
    package.score_requests = None
    assert joins_up_to(package, BatchingConfig(enabled="always"), 1000) == 0
    assert joins_up_to(package, BatchingConfig(), 1000) == 0


@pytest.mark.parametrize("name", ["feed", "plain", "headed"])
def test_one_run_says_what_each_run_says(name: str, request: pytest.FixtureRequest) -> None:
    """Scores of requests of 1 to 30 items agree within 1e-6, of users and items that are known and that are not."""
    package: Package = request.getfixturevalue(name)
    random, rows = np.random.default_rng(0), clicks(200, seed=5)
    lengths = [1, 2, 7, 1, 30, 3]
    users = [*np.unique(rows.users_N)[:4].tolist(), 10**9, 10**9 + 1]
    items = [[*rng.tolist()] for rng in (random.permutation(200)[:n] for n in lengths)]
    asked = []
    for length in lengths:
        x_NF = rows.x_NF[random.integers(0, 200, length)].copy()
        for column, side in enumerate(SIDES):
            if side in ("user", "context"):
                x_NF[:, column] = x_NF[0, column]  # one user in one context a request
        asked.append(x_NF)
    alone = [package.score_user(u, i, x_NF) for u, i, x_NF in zip(users, items, asked, strict=True)]
    joint = package.score_requests(users, lengths, [item for each in items for item in each], np.concatenate(asked))
    np.testing.assert_allclose(joint, np.concatenate(alone), rtol=0, atol=1e-6)
    assert len(np.unique(joint)) > 10


def test_lengths_must_agree(feed: Package) -> None:
    """Rows that belong to nobody are refused."""
    with pytest.raises(UserError, match="lengths of 3 rows"):
        feed.score_requests([1, 2], [1, 2], [1, 2], np.zeros((2, len(SCHEMA)), np.float32))
