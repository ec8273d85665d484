"""A sample of pages is the same whatever the order and the portions in which they come, and stays within its bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.delivery.ope.made_pages import made_pages

from orita.delivery.ope.page_sample import PageSample
from orita.delivery.ope.pages import LoggedPages
from orita.monitoring.sample import hashed_ids

IDS = pa.array([f"request-{n}" for n in range(400)])
ALL = replace(made_pages(400, seed=1).pages, request_N=hashed_ids(IDS).astype(np.uint64))


@pytest.mark.parametrize("portion", [1, 7, 400])
def test_the_lowest_digests_are_kept(portion: int) -> None:
    """Fed in portions, in a random order, and only with what it still wants."""
    order = np.random.default_rng(portion).permutation(400)
    sample = PageSample(30)
    for start in range(0, 400, portion):
        rows = order[start : start + portion]
        wanted = sample.wanted(pa.table({"request_id": IDS.take(pa.array(rows)), "row": pa.array(rows)}))
        if len(wanted):
            sample.add(ALL.take(wanted["row"].to_numpy()))
        assert sum(map(len, sample._parts)) <= 60 + portion
    pages, repeated = sample.pages()
    assert pages is not None and repeated == 0
    assert sorted(pages.request_N.tolist()) == sorted(ALL.request_N.tolist())[:30]
    of = {request: row for row, request in enumerate(ALL.request_N.tolist())}
    for row, request in enumerate(pages.request_N.tolist()):
        np.testing.assert_array_equal(pages.score_NK[row], ALL.score_NK[of[request]])


def test_answers_that_share_an_id_are_left_out_both() -> None:
    """Also where they come far apart; they count towards the bound."""
    sample = PageSample(30)
    for _ in range(2):
        sample.add(ALL.take(np.argsort(ALL.request_N)[:10]))
        sample.add(ALL.take(np.argsort(ALL.request_N)[100:140]))
    sample.add(ALL.take(np.argsort(ALL.request_N)[10:50]))
    pages, repeated = sample.pages()
    assert pages is not None and repeated == 20
    assert sorted(pages.request_N.tolist()) == sorted(ALL.request_N.tolist())[10:20]


def test_pages_of_several_lengths_are_joined() -> None:
    """The shorter ones are filled up with what is certain and earns nothing."""
    short, long = made_pages(3, width=2, seed=1).pages, made_pages(2, width=4, seed=2).pages
    joined = LoggedPages.joined([short, long])
    assert joined.propensity_NK[:3, 2:].tolist() == joined.placement_NK[:3, 2:].tolist() == [[1.0, 1.0]] * 3
    assert joined.reward_NK[:3, 2:].sum() == 0
    assert joined.there().sum(axis=1).tolist() == [2, 2, 2, 4, 4]
