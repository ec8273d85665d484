"""A package that may answer: loaded, found to be what it should be, and warm."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from orita.core.checkpoints import checkpoint, checkpoints
from orita.core.errors import UserError
from orita.serving.background.leisure import Leisure
from orita.serving.protocols import PackageLoader, ScoringPackage

__all__ = ["load_beside_requests", "load_verified"]

_WARM_ROWS = (1, 100)  # of a single item, and of a usual list


def load_verified(load: PackageLoader, folder: Path, version: str) -> ScoringPackage:
    """Return the package in *folder*, after it scored its own sample and a few rows more, so that no request is first.

    Args:
        load: opens a package.
        folder: its place in the package store.
        version: what must be there.

    Raises:
        UserError: it is not whole, is another version, or does not score its own sample as it did.
    """
    package = load(folder)
    if package.version != version:
        raise UserError(f"the package at {version!r} says it is {package.version!r}: publish it again.")
    checkpoint()
    package.check_sample()
    for rows in _WARM_ROWS:
        checkpoint()
        package.score_user(0, [0] * rows, np.zeros((rows, len(package.schema)), np.float32))
    return package


def load_beside_requests(load: PackageLoader, folder: Path, version: str) -> ScoringPackage:
    """Return what `load_verified` does; for a caller who waits while others are answered.

    Raises:
        UserError: as `load_verified`.
    """
    leisure = Leisure(threading.Event())
    leisure.begin(waited_for=True)
    with checkpoints(leisure.pause):
        return load_verified(load, folder, version)
