from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from orita.core.errors import NotFound, UserError
from orita.delivery.assignment import Experiment, Holdout, Layer, Override, Split
from orita.delivery.assignment.conditions import InSegment, Not, OneOf, Time
from orita.delivery.flags import read_flags

EVEN = Split.of({"control": 50, "treatment": 50})
IDS = [f"user-{n}" for n in range(20_000)]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 400), st.booleans()), max_size=12))
def test_experiments_never_overlap(steps: list[tuple[str, int, bool]]) -> None:
    """Through any allocations and releases each bucket has one owner, and who stays keeps what it had."""
    layer = Layer("l", 1000)
    for name, buckets, releases in steps:
        before = layer
        if releases and name in layer.slices:
            layer = layer.release(name)
            assert name not in layer.slices
        elif buckets * 0.1 <= layer.free:
            layer = layer.allocate(name, round(buckets * 0.1, 1))
        owned = [bucket for slices in layer.slices.values() for first, end in slices for bucket in range(first, end)]
        assert len(owned) == len(set(owned)) == round((100 - layer.free) * 10)
        for other in before.slices.keys() & layer.slices.keys():
            kept = {b for first, end in before.slices[other] for b in range(first, end)}
            assert kept <= {b for first, end in layer.slices[other] for b in range(first, end)}
        assert Layer(layer.name, layer.buckets, layer.slices) == layer


def test_a_unit_has_one_experiment_of_a_layer() -> None:
    """Shares are as allocated, and an array answers as each one does."""
    layer = Layer("ranking").allocate("one", 20).allocate("two", 30.05)
    owners = [layer.owner(unit) for unit in IDS]
    counts = Counter(owners)
    assert abs(counts["one"] / 20_000 - 0.2) < 0.015
    assert abs(counts["two"] / 20_000 - 0.3005) < 0.015
    assert layer.owned("one", IDS).tolist() == [owner == "one" for owner in owners]
    assert layer.free == pytest.approx(49.95)


def test_layers_are_independent() -> None:
    """Being in an experiment of one layer says nothing of another layer, nor of the variant within it."""
    p_values = []
    for n in range(25):
        one, two = Layer(f"one-{n}").allocate("x", 50), Layer(f"two-{n}").allocate("y", 50)
        in_one, in_two = one.owned("x", IDS[:4000]), two.owned("y", IDS[:4000])
        treated = Experiment("y", EVEN, layer=two).variants(IDS[:4000]) == "treatment"
        for side in (in_two, treated):
            table = np.histogram2d(in_one, side, bins=2)[0]
            p_values.append(stats.chi2_contingency(table, correction=False).pvalue)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_wrong_allocations_are_refused() -> None:
    """Each sentence says what is wrong with which layer."""
    layer = Layer("l", 1000).allocate("a", 60)
    with pytest.raises(UserError, match="has 40 % free and 'b' wants 50 %"):
        layer.allocate("b", 50)
    with pytest.raises(UserError, match=r"multiples of 0.1 %"):
        layer.allocate("b", 0.05)
    with pytest.raises(UserError, match=r"multiples of 0.1 %"):
        layer.allocate("b", 0)
    with pytest.raises(NotFound, match="'b' owns nothing of layer 'l'"):
        layer.release("b")
    with pytest.raises(UserError, match="allowed are 1000 and 10000"):
        Layer("l", 999)
    with pytest.raises(UserError, match="'b' and 'a' overlap"):
        Layer("l", 1000, {"a": ((0, 10),), "b": ((9, 20),)})
    with pytest.raises(UserError, match="allowed is 0 … 1000"):
        Layer("l", 1000, {"a": ((0, 1001),)})


def test_a_holdout_that_grows_keeps_who_was_out() -> None:
    """Who is held out at 2 % is at 5 % too, and an array answers as each one does."""
    small, large = Holdout("2026", 2), Holdout("2026", 5)
    assert not (small.held(IDS) & ~large.held(IDS)).any()
    assert abs(float(large.held(IDS).mean()) - 0.05) < 0.01
    assert large.held(IDS[:500]).tolist() == [large.holds(unit) for unit in IDS[:500]]
    with pytest.raises(UserError, match="the percent of holdout 'h' is 101"):
        Holdout("h", 101)


