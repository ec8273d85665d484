"""A bandit: a policy, its arms, and what it has learnt of them.

Legend: A arms that may be picked, D features, K positions of a slate, N updates.

Picks change nothing; feedback comes later, in batches and any order. A bandit has no lock: it belongs to one thread,
and replicas exchange bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from orita.core.errors import NotFound, UserError, closest
from orita.delivery.bandits.belief import Belief, FloatArray, Propensities
from orita.delivery.bandits.decision_ids import DecisionIds
from orita.delivery.bandits.discount import Discount, PerUpdate
from orita.delivery.bandits.policies import Policy
from orita.delivery.bandits.slate import Arm, Slate
from orita.delivery.bandits.state import BanditState, merged
from orita.delivery.bandits.statistics import Statistics

__all__ = ["Bandit"]


class Bandit:
    """Picks arms, and learns by their rewards.

    >>> from orita.delivery.bandits import BernoulliThompson
    >>> bandit = Bandit(BernoulliThompson(), ["red", "green", "blue"])
    >>> rng = np.random.default_rng(0)
    >>> slate = bandit.slate(2, rng)
    >>> slate.arms, slate.propensities_K.round(3).tolist()
    (('blue', 'red'), [0.333, 0.5])
    >>> bandit.update("blue", 1.0, decision="0193")
    True
    >>> bandit.update("blue", 1.0, decision="0193")
    False

    Args:
        policy: which, as declared.
        arms: distinct names, in the order of all arrays by arm.
        discount: how fast feedback is forgotten; None never forgets.
        remembered: how many ids of decisions are kept, to count feedback once that comes twice; 0 keeps none.
    """

    def __init__(
        self, policy: Policy, arms: Iterable[Arm], *, discount: Discount | None = None, remembered: int = 100_000
    ) -> None:
        if remembered < 0:
            raise UserError(f"remembered {remembered}: must be 0 or more decision ids; 0 counts all feedback")
        self.policy = policy
        self.discount = discount or PerUpdate()
        self.statistics: Statistics = policy.statistics(0)
        self._features: int = getattr(policy, "features", 0)
        self.clock = self.discount.start
        self.decisions = DecisionIds(remembered)
        self._kept_belief: Belief | None = None
        self._position: dict[Arm, int] = {}
        self._retired: set[Arm] = set()
        self.add_arms(arms)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Return the A arms that may be picked, in the order of arrays by arm and of the rows of a shared context."""
        return self._arms

    @property
    def retired(self) -> frozenset[Arm]:
        """Return arms that are not picked any more; feedback on them still counts."""
        return frozenset(self._retired)

    def add_arms(self, arms: Iterable[Arm]) -> None:
        """Add arms without feedback; a retired one comes back with what was learnt of it."""
        added = list(arms)
        for number, arm in enumerate(added):
            if (arm in self._position and arm not in self._retired) or arm in added[:number]:
                raise UserError(f"arm {arm!r}: is there already; arms must be distinct")
        self._retired.difference_update(added)
        for arm in added:
            self._position.setdefault(arm, len(self._position))
        self.statistics.grow(len(self._position))
        self._changed_arms()

    def retire_arms(self, arms: Iterable[Arm]) -> None:
        """Stop picking arms; what was learnt of them is kept, and late feedback counts."""
        retired = list(arms)
        for arm in retired:
            self._index(arm)
        self._retired.update(retired)
        self._changed_arms()

    def pick(self, rng: np.random.Generator, context: npt.ArrayLike | None = None) -> Arm:
        """Return one arm, without its propensity.

        Args:
            rng: the randomness of the pick.
            context: of linear policies: [D], or [A, D] in the order of ``arms`` for a shared model.
        """
        return self._arms[self._belief(context).pick(rng)]

    def order(self, k: int, rng: np.random.Generator, context: npt.ArrayLike | None = None) -> tuple[Arm, ...]:
        """Return *k* distinct arms, 1 ≤ k ≤ A, without their propensities."""
        self._check_k(k)
        return tuple(self._arms[arm] for arm in self._belief(context).order(k, rng))

    def slate(
        self,
        k: int,
        rng: np.random.Generator,
        context: npt.ArrayLike | None = None,
        *,
        among: Sequence[Arm] | None = None,
    ) -> Slate:
        """Return *k* distinct arms with the probability of each given those before it.

        Args:
            k: from 1 to the number of arms that are offered.
            rng, context: as of ``pick``; a shared model has a row for each arm that is offered.
            among: the arms that are offered, distinct; None: all that may be picked.
        """
        offered = self._arms if among is None else tuple(among)
        if not 1 <= k <= len(offered):
            raise UserError(f"k {k}: must be 1 to {len(offered)}, the arms that are offered")
        belief = self._belief(context, None if among is None else offered)
        order_K = belief.order(k, rng)
        chances = belief.conditionals(order_K, rng)
        return Slate(tuple(offered[arm] for arm in order_K), chances.values, chances.errors)

    def propensities(
        self, slate: Sequence[Arm], context: npt.ArrayLike | None = None, *, rng: np.random.Generator | None = None
    ) -> Propensities:
        """Return the probability of each pick of any slate given those before it, [K]: to evaluate on a log."""
        active = {arm: position for position, arm in enumerate(self._arms)}
        if len(set(slate)) != len(slate) or not set(slate) <= set(active) or not slate:
            raise UserError(f"slate {list(slate)}: must be distinct arms that may be picked: {list(self._arms)}")
        return self._belief(context).conditionals([active[arm] for arm in slate], rng or np.random.default_rng(0))

    def probabilities(
        self, context: npt.ArrayLike | None = None, *, rng: np.random.Generator | None = None
    ) -> Propensities:
        """Return the probability of each arm to be picked at the first position, [A].

        Args:
            context: as of ``pick``.
            rng: for policies whose probabilities are by Monte Carlo; without one they are seeded with 0.
        """
        return self._belief(context).probabilities(rng or np.random.default_rng(0))

    def update(
        self,
        arm: Arm,
        reward: float,
        context: npt.ArrayLike | None = None,
        *,
        decision: str | None = None,
        at: float | None = None,
    ) -> bool:
        """Learn the reward of one arm; return False where it was counted already.

        Args:
            arm: that was shown, retired or not.
            reward: finite; in [0, 1] for Bernoulli.
            context: [D] of linear policies, that of the pick; the arm's own row for a shared model.
            decision: id of the answer; feedback of one decision on one arm counts once, as long as it is remembered.
            at: seconds since the Unix epoch, needed with a half-life.
        """
        index, reward = self._index(arm), float(reward)
        context_D = self._finite(context)
        low, high = self.policy.rewards
        if not (low <= reward <= high and math.isfinite(reward)):
            raise UserError(f"reward {reward} of arm {arm!r}: must be finite and from {low:g} to {high:g}")
        clock, decay, weight = self.discount.step(self.clock, at)
        if decision is not None and not self.decisions.add(decision, arm):
            return False
        self.clock = clock
        self.statistics.add(index, reward, context_D, weight=weight, decay=decay)
        self._kept_belief = None
        return True

    def update_many(
        self,
        arms: Sequence[Arm],
        rewards: npt.ArrayLike,
        contexts: npt.ArrayLike | None = None,
        *,
        decisions: Sequence[str] | None = None,
        at: npt.ArrayLike | None = None,
    ) -> int:
        """Learn N rewards at once, as by N calls of ``update`` in this order; return how many were counted.

        Args:
            arms: N.
            rewards: [N].
            contexts: [N, D] of linear policies.
            decisions: N ids.
            at: [N] seconds since the Unix epoch.
        """
        arms_N = np.array([self._index(arm) for arm in arms], np.int64)
        rewards_N, at_N = _column("rewards", rewards, len(arms)), None if at is None else _column("at", at, len(arms))
        contexts_ND = self._finite(contexts, len(arms))
        low, high = self.policy.rewards
        if not (np.isfinite(rewards_N) & (rewards_N >= low) & (rewards_N <= high)).all():
            raise UserError(f"rewards: must all be finite and from {low:g} to {high:g}")
        if not len(arms):
            return 0
        self.discount.steps(self.clock, at_N, len(arms))  # refuses bad times before any decision is remembered
        if decisions is not None:
            if len(decisions) != len(arms):
                raise UserError(f"decisions: {len(decisions)} of them; must be one a reward, {len(arms)}")
            fresh_N = np.array([self.decisions.add(*pair) for pair in zip(decisions, arms, strict=True)], bool)
            arms_N, rewards_N = arms_N[fresh_N], rewards_N[fresh_N]
            contexts_ND = None if contexts_ND is None else contexts_ND[fresh_N]
            at_N = None if at_N is None else at_N[fresh_N]
        if len(arms_N):
            self.clock, decay, weights_N = self.discount.steps(self.clock, at_N, len(arms_N))
            self.statistics.add_many(arms_N, rewards_N, contexts_ND, weights_N=weights_N, decay=decay)
            self._kept_belief = None
        return len(arms_N)

    def merge(self, other: Bandit, *, base: Bandit | None = None) -> Bandit:
        """Return the bandit that has the feedback of both replicas, which saw different feedback since *base*.

        Give as *base* the state that both went on from; without one both began empty. Feedback that both were given
        counts twice: send what is told of one decision to one replica. ``Discount`` says how what is forgotten merges.

        Raises:
            UserError: where policies or discounts differ.
        """
        return Bandit._of(merged(self._state(), other._state(), base._state() if base else None))

    def with_policy(self, policy: Policy) -> Bandit:
        """Return a bandit that knows the same and picks by another policy, with other priors or another width.

        Raises:
            UserError: the policy keeps other sums: of other features, shared or not, or about another mean.
        """
        state, own, other = self._state(), self.policy, policy
        shapes = [{name: x.shape for name, x in each.statistics(2).sums().items()} for each in (own, other)]
        if shapes[0] != shapes[1] or getattr(own, "mean", 0.0) != getattr(other, "mean", 0.0):
            raise UserError(f"policy {other}: it keeps other sums than {own}; begin a bandit of its own")
        return Bandit._of(msgspec.structs.replace(state, policy=policy))

    def copy(self) -> Bandit:
        """Return a bandit that knows the same, and goes on by itself; for one that picks in another thread."""
        return Bandit._of(self._state())

    def to_bytes(self) -> bytes:
        """Return all that it knows as bytes, versioned."""
        return self._state().to_bytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> Bandit:
        """Return the bandit that was written; UserError for other bytes."""
        return cls._of(BanditState.from_bytes(content))

    def _state(self) -> BanditState:
        per_arm, sums = self.statistics.per_arm, self.statistics.sums()
        arms, retired = list(self._position), self.retired
        return BanditState(self.policy, self.discount, arms, retired, self.clock, per_arm, sums, self.decisions)

    @classmethod
    def _of(cls, state: BanditState) -> Bandit:
        bandit = cls(state.policy, state.arms, discount=state.discount, remembered=state.decisions.capacity)
        bandit.statistics.load(state.sums)
        bandit.clock, bandit.decisions = state.clock, DecisionIds(state.decisions.capacity, state.decisions)
        bandit.retire_arms(state.retired)
        return bandit

    def _changed_arms(self) -> None:
        self._arms = tuple(arm for arm in self._position if arm not in self._retired)
        self._active_A = np.array([self._position[arm] for arm in self._arms], np.int64)
        self._kept_belief = None

    def _belief(self, context: npt.ArrayLike | None, among: tuple[Arm, ...] | None = None) -> Belief:
        make: Callable[..., Belief] = self.policy.belief
        if not self._arms:
            raise UserError("arms: none may be picked; add one or take a retired one back with add_arms")
        offered_A = self._active_A if among is None else self._offered(among)
        if not self.statistics.has_context:
            if context is not None:
                raise UserError(f"context: {type(self.policy).__name__} takes none; leave it out or use LinUCB")
            if among is not None:
                return make(self.statistics, offered_A)
            if self._kept_belief is None:
                self._kept_belief = make(self.statistics, offered_A)
            return self._kept_belief
        shape = (self._features,) if self.statistics.per_arm else (len(offered_A), self._features)
        return make(self.statistics, offered_A, _shaped(context, shape))

    def _offered(self, among: tuple[Arm, ...]) -> npt.NDArray[np.int64]:
        """Return the positions of arms that may be picked."""
        if len(set(among)) != len(among):
            raise UserError(f"among {list(among)}: must be distinct arms")
        positions = [self._index(arm) for arm in among]
        if retired := [arm for arm in among if arm in self._retired]:
            raise UserError(f"arm {retired[0]!r} is retired: offer arms that may be picked, {list(self._arms)}")
        return np.array(positions, np.int64)

    def _finite(self, context: npt.ArrayLike | None, *rows: int) -> FloatArray | None:
        """Return finite contexts of updates, [*rows, D]; None for policies without."""
        if not self.statistics.has_context:
            if context is not None:
                raise UserError(f"context: {type(self.policy).__name__} takes none; leave it out or use LinUCB")
            return None
        return _shaped(context, (*rows, self._features))

    def _index(self, arm: Arm) -> int:
        try:
            return self._position[arm]
        except KeyError:
            raise NotFound(
                f"arm {arm!r} is not one of this bandit. {closest(str(arm), map(str, self._arms))}"
            ) from None

    def _check_k(self, k: int) -> None:
        if not 1 <= k <= len(self._arms):
            raise UserError(f"k {k}: must be 1 to {len(self._arms)}, the arms that may be picked")


def _shaped(context: npt.ArrayLike | None, shape: tuple[int, ...]) -> FloatArray:
    values = np.asarray(context, np.float64)  # None is NaN without a shape
    if values.shape != shape:
        raise UserError(f"context: shape {values.shape}; this policy and its arms take {shape}")
    if not np.isfinite(values).all():
        raise UserError("context: must be finite numbers; impute what is missing before")
    return values


def _column(name: str, values: npt.ArrayLike, count: int) -> FloatArray:
    values_N = np.asarray(values, np.float64)
    if values_N.shape != (count,):
        raise UserError(f"{name}: shape {values_N.shape}; must be one an arm that is given, {(count,)}")
    return values_N
