"""What holds for all tests."""

from __future__ import annotations

import os

import pytest

# Workers share the cores, and threads of OpenMP that wait for one another keep them busy: one each, children included.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_LONGEST = ("cli/test_commands", "spark/test_spark_features", "test_parity_online", "cli/test_kills", "test_sink_kills")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is alone with one of them in the end."""
    items.sort(key=lambda item: next((n for n, name in enumerate(_LONGEST) if name in item.nodeid), len(_LONGEST)))
