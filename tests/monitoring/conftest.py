"""The reference that the tests of monitoring compare with."""

from __future__ import annotations

import numpy as np
import pytest
from tests.monitoring.watched_system import draw, reference_of

from orita.monitoring.reference import Reference


@pytest.fixture(scope="session")
def reference() -> Reference:
    """The reference of 3,000 requests."""
    return reference_of(draw(np.random.default_rng(100), 3000))
