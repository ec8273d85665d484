"""A simulated feed over days: two policies, each with half of the users, and what the business gains by one of them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from orita.core.clock import SystemClock, from_micros, to_micros
from orita.core.errors import UserError
from orita.core.progress import SILENT, Progress
from orita.events.world import World
from orita.events.world.arrays import Integers
from orita.simulate.befalling import Befalling
from orita.simulate.days import Days, Feedback
from orita.simulate.feed_plan import FeedParts, FeedPlan, FeedSimulation
from orita.simulate.figures import figures_of
from orita.simulate.http_policy import HttpFeedback, HttpPolicy
from orita.simulate.life import Life
from orita.simulate.model_policy import ModelPolicy
from orita.simulate.online_copy import OnlineCopy, SimulatedClock
from orita.simulate.panel import choose_panel, with_new_users
from orita.simulate.policies import ItemRates, Oracle, Policy, Popularity, Random

__all__ = ["simulate_feed"]

_DAY = 86_400_000_000
_ARMS = ("policy", "vs", "ceiling")


@dataclass(frozen=True, slots=True)
class _Platform:
    """What ranks for models and takes what users did.

    Attributes:
        feedback: takes it.
        model: returns a policy by the name of a model.
        watermark: time of the latest event that it knows; None: it knows none.
    """

    feedback: Feedback
    model: Callable[[str], Policy]
    watermark: int | None


class _Nobody:
    """Takes what users did where no model learns from it."""

    def take(self, rows: pa.Table, until: int, /) -> None:
        pass


def simulate_feed(parts: FeedParts, plan: FeedPlan, *, progress: Progress = SILENT) -> FeedSimulation:
    """Let users live with two policies for some days.

    The home of the project stays as it is: in this process, features are read from a copy of the online state, which
    takes in what users do; a server that is asked by HTTP takes it in itself.

    Raises:
        UserError: a size is out of bounds, too few users had joined the world, the scenario does not fit, or no server
            answers.
        NotFound: there is no such version.
        NotPublished: there is no online state.
    """
    began = time.monotonic()
    plan.checked(parts.world)
    clock = SimulatedClock(parts.world.rhythm.end)
    with _platform(parts, plan, clock, progress) as platform:
        start = -(-max(parts.world.rhythm.end, (platform.watermark or 0) + 1) // _DAY) * _DAY
        _refuse_later_than_now(plan, start)
        clock.move(start)
        world = with_new_users(parts.world, plan.scenario, start=start, seed=plan.seed)
        arms = _ARMS[: len(plan.policies)]
        panel = choose_panel(world, users=plan.users, arms=arms, start=start, seed=plan.seed)
        life, rates = Life(world, panel, plan.habits), ItemRates(*parts.counts)
        policies = [_policy(name, life, rates, platform) for name in plan.policies]
        befalling = Befalling(plan.scenario, _popular(world, rates, start), seed=plan.seed)
        days = Days(
            life,
            policies,
            rates,
            befalling,
            platform.feedback,
            start=start,
            days=plan.days,
            candidates=plan.candidates,
            seed=plan.seed,
        )
        tally = days.run(progress)
    names = _apart([policy.name for policy in policies])
    figures = figures_of(tally, panel, names, start=start)
    return FeedSimulation(plan, start, figures, int(tally.counts["shown"].sum()), time.monotonic() - began)


def _refuse_later_than_now(plan: FeedPlan, start: int) -> None:
    """Refuse days that have not come yet where a server takes the events: it takes none of the future."""
    if plan.http is not None and start + plan.days * _DAY > to_micros(SystemClock().now()):
        raise UserError(
            f"the {plan.days} days would begin on {from_micros(start):%Y-%m-%d}, after the latest event of this home, "
            "and last into the future, of which a server takes no events: leave out --http, or use a home whose users "
            "have not come by the clock on the wall yet."
        )


@contextmanager
def _platform(parts: FeedParts, plan: FeedPlan, clock: SimulatedClock, progress: Progress) -> Iterator[_Platform]:
    """Open what ranks for models: a server that runs, or the predict path and a copy of the online state."""
    with ExitStack() as opened:
        if plan.models and plan.http is None:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="orita-simulation-")))
            generations, validation = parts.generations(), parts.validation
            copy = OnlineCopy(parts.system, generations, folder, clock, validation=validation, progress=progress)
            opened.enter_context(closing(copy))
            yield _Platform(copy, lambda name: _model(parts, copy, clock, name), copy.watermark)
            return
        with closing(parts.generations()) as generations:
            generation = generations.current()
        watermark = None if generation is None else generation.watermark
        feedback: Feedback = _Nobody()
        if plan.http is not None:
            feedback = opened.enter_context(closing(HttpFeedback(plan.http, parts.system.source.name)))
        yield _Platform(feedback, lambda name: opened.enter_context(HttpPolicy(plan.http or "", name)), watermark)


def _model(parts: FeedParts, copy: OnlineCopy, clock: SimulatedClock, name: str) -> ModelPolicy:
    package = parts.package(name)
    shown = package.version if name == package.version else f"{name} {package.version}"
    return ModelPolicy(shown, parts.system.name, package, copy.features, clock)


def _policy(name: str, life: Life, rates: ItemRates, platform: _Platform) -> Policy:
    if name == "popularity":
        return Popularity(rates)
    if name == "random":
        return Random()
    return Oracle(life) if name == "oracle" else platform.model(name)


def _apart(names: Sequence[str]) -> tuple[str, ...]:
    """Return the *names*, told apart where one stands twice, as in an A/A comparison."""
    return tuple(
        f"{name} ({letter})" if names.count(name) > 1 else name for name, letter in zip(names, "ABC", strict=False)
    )


def _popular(world: World, rates: ItemRates, at_micros: int) -> Integers:
    """Return the items that there are, those of the highest click rate first."""
    alive = world.catalogue.alive(at_micros)
    popular_C: Integers = alive[np.argsort(-rates.rate_I[alive], kind="stable")]
    return popular_C
