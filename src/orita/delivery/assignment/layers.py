"""Exclusion: experiments of one layer never share a user; a holdout is kept out of all of them.

    layer = Layer("ranking").allocate("checkout", 20).allocate("colours", 30)
    layer.owner(user_id)                             # 'checkout', 'colours' or None: nobody is in both
    layer = layer.release("checkout")

A layer cuts its users into buckets by a salt of its own, so two layers are independent, and experiments in different
layers overlap as chance has it. Who is given buckets anew keeps what it had. Layers are values: keep what is returned.

Source: D. Tang et al., Overlapping Experiment Infrastructure, KDD 2010, sections 3 and 4.

Legend: N units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from orita.core.errors import NotFound, UserError, closest
from orita.delivery.assignment.hashing import Unit, fraction, fractions
from orita.delivery.assignment.split import POINTS, points_of

__all__ = ["Holdout", "Layer"]


class Layer(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Experiments that exclude one another.

    Attributes:
        name: also its salt.
        buckets: 1,000 or 10,000; an experiment owns whole ones.
        slices: by experiment, the buckets it owns, as (first, end) with the end not included.

    Raises:
        UserError: another number of buckets, or slices that overlap or leave the layer.
    """

    name: str
    buckets: int = 10_000
    slices: Mapping[str, tuple[tuple[int, int], ...]] = {}  # msgspec gives each layer its own

    def __post_init__(self) -> None:
        if self.buckets not in (1_000, 10_000):
            raise UserError(f"layer {self.name!r}: buckets is {self.buckets}, allowed are 1000 and 10000.")
        owners: list[str | None] = [None] * self.buckets
        for experiment, slices in self.slices.items():
            for first, end in slices:
                if not 0 <= first < end <= self.buckets:
                    raise UserError(
                        f"layer {self.name!r}: {experiment!r} owns [{first}, {end}), allowed is 0 … {self.buckets}."
                    )
                if taken := next((owner for owner in owners[first:end] if owner is not None), None):
                    raise UserError(f"layer {self.name!r}: {experiment!r} and {taken!r} overlap in [{first}, {end}).")
                owners[first:end] = [experiment] * (end - first)

    @cached_property
    def _owners(self) -> tuple[str | None, ...]:
        """The experiment that owns each bucket."""
        owners: list[str | None] = [None] * self.buckets
        for experiment, slices in self.slices.items():
            for first, end in slices:
                owners[first:end] = [experiment] * (end - first)
        return tuple(owners)

    @property
    def free(self) -> float:
        """Percent of the layer that no experiment owns."""
        return self._owners.count(None) * 100 / self.buckets

    def allocate(self, experiment: str, percent: float) -> Layer:
        """Return the layer in which *experiment* owns *percent* more of all users, in the lowest buckets that are free.

        Buckets that another experiment has released may still carry its effects: leave them free for a while where
        that matters.

        Raises:
            UserError: *percent* is not a whole number of buckets above 0, or not as much is free.
        """
        count, rest = divmod(points_of(f"the share of {experiment!r}", percent) * self.buckets, POINTS)
        if rest or not count:
            raise UserError(
                f"the share of {experiment!r} is {percent!r} %: allowed are multiples of {100 / self.buckets:g} % "
                f"above 0, a bucket of layer {self.name!r} each."
            )
        free = [bucket for bucket, owner in enumerate(self._owners) if owner is None]
        if count > len(free):
            raise UserError(
                f"layer {self.name!r} has {self.free:g} % free and {experiment!r} wants {percent:g} %: release an "
                f"experiment, or take another layer. It holds {', '.join(self.slices) or 'none'}."
            )
        taken = set(free[:count])
        own = [bucket in taken or owner == experiment for bucket, owner in enumerate(self._owners)]
        return Layer(self.name, self.buckets, {**self.slices, experiment: _runs(own)})

    def release(self, experiment: str) -> Layer:
        """Return the layer without *experiment*.

        Raises:
            NotFound: it owns nothing here.
        """
        if experiment not in self.slices:
            raise NotFound(f"{experiment!r} owns nothing of layer {self.name!r}. {closest(experiment, self.slices)}")
        return Layer(self.name, self.buckets, {name: own for name, own in self.slices.items() if name != experiment})

    def bucket(self, unit: Unit) -> int:
        """Return the bucket of *unit*, from 0 to `buckets` − 1."""
        return int(fraction(f"layer/{self.name}", unit) * self.buckets)

    def owner(self, unit: Unit) -> str | None:
        """Return the experiment that *unit* belongs to, None where its bucket is free."""
        return self._owners[self.bucket(unit)]

    def owned(self, experiment: str, units_N: Iterable[Unit] | npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
        """Return for each unit whether it belongs to *experiment*, as `owner` says."""
        buckets_N = (fractions(f"layer/{self.name}", units_N) * self.buckets).astype(np.intp)
        return np.array([owner == experiment for owner in self._owners])[buckets_N]


class Holdout(Struct, frozen=True, forbid_unknown_fields=True):
    """Units that are kept out of every experiment that names it, to see what all of them together are worth.

    Attributes:
        name: also its salt.
        percent: how many; when it grows, who was held out stays so.

    Raises:
        UserError: *percent* is no percentage with up to four decimals.
    """

    name: str
    percent: float

    def __post_init__(self) -> None:
        points_of(f"the percent of holdout {self.name!r}", self.percent)

    def holds(self, unit: Unit) -> bool:
        """Tell whether *unit* is kept out."""
        return fraction(f"holdout/{self.name}", unit) < self.percent / 100

    def held(self, units_N: Iterable[Unit] | npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
        """Return for each unit whether it is kept out, as `holds` says."""
        return fractions(f"holdout/{self.name}", units_N) < self.percent / 100


def _runs(own: list[bool]) -> tuple[tuple[int, int], ...]:
    """Return where *own* is true, as (first, end)."""
    edges = np.flatnonzero(np.diff(np.array([False, *own, False]).astype(np.int8)))
    return tuple((int(first), int(end)) for first, end in edges.reshape(-1, 2))
