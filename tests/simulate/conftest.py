"""A small world, and days of it without a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from orita.events.config import ValidationConfig
from orita.events.world import Habits, World, WorldConfig, interactions
from orita.events.world.arrays import Reals
from orita.features.generations.folder import FolderGenerations
from orita.project import open_project
from orita.serving.protocols import ScoringPackage
from orita.simulate.befalling import Befalling
from orita.simulate.days import Days
from orita.simulate.feed_plan import FeedParts
from orita.simulate.life import Life
from orita.simulate.panel import Panel, choose_panel, with_new_users
from orita.simulate.policies import ItemRates, Oracle, Policy, Popularity, Random
from orita.simulate.scenario import Scenario
from orita.simulate.tally import Tally


@dataclass
class Lived:
    """Days that went by: their events, what was counted, and who took part."""

    events: pa.Table
    tally: Tally
    panel: Panel
    life: Life
    start: int


@dataclass
class _Kept:
    tables: list[pa.Table] = field(default_factory=list)

    def take(self, rows: pa.Table, until: int, /) -> None:
        self.tables.append(rows)


@pytest.fixture(scope="session")
def small_world() -> World:
    """A small world."""
    return World.build(WorldConfig(num_users=400, num_items=500, num_interactions=20_000, seed=3))


@pytest.fixture(scope="session")
def small_counts(small_world: World) -> tuple[Reals, Reals]:
    """How often its items were shown and clicked in its history."""
    history, items = interactions(small_world), small_world.config.num_items
    ids_N, click_N = (history[name].to_numpy() for name in ("item_id", "click"))
    shown_I = np.bincount(ids_N, minlength=items).astype(np.float64)
    return shown_I, np.bincount(ids_N, click_N, minlength=items).astype(np.float64)


@pytest.fixture
def parts(small_world: World, small_counts: tuple[Reals, Reals], tmp_path: Path) -> FeedParts:
    """What a simulation needs of a project in which nothing was trained."""
    return _parts(small_world, tmp_path, small_counts)


def _parts(world: World, folder: Path, counts: tuple[Reals, Reals]) -> FeedParts:
    def no_package(version: str) -> ScoringPackage:
        raise AssertionError(version)

    return FeedParts(
        world,
        open_project(folder, home=folder, system="feed").system,
        lambda: FolderGenerations(folder / "online"),
        no_package,
        counts,
        ValidationConfig(),
    )


def live(
    world: World,
    names: tuple[str, str],
    *,
    days: int = 3,
    users: int = 80,
    seed: int = 0,
    scenario: Scenario | None = None,
    passed: Callable[[int], None] = lambda until: None,
    **habits: Any,
) -> Lived:
    """Let *users* live with two policies."""
    start, happens = world.rhythm.end, scenario or Scenario()
    world = with_new_users(world, happens, start=start, seed=seed)
    panel = choose_panel(world, users=users, arms=("policy", "vs"), start=start, seed=seed)
    items = world.config.num_items
    life, rates, kept = Life(world, panel, Habits(**habits)), ItemRates(np.zeros(items), np.zeros(items)), _Kept()
    policies: dict[str, Policy] = {"popularity": Popularity(rates), "random": Random(), "oracle": Oracle(life)}
    popular = world.catalogue.alive(start)
    tally = Days(
        life,
        [policies[name] for name in names],
        rates,
        Befalling(happens, popular, seed=seed),
        kept,
        start=start,
        days=days,
        candidates=40,
        seed=seed,
        passed=passed,
    ).run()
    return Lived(pa.concat_tables(kept.tables), tally, panel, life, start)
