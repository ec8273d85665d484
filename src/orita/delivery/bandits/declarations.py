"""A bandit that is served, as a declaration: what it picks among, how it learns, and what it is told.

A file has ``bandits``, a list of these:

    bandits:
      - key: front-page-title
        policy: {type: bernoulli_thompson, successes: 1, failures: 9}
        arms: [short, long, question]
        wait_seconds: 3600        # a click comes within an hour …
        unrewarded: 0             # … and what was not clicked by then earned nothing
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal

import msgspec

from orita.core.errors import UserError
from orita.core.names import check_name
from orita.delivery.bandits.discount import Discount, PerUpdate
from orita.delivery.bandits.linear_policies import LinearThompson, LinUCB
from orita.delivery.bandits.policies import Policy

__all__ = ["BanditDeclaration", "BanditFile", "check_bandit", "features_wanted"]

MOST_ARMS, MOST_FEATURES, MOST_LETTERS = 1_000, 500, 256
MOST_VALUE = 1e6
"""The largest feature, of either sign: sums have their squares, and one far larger would drown all others for good."""
_MOST_NUMBERS = 5_000_000
"""Of a matrix for each arm, 40 MB; a process has a few of them."""
_MOST_WAIT = 90 * 86_400.0


class BanditDeclaration(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, dict=True
):
    """One bandit.

    Attributes:
        key: its name in paths: lower-case letters, digits, ``-`` and ``_``.
        description: for people.
        policy: how it picks, by its ``type``; see `orita.delivery.bandits.Policy`.
        arms: what it picks among, 1 to 1,000 distinct texts. One that is taken out is not picked any more, and comes
            back with what was learnt of it.
        features: names of the numbers of a context, in their order, for ``lin_ucb`` and ``linear_thompson``.
        missing: what a feature counts that a request leaves out: ``refuse`` the request, or ``zero``.
        discount: how fast what was learnt is forgotten; None: never.
        rewards: the least and the greatest reward that is taken; None: as the policy takes them.
        wait_seconds: how long after a choice its rewards may come; later ones do not count.
        unrewarded: what an arm earned for which none came within that time, such as 0 where only clicks are told;
            None: nothing is learnt of it.
        most_open: choices that may wait for rewards at once, those whose arms all have theirs left out; with one more
            the oldest waits no longer, as if ``wait_seconds`` were over.
        seed: of the picks, so that a test can be repeated; None: from the operating system.
    """

    key: str
    policy: Policy
    arms: tuple[str, ...]
    description: str = ""
    features: tuple[str, ...] = ()
    missing: Literal["refuse", "zero"] = "refuse"
    discount: Discount | None = None
    rewards: tuple[float, float] | None = None
    wait_seconds: float = 86_400.0
    unrewarded: float | None = None
    most_open: int = 100_000
    seed: int | None = None

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest reward that is taken."""
        return self.rewards or self.policy.rewards

    @property
    def learning(self) -> str:
        """Return a digest of all that decides what feedback amounts to, the same for declarations that share it.

        Policies keep sums of feedback. Priors, ε and the width of bounds are not in them, so those may be changed
        without losing what was learnt; features, forgetting, waiting and which rewards a policy takes may not.
        """
        linear = isinstance(self.policy, LinUCB | LinearThompson)
        origin = 0.0 if linear else float(getattr(self.policy, "mean", 0.0))
        basis = (linear, origin, self.policy.rewards, self.features, self.discount or PerUpdate())
        waiting = (self.wait_seconds, self.unrewarded, self.most_open)
        return blake2b(msgspec.msgpack.encode((*basis, *waiting)), digest_size=6).hexdigest()


class BanditFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bandits as a file has them."""

    bandits: tuple[BanditDeclaration, ...] = ()


def features_wanted(policy: Policy) -> int:
    """Return how many features a policy takes, 0 for one without context."""
    return policy.features if isinstance(policy, LinUCB | LinearThompson) else 0


def check_bandit(bandit: BanditDeclaration) -> None:
    """Refuse a declaration that contradicts itself.

    Raises:
        UserError: it does; the sentence names the bandit and the field.
    """
    check_name("bandit", bandit.key)
    problem = next(iter(_problems(bandit)), None)
    if problem is not None:
        raise UserError(f"bandit {bandit.key!r}: {problem}")


def _problems(bandit: BanditDeclaration) -> Iterable[str]:
    yield from _of_names("arms", bandit.arms, MOST_ARMS)
    yield from _of_names("features", bandit.features, MOST_FEATURES)
    if not bandit.arms:
        yield "arms has none: name one or more."
    yield from _of_policy(bandit)
    low, high = bandit.range
    least, most = bandit.policy.rewards
    if bandit.rewards and not (least <= low < high <= most and math.isfinite(low) and math.isfinite(high)):
        yield (
            f"rewards is [{low:g}, {high:g}]: give two finite numbers, the least first, within {least:g} to {most:g}, "
            "which this policy takes."
        )
    if bandit.unrewarded is not None and not (low <= bandit.unrewarded <= high and math.isfinite(bandit.unrewarded)):
        yield f"unrewarded is {bandit.unrewarded}: must be a reward, finite and from {low:g} to {high:g}."
    if not 1 <= bandit.wait_seconds <= _MOST_WAIT:
        yield f"wait_seconds is {bandit.wait_seconds}: allowed are 1 to {_MOST_WAIT:,.0f}, which is 90 days."
    if not 1 <= bandit.most_open <= 10_000_000:
        yield f"most_open is {bandit.most_open}: allowed are 1 to 10,000,000 choices, some 200 bytes each."
    if bandit.seed is not None and bandit.seed < 0:
        yield f"seed is {bandit.seed}: give 0 or more, or leave it out."


def _of_names(field: str, names: tuple[str, ...], most: int) -> Iterable[str]:
    if len(names) > most:
        yield f"{field} has {len(names):,}, allowed are {most:,}."
    if twice := next((name for number, name in enumerate(names) if name in names[:number]), None):
        yield f"{field} has {twice!r} twice: name each once."
    if wrong := [name for name in names if not 1 <= len(name) <= MOST_LETTERS]:
        yield f"{field} has a name of {len(wrong[0])} characters, allowed are 1 to {MOST_LETTERS}."


def _of_policy(bandit: BanditDeclaration) -> Iterable[str]:
    policy, wanted = bandit.policy, features_wanted(bandit.policy)
    if not wanted and bandit.features:
        yield "features are named, but the policy takes none: leave them out, or use lin_ucb or linear_thompson."
    if wanted and len(bandit.features) != wanted:
        yield f"policy.features is {wanted}, and features names {len(bandit.features)}: name as many, in their order."
    if (numbers := len(bandit.arms) * len(bandit.features) ** 2) > _MOST_NUMBERS:
        yield (
            f"arms has {len(bandit.arms):,} and features {len(bandit.features)}, which makes {numbers:,} numbers, arms "
            f"times features squared: allowed are {_MOST_NUMBERS:,}. Name fewer features, or fewer arms."
        )
    if getattr(policy, "shared", False):
        yield "policy.shared is true, and a context that is sent has no rows for arms: serve it with shared: false."
    if not math.isfinite(getattr(policy, "initial", 0.0)):
        yield "policy.initial is infinite: give a finite number, such as 1, the best reward there can be."
