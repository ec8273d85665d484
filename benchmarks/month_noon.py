"""How good is what serves at noon, held against a model that is trained on that very day?

Legend: P pages, C candidates, N rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from benchmarks.month_life import DAY, Standing

from orita.events.world import DEVICES
from orita.events.world.arrays import Bools, Reals, Stream, random_stream
from orita.events.world.response import chance
from orita.models.examples import Examples
from orita.models.ranker import FitContext
from orita.project import Project
from orita.simulate.life import Pages

__all__ = ["Measured", "Noon", "NoonFigures", "Noons", "expected_auc"]

_PROBES = 9
_SHOWN = 5
_TRAIN, _LEARNS = 0.5, 0.6


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure of the champion, of the oracle, and of the best order that there is."""

    champion: float
    oracle: float
    best: float

    @property
    def ratio(self) -> float:
        """The champion's share of the oracle's."""
        return self.champion / self.oracle


@dataclass(frozen=True, slots=True)
class NoonFigures:
    """What was found at a noon.

    Attributes:
        day: counted from 1.
        version: what served.
        auc, ctr: how good it, the oracle and the truth are.
        gain: of AUC over the version before, where this one was promoted since the noon before; None: it was not.
    """

    day: int
    version: str
    auc: Measured
    ctr: Measured
    gain: float | None

    def within(self, figure: str) -> bool:
        """Tell whether a figure, ``auc`` or ``ctr``, is at least 99 % of the oracle's."""
        measured: Measured = getattr(self, figure)
        return measured.ratio >= 0.99


class Noons:
    """The noons of a simulation, in order; *noon* measures one."""

    def __init__(self, noon: Noon) -> None:
        self._noon, self._found = noon, list[NoonFigures]()

    def __iter__(self) -> Iterator[NoonFigures]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def measure(self, standing: Standing) -> None:
        """Measure one more."""
        promoted = bool(self._found) and self._found[-1].version != standing.version
        self._found.append(self._noon(standing, self._found[-1].version if promoted else None))


class Noon:
    """Measures a noon on pages that are shown to nobody.

    Args:
        project: whose models.
        pages: how many; users of the panel who stay come by their activity, in the twelve hours from noon on. Three in
            five users, and half of the items, teach the oracle; the others are what everybody is judged on.
        candidates: items of each.
        seed: fixes them.
    """

    def __init__(self, project: Project, *, pages: int, candidates: int, seed: int) -> None:
        self._project, self._pages, self._candidates, self._seed = project, pages, candidates, seed

    def __call__(self, standing: Standing, before: str | None) -> NoonFigures:
        """Return the figures of what serves, and its gain over *before*."""
        rng = random_stream(self._seed, Stream.LIFE, _PROBES, standing.day)
        pages = self._drawn(rng, standing)
        chance_PC = chance(standing.life.appeal(pages)).astype(np.float64)
        packages = [self._project.package(name) for name in (standing.version, *([before] if before else []))]
        rows = self._rows(rng, standing, pages, chance_PC, packages[0].schema)
        # Whom and what the oracle learned from is not what it is judged on: a day's features give away who is who.
        part_P = rng.random(int(pages.users_P.max()) + 1)[pages.users_P]
        mine_PC = (rng.random(int(pages.candidates_PC.max()) + 1) < 0.5)[pages.candidates_PC]
        train, val = (rows.take(np.flatnonzero((mine_PC & which_P[:, None]).ravel()))
                      for which_P in (part_P < _TRAIN, (part_P >= _TRAIN) & (part_P < _LEARNS)))  # fmt: skip
        oracle = self._project.ranker()
        oracle.fit(train, val, FitContext(seed=self._seed))
        judged_PC = ~mine_PC & (part_P >= _LEARNS)[:, None]
        judged_M = np.flatnonzero(judged_PC.ravel())
        test = rows.take(judged_M)
        scores = [package.score(test.users_N, test.items_N, test.x_NF) for package in packages]
        orders = [scores[0], oracle.score(test), chance_PC[judged_PC]]
        aucs = [expected_auc(chance_PC[judged_PC], np.asarray(scores_M, np.float64)) for scores_M in orders]
        ctrs = [_clicked(chance_PC, judged_PC, np.asarray(scores_M, np.float64)) for scores_M in orders]
        gain = None
        if before:
            gain = aucs[0] - expected_auc(chance_PC[judged_PC], np.asarray(scores[1], np.float64))
        found = NoonFigures(standing.day, standing.version, Measured(*aucs), Measured(*ctrs), gain)
        print(f"  {found}", file=sys.stderr, flush=True)
        return found

    def _drawn(self, rng: np.random.Generator, standing: Standing) -> Pages:
        life, panel = standing.life, standing.life.panel
        staying = np.flatnonzero(~life.loyalty.left_U)
        weight_U = panel.activity_U[staying] / panel.activity_U[staying].sum()
        rows_P = rng.choice(staying, self._pages, p=weight_U)
        time_P = np.sort(standing.at + rng.integers(1, DAY // 2 // 1000, self._pages) * 1000)
        users_P = panel.ids_U[rows_P]
        candidates_PC = life.world.exposure.pages(rng, users_P, time_P, self._candidates)
        return Pages(rows_P, users_P, time_P, life.world.rhythm.devices(rng, time_P), candidates_PC)

    def _rows(
        self, rng: np.random.Generator, standing: Standing, pages: Pages, chance_PC: Reals, schema: object
    ) -> Examples:
        """Return every candidate as a row, with what the online features say of it now."""
        reader = standing.copy.features.reader(schema)  # type: ignore[arg-type]
        x_NF = np.concatenate([
            reader.matrix(user, items, {"device": DEVICES[device]}, at)
            for user, items, device, at in zip(
                pages.users_P.tolist(), pages.candidates_PC.tolist(), pages.devices_P.tolist(), pages.time_P.tolist(),
                strict=True,
            )
        ])  # fmt: skip
        y_N = (rng.random(chance_PC.size) < chance_PC.ravel()).astype(np.float32)
        times = self._candidates
        return Examples(
            schema,  # type: ignore[arg-type]
            np.repeat(pages.users_P, times),
            pages.candidates_PC.ravel(),
            x_NF.astype(np.float32),
            y_N,
            np.repeat(pages.time_P, times),
        )


def expected_auc(chance_N: Reals, scores_N: Reals) -> float:
    """Return the AUC that is expected where each row is clicked with its own probability.

    Each row counts as a click by its probability and as none by the rest; a row against itself counts half, which is
    one pair in N.
    """
    _, group_N = np.unique(scores_N, return_inverse=True)
    clicks_G, others_G = np.bincount(group_N, chance_N), np.bincount(group_N, 1 - chance_N)
    below_G = np.cumsum(others_G) - others_G / 2
    return float((clicks_G * below_G).sum() / (clicks_G.sum() * others_G.sum()))


def _clicked(chance_PC: Reals, judged_PC: Bools, scores_M: Reals) -> float:
    """Return the mean probability of a click on the best items of each page among those that are judged."""
    scores_PC = np.full(chance_PC.shape, -np.inf)
    scores_PC[judged_PC] = scores_M
    pages_Q = np.flatnonzero(judged_PC.sum(axis=1) >= _SHOWN)
    top_QL = np.argsort(-scores_PC[pages_Q], axis=1, kind="stable")[:, :_SHOWN]
    return float(np.take_along_axis(chance_PC[pages_Q], top_QL, axis=1).mean())
