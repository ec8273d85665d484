"""The kinds of model packages, and what checks any of them: rankers, predictors, retrievers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from orita.models.package.signing import Trust
from orita.models.package.verify import Check, Opened, Opener, verify_package
from orita.models.tasks.load import PREDICTOR_FILE, open_predictor

__all__ = ["OTHER_KINDS", "verify_any"]


def _open_retriever(folder: Path, trust: Trust) -> Opened:
    from orita.models.retrieval.package import open_retriever  # SciPy, which other packages do not need

    return open_retriever(folder, trust)


OTHER_KINDS: Mapping[str, Opener] = MappingProxyType(
    {PREDICTOR_FILE: open_predictor, "retriever.json": _open_retriever}
)
"""How a package is opened that is no ranker's, by the file that declares its kind."""


def verify_any(folder: Path, trust: Trust) -> list[Check]:
    """Check the package at *folder*, whichever kind it is of; see `verify_package`."""
    return verify_package(folder, trust, OTHER_KINDS)
