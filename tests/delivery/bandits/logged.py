"""A log with choices and rewards, written as servers write them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import numpy as np

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.delivery.bandits.declaration_files import read_bandits
from orita.delivery.bandits.declarations import BanditDeclaration
from orita.delivery.bandits.kept import Bandits
from orita.delivery.bandits.learner import Learner
from orita.delivery.bandits.records import KEY, PARTITION, STREAM, Choice, Record, Rewards, batch_of
from orita.delivery.bandits.snapshots import snapshot_file
from orita.events.log.embedded import EmbeddedLog

__all__ = ["Logged", "choice", "rewards", "traffic"]


def choice(declaration: BanditDeclaration, *arms: str, context: list[float] | None = None, unit: str = "u") -> Choice:
    """Return a choice of *arms*, as of a uniform policy."""
    left = range(len(declaration.arms), len(declaration.arms) - len(arms), -1)
    chances, errors = [1 / each for each in left], [0.0] * len(arms)
    offered = list(declaration.arms)
    return Choice(
        declaration.key, uuid7(), 0, list(arms), offered, chances, errors, context, unit, declaration.learning, 0
    )


def rewards(of: Choice, values: list[float], arms: list[str] | None = None) -> Rewards:
    """Return rewards of a choice."""
    return Rewards(of.bandit, of.decision, 0, arms, values)


def traffic(declaration: BanditDeclaration, count: int, seed: int) -> list[Record]:
    """Return *count* choices of two arms and their rewards, mixed: some late, some twice, some never."""
    rng, records = np.random.default_rng(seed), list[tuple[float, Record]]()
    for number in range(count):
        arms = rng.permutation(declaration.arms)[:2].tolist()
        context = rng.random(len(declaration.features)).tolist() if declaration.features else None
        made = choice(declaration, *arms, context=context)
        records.append((number, made))
        for time in number + rng.exponential(20, rng.integers(0, 4)):
            records.append((time, rewards(made, rng.random(1).tolist(), [arms[int(rng.integers(2))]])))
    return [record for _, record in sorted(records, key=lambda each: each[0])]


class Logged:
    """A home with bandits, and a log that is written by hand."""

    def __init__(self, home: Home, text: str) -> None:
        self.home, self.clock = home, ManualClock()
        self.bandits = Bandits(home.control_db)
        self.declare(text)
        self.log = EmbeddedLog(home, self.clock)
        self.log.create(STREAM, PARTITION + 1)

    def declare(self, text: str) -> None:
        """Declare bandits; there are no others."""
        self.bandits.declare(read_bandits(text), actor="ana", reason="test", whole=True)

    def of(self, key: str) -> BanditDeclaration:
        """Return a declaration."""
        return self.bandits.get(key).state

    def append(self, records: Iterable[Record], *, each_seconds: float = 0.0) -> None:
        """Append records, all at once, or ten every ten times so many seconds."""
        records = list(records)
        step = 10 if each_seconds else len(records)
        for first in range(0, len(records), step):
            self.log.append(STREAM, batch_of(records[first : first + step]), key=KEY)
            self.clock.advance(timedelta(seconds=step * each_seconds))

    def learner(self, **settings: object) -> Learner:
        """Return one that looked once."""
        settings = {"snapshot_rows": 1_000_000} | settings
        made = Learner(self.bandits, self.log, snapshot_file(self.home), **settings)  # type: ignore[arg-type]
        made.look()
        return made
