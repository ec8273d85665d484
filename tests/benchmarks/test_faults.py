"""Each kind of fault is one: it changes the batch, and its trait or figure shows it to who knows it."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.fault_kinds import FAULTS, Fault, inject
from benchmarks.fault_worlds import generated_orders, table_of

_WORLD = generated_orders(2, rows=500, seed=0)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_shows_in_its_trait_and_leaves_the_batch_that_it_was_given(fault: Fault) -> None:
    """At a fifth of the rows; and the batch becomes an Arrow table as any other."""
    rows, roles = _WORLD.batches[0], _WORLD.roles
    before = table_of(rows)
    faulty = inject(fault, rows, roles, 0.2, np.random.default_rng(0))
    assert table_of(rows).equals(before)
    assert not table_of(faulty).equals(before)
    if fault.figure is not None:
        assert fault.figure(faulty, roles) > fault.figure(rows, roles)
        return
    assert fault.trait is not None
    plain, changed = (np.nan_to_num(fault.trait(each, roles).astype(float), nan=-1e9) for each in (rows, faulty))
    assert not np.array_equal(np.sort(plain), np.sort(changed))


def test_the_same_seed_gives_the_same_orders() -> None:
    """And another seed others; every day has its own number of rows and its own end."""
    again, other = generated_orders(2, rows=500, seed=0), generated_orders(2, rows=500, seed=1)
    assert table_of(again.batches[1]).equals(table_of(_WORLD.batches[1]))
    assert not table_of(other.batches[1]).equals(table_of(_WORLD.batches[1]))
    assert len(FAULTS) >= 40