def test_an_experiment_asks_in_its_order() -> None:
    """Overrides come first, then the unit, holdouts, the layer and the audience."""
    layer = Layer("l").allocate("x", 50)
    overrides = (Override(attribute="header.x-variant", values=("t",), variant="treatment"),)
    audience = OneOf(attribute="country", values=("SE",))
    x = Experiment("x", EVEN, ("user_id", "device_id"), layer, (Holdout("h", 10),), audience, overrides)
    inside = next(unit for unit in IDS if layer.owner(unit) == "x" and not Holdout("h", 10).holds(unit))
    outside = next(unit for unit in IDS if layer.owner(unit) is None and not Holdout("h", 10).holds(unit))
    held = next(unit for unit in IDS if layer.owner(unit) == "x" and Holdout("h", 10).holds(unit))
    assert x.assign({"header.x-variant": "t"}).reason == "overridden"
    assert x.assign({"header.x-variant": "t", "user_id": held}).variant == "treatment"
    assert x.assign({"country": "SE", "user_id": None, "device_id": ""}).reason == "no_unit"
    assert x.assign({"country": "SE", "user_id": held}).reason == "held_out"
    assert x.assign({"country": "SE", "user_id": outside}).reason == "not_in_layer"
    assert x.assign({"country": "DK", "user_id": inside}).reason == "not_in_audience"
    found = x.assign({"country": "SE", "user_id": inside})
    assert found.reason == "assigned"
    assert found == x.assign({"country": "SE", "device_id": inside})
    assert found.variant == x.variants([inside])[0]


def test_for_analysis_all_are_assigned_alike() -> None:
    """An array of ids has the variants that requests were given."""
    layer = Layer("l").allocate("x", 40)
    x = Experiment("x", EVEN, ("id",), layer, (Holdout("h", 10),))
    alone = [x.assign({"id": unit}).variant or "" for unit in IDS[:3000]]
    assert x.variants(IDS[:3000]).tolist() == x.variants(np.array(IDS[:3000])).tolist() == alone
    assert set(alone) == {"", "control", "treatment"}


def test_experiments_that_cannot_be_are_refused() -> None:
    """Nothing allocated, an override of no variant, and an audience by the clock or of a segment."""
    instant = read_flags(
        '{"segments": {"s": {"is": "time", "op": "after", "value": "2026-01-01T00:00:00Z"}}}'
    ).segments["s"]
    assert isinstance(instant, Time)
    with pytest.raises(UserError, match="owns nothing of layer 'l': allocate a share first"):
        Experiment("x", EVEN, layer=Layer("l"))
    with pytest.raises(UserError, match="overrides with 'c', which is none of its variants"):
        Experiment("x", EVEN, overrides=(Override(attribute="a", values=(1,), variant="c"),))
    with pytest.raises(UserError, match="asks for the time"):
        Experiment("x", EVEN, audience=Not(of=instant))
    with pytest.raises(UserError, match="the segment 's' is not declared"):
        Experiment("x", EVEN, audience=InSegment(name="s"))


def test_all_of_it_can_be_kept() -> None:
    """Splits, layers, holdouts and experiments are written as JSON, without what is computed, and read back equal."""
    layer = Layer("l").allocate("x", 20).allocate("y", 5).release("x").allocate("x", 10)
    audience, override = (
        OneOf(attribute="c", values=("SE",)),
        Override(attribute="u", values=(1, "b"), variant="control"),
    )
    x = Experiment("x", EVEN, ("id",), layer, (Holdout("h", 2),), audience, (override,))
    x.assign({"id": 1, "c": "SE"})
    text = msgspec.json.encode(x)
    again = msgspec.json.decode(text, type=Experiment)
    assert again == x
    assert len(text) < 500
    assert again.variants(IDS[:500]).tolist() == x.variants(IDS[:500]).tolist()
    with pytest.raises(msgspec.ValidationError, match=r"sum to 90, not to 100.*\$\.split"):
        msgspec.json.decode(text.replace(b'["treatment",50]', b'["treatment",40]'), type=Experiment)
