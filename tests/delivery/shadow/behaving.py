"""Candidates that behave as they are told; a process that opens one loads little beside this."""

from __future__ import annotations

import os
import signal
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.shadow import Candidate
from orita.features.schema import FeatureColumn, FeatureSchema

__all__ = ["FEATURES", "MORE", "TRIGGER", "Behaving", "HashedReader", "Model", "Store", "schema_of"]

FEATURES = ("item_ctr", "item_popularity")
MORE = (*FEATURES, "item_age")
TRIGGER = 7
"""Some behave badly in requests of so many items only."""

Floats = npt.NDArray[np.float32]


def schema_of(names: Sequence[str]) -> FeatureSchema:
    """Return features of items with these names."""
    return FeatureSchema(tuple(FeatureColumn(name, "item") for name in names))


@dataclass(frozen=True)
class HashedReader:
    """Features in [0, 1), equal for equal user, item and name, whether ids are numbers or texts."""

    names: tuple[str, ...]

    def matrix(
        self, user_id: int | str, item_ids: Sequence[int | str], context: Mapping[str, object], at: int, /
    ) -> Floats:
        """Return ``x_NF``; a time before 2000 is refused."""
        if at < 946_684_800_000_000:
            raise UserError(f"timestamp {at} is before what the features know: send a later one.")
        items_N = np.array([zlib.crc32(str(item).encode()) for item in item_ids], np.uint64)
        names_F = np.array([zlib.crc32(name.encode()) for name in self.names], np.uint64)
        mixed_NF = items_N[:, None] * 2654435761 + names_F * 40503 + zlib.crc32(str(user_id).encode())
        return (mixed_NF % 1_000_003 / 1_000_003).astype(np.float32)


class Store:
    """Reads hashed features."""

    def refresh(self) -> bool:
        """Say that there is nothing new."""
        return False

    def reader(self, schema: FeatureSchema, /) -> HashedReader:
        """Return a reader of *schema*."""
        return HashedReader(schema.names)


@dataclass
class Model:
    """A model that scores the mean of its features, or does something else."""

    version: str
    behaviour: str
    schema: FeatureSchema
    held: list[bytearray] = field(default_factory=list)

    def check_sample(self) -> None:
        """Pass."""

    def score_user(self, user_id: int | str, item_ids: Sequence[int | str], x_NF: Floats, **_: Any) -> Floats:
        """Return ``scores_N``, or behave."""
        scores_N: Floats = x_NF.mean(axis=1).astype(np.float32)
        triggered = len(item_ids) == TRIGGER
        match self.behaviour:
            case "reversed":
                return 1 - scores_N
            case "raises":
                raise ZeroDivisionError("nothing to divide by")
            case "no_number":
                return np.full_like(scores_N, np.nan)
            case "short":
                return scores_N[:-1]
            case "hangs" if triggered:
                time.sleep(60)
            case "loops" if triggered:
                while True:
                    pass
            case "crashes" if triggered:
                os.kill(os.getpid(), signal.SIGSEGV)
            case "spins":
                until = time.process_time() + 0.02
                while time.process_time() < until:
                    pass
            case "leaks":
                self.held.append(bytearray(b"x") * (48 << 20))
        return scores_N


@dataclass(frozen=True)
class Behaving:
    """Opens candidates by version; ``missing`` does not load."""

    behaviours: Mapping[str, str]
    features: tuple[str, ...] = FEATURES

    def __call__(self, version: str) -> Candidate:
        """Return a candidate that behaves as its version is told."""
        behaviour = self.behaviours[version]
        if behaviour == "missing":
            raise ValueError(f"{version} is not there")
        model = Model(version, behaviour, schema_of(self.features))
        return Candidate(model, lambda _: schema_of(FEATURES), Store)
