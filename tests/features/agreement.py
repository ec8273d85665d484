"""How the parity tests compare: all features of a row at once, and how many examples they try."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import HealthCheck, settings
from tests.features.oracle_values import Value

__all__ = ["LONG", "SHORT", "check"]

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

SHORT = settings(max_examples=5, deadline=None, suppress_health_check=_CHECKS)
"""For `make test`."""

LONG = settings(max_examples=400, deadline=None, suppress_health_check=_CHECKS)
"""For `make test-slow`."""


def check(found: Mapping[str, float | None], expected: Mapping[str, Value], what: str) -> None:
    """Assert that a row of an engine has the oracle's features, and their values."""
    assert sorted(found) == sorted(expected), f"{what}: other features"
    wrong = {name: (found[name], value) for name, value in expected.items() if not value.agrees(found[name])}
    assert not wrong, f"{what}: {wrong}"
