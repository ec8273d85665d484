"""What there is to know of a bandit, as values: written as bytes, and merged with that of other replicas.

Legend: A arms, retired ones included.
"""

from __future__ import annotations

import msgspec
import numpy as np

from orita.core.errors import UserError
from orita.delivery.bandits.belief import FloatArray
from orita.delivery.bandits.decision_ids import DecisionIds
from orita.delivery.bandits.discount import Discount
from orita.delivery.bandits.policies import Policy
from orita.delivery.bandits.slate import Arm

__all__ = ["BanditState", "merged"]

_FORMAT = 1


class _Array(msgspec.Struct, array_like=True, frozen=True):
    """Numbers in row-major order, little-endian float64."""

    shape: tuple[int, ...]
    content: bytes


class _Written(msgspec.Struct, frozen=True):
    """The bytes' form, MessagePack."""

    format: int
    policy: Policy
    discount: Discount
    arms: list[Arm]
    retired: list[Arm]
    clock: float
    sums: dict[str, _Array]
    remembered: int
    decisions: bytes


class BanditState(msgspec.Struct, frozen=True):
    """A bandit at one moment.

    Attributes:
        policy: which.
        discount: how fast it forgets.
        arms: A names, in the order of the sums.
        retired: those that are not picked any more.
        clock: as of when the sums are.
        per_arm: whether the first axis of the sums is that of arms.
        sums: weighed sums over feedback, by name.
        decisions: ids of what was counted.
    """

    policy: Policy
    discount: Discount
    arms: list[Arm]
    retired: frozenset[Arm]
    clock: float
    per_arm: bool
    sums: dict[str, FloatArray]
    decisions: DecisionIds

    def to_bytes(self) -> bytes:
        """Return it as bytes, versioned."""
        arrays = {name: _Array(sums.shape, sums.astype("<f8").tobytes()) for name, sums in self.sums.items()}
        retired = [arm for arm in self.arms if arm in self.retired]
        capacity, decisions = self.decisions.capacity, self.decisions.to_bytes()
        written = _Written(
            _FORMAT, self.policy, self.discount, self.arms, retired, self.clock, arrays, capacity, decisions
        )
        return msgspec.msgpack.encode(written)

    @classmethod
    def from_bytes(cls, content: bytes) -> BanditState:
        """Read what ``to_bytes`` wrote.

        Raises:
            UserError: for other bytes, damaged ones, or a format of a later version.
        """
        try:
            written = msgspec.msgpack.decode(content, type=_Written)
            sums = {name: np.frombuffer(a.content, "<f8").reshape(a.shape) for name, a in written.sums.items()}
            decisions = DecisionIds.from_bytes(written.remembered, written.decisions)
            empty = written.policy.statistics(len(written.arms))
        except (msgspec.DecodeError, ValueError) as error:
            raise UserError(f"state of a bandit: these {len(content)} bytes are not one ({error})") from error
        if written.format != _FORMAT:
            raise UserError(f"state of a bandit: format {written.format}; this version reads {_FORMAT}, update Orita")
        expected = {name: array.shape for name, array in empty.sums().items()}
        if (found := {name: array.shape for name, array in sums.items()}) != expected:
            raise UserError(f"state of a bandit: arrays {found}; its policy and arms make {expected}")
        retired = frozenset(written.retired)
        return cls(
            written.policy, written.discount, written.arms, retired, written.clock, empty.per_arm, sums, decisions
        )


def merged(first: BanditState, second: BanditState, base: BanditState | None) -> BanditState:
    """Return the state that has the feedback of both, and that of their common *base* once.

    Arms of either are in it; one is retired where either retired it since the base, and back where either took it back.

    Raises:
        UserError: where policies or discounts differ.
    """
    parts = [first, second] if base is None else [first, second, base]
    for name in ("policy", "discount"):
        if any(getattr(part, name) != getattr(first, name) for part in parts):
            told = ", ".join(sorted({str(getattr(part, name)) for part in parts}))
            raise UserError(f"{name}: replicas that are merged must have the same one; these have {told}")
    arms = list(dict.fromkeys(arm for part in parts for arm in part.arms))
    old_clock = base.clock if base else first.discount.start
    clock, factors = first.discount.merging(first.clock, second.clock, old_clock)
    sums: dict[str, FloatArray] = {}
    for name, like in first.sums.items():
        total = np.zeros((len(arms) if first.per_arm else len(like), *like.shape[1:]))
        for part, factor in zip(parts, factors, strict=False):
            rows = [arms.index(arm) for arm in part.arms] if first.per_arm else slice(None)
            total[rows] += factor * part.sums[name]
        sums[name] = total
    known = base.retired if base else frozenset()
    retired = (known & first.retired & second.retired) | ((first.retired | second.retired) - known)
    decisions = first.decisions.joined(second.decisions)
    return BanditState(first.policy, first.discount, arms, retired, clock, first.per_arm, sums, decisions)
