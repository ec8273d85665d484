"""The worlds of the drift benchmark: 20 columns that do not change, and 30 kinds of change in one of them.

A kind takes a generator, a number of rows and an intensity, and returns a current sample of its column; intensity 0 is
no change. With each kind comes the best test that knows it: a score whose mean the change moves (a two-sample t-test of
that score, level of the report spread over the columns), or for categories an exact test of the cell that the kind
moves, χ² where it moves all of them. The oracle knows the kind, not the column.

Legend: N rows. NaN means missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["COLUMNS", "INTENSITIES", "KINDS", "Kind", "day", "draw", "seasonal_day", "visited"]

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, float], Floats]
Score = Callable[[Floats], Floats]

INTENSITIES = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of change.

    Attributes:
        name: as in the table.
        draw: the column at an intensity; 2-D where several columns change together.
        score: what the oracle averages, of one column or of rows; None: the oracle counts categories.
        how: ``column``; ``pair`` (between columns); ``segment`` (the second column names the segment); ``new`` and
            ``cell`` (one category), ``shares`` (all of them).
        tries: how many places the change may be in beside the columns: pairs, segments, categories.
    """

    name: str
    draw: Draw
    score: Score | None
    how: Literal["column", "pair", "segment", "new", "cell", "shares"] = "column"
    tries: int = 1


def _with(rng: np.random.Generator, x_N: Floats, share: float, other_N: Floats | float) -> Floats:
    return np.where(rng.random(len(x_N)) < share, other_N, x_N)


def _normal(change: Callable[[np.random.Generator, Floats, float], Floats]) -> Draw:
    return lambda rng, n, d: change(rng, rng.normal(size=n), d)


def _lognormal(change: Callable[[np.random.Generator, Floats, float], Floats]) -> Draw:
    return lambda rng, n, d: np.exp(change(rng, rng.normal(size=n), d))


def _categories(k: int, change: Callable[[Floats, float], Floats]) -> Draw:
    plain_K = 1.0 / np.arange(2, k + 2)
    plain_K /= plain_K.sum()

    def draw(rng: np.random.Generator, n: int, d: float) -> Floats:
        share_K = change(plain_K.copy(), d) if d else plain_K
        share_K = share_K / share_K.sum()
        return np.searchsorted(np.cumsum(share_K)[:-1], rng.random(n), side="right").astype(np.float64)

    return draw


def _moved(share_K: Floats, d: float) -> Floats:
    """Move a tenth of *d* of the rows into the second category."""
    share_K *= 1 - 0.1 * d
    share_K[1] += 0.1 * d
    return share_K


def _tilted(share_K: Floats, d: float) -> Floats:
    return share_K * np.exp(d * np.where(np.arange(len(share_K)) % 2, 0.5, -0.5))


def _appended(share_K: Floats, d: float) -> Floats:
    return np.append(share_K * (1 - 0.05 * d), 0.05 * d)


def _many_new(share_K: Floats, d: float) -> Floats:
    return np.append(share_K * (1 - 0.1 * d), np.full(50, 0.1 * d / 50))


def _vanished(share_K: Floats, d: float) -> Floats:
    share_K[-1] *= 1 - d
    return share_K


def _two_humps(rng: np.random.Generator, x_N: Floats, d: float) -> Floats:
    apart = 0.8 * d
    return np.asarray(x_N * np.sqrt(1 - apart**2) + apart * rng.choice([-1.0, 1.0], len(x_N)))


def _skewed(rng: np.random.Generator, x_N: Floats, d: float) -> Floats:
    a = 0.5 * d
    return np.asarray((x_N + a * (x_N**2 - 1)) / np.sqrt(1 + 2 * a**2))


def _heavier(rng: np.random.Generator, x_N: Floats, d: float) -> Floats:
    stretched = np.sinh(d * x_N) / d if d else x_N
    return stretched / np.sqrt((np.exp(2 * d**2) - 1) / 2 / d**2) if d else x_N


def _pair(rng: np.random.Generator, n: int, d: float) -> Floats:
    x_N2 = rng.normal(size=(n, 2))
    x_N2[:, 1] = 0.6 * d * x_N2[:, 0] + np.sqrt(1 - (0.6 * d) ** 2) * x_N2[:, 1]
    return x_N2


def _decoupled(rng: np.random.Generator, n: int, d: float) -> Floats:
    rho, x_N2 = 0.6 * (1 - d), rng.normal(size=(n, 2))
    x_N2[:, 1] = rho * x_N2[:, 0] + np.sqrt(1 - rho**2) * x_N2[:, 1]
    return x_N2


def _concept(rng: np.random.Generator, n: int, d: float) -> Floats:
    """A label that followed its feature, and does less and less; the share of ones stays."""
    x_N = rng.normal(size=n)
    noise_N, weight = rng.normal(size=n), 0.8 * (1 - d)
    return np.column_stack([x_N, (weight * x_N + np.sqrt(1 - weight**2) * noise_N > 0.5).astype(np.float64)])


def _segment(change: Callable[[Floats, float], Floats]) -> Draw:
    def draw(rng: np.random.Generator, n: int, d: float) -> Floats:
        x_N, segment_N = rng.normal(size=n), rng.integers(0, 4, n)
        return np.column_stack([np.where(segment_N == 2, change(x_N, d), x_N), segment_N])

    return draw


def _identity(x_N: Floats) -> Floats:
    return x_N


def _absent(x_N: Floats) -> Floats:
    return np.isnan(x_N).astype(np.float64)


def _ranked_tail(x_N: Floats) -> Floats:
    return (x_N > 3.0).astype(np.float64)


def _product(x_N2: Floats) -> Floats:
    a_N2 = (x_N2 - x_N2.mean(axis=0)) / x_N2.std(axis=0)
    r = float((a_N2[:, 0] * a_N2[:, 1]).mean())
    return np.asarray(a_N2[:, 0] * a_N2[:, 1] - r / 2 * (a_N2**2).sum(axis=1) + r)


KINDS: tuple[Kind, ...] = (
    Kind("mean", _normal(lambda rng, x, d: x + d), _identity),
    Kind("mean down", _normal(lambda rng, x, d: x - d), _identity),
    Kind("gradual mean", _normal(lambda rng, x, d: x + d * (np.arange(len(x)) * 5 // len(x) + 1) / 5), _identity),
    Kind("mean, lognormal", _lognormal(lambda rng, x, d: x + d), np.log),
    Kind("scaled unit, lognormal", _lognormal(lambda rng, x, d: 2 * x + 2 * d), np.log),
    Kind("scale up", _normal(lambda rng, x, d: x * (1 + d)), np.square),
    Kind("scale down", _normal(lambda rng, x, d: x / (1 + d)), np.square),
    Kind("skew", _normal(_skewed), lambda x: x**3 - 3 * x),
    Kind("heavier tails", _normal(_heavier), lambda x: np.minimum(x**4, 81) - 6 * np.minimum(x**2, 9)),
    Kind("two humps", _normal(_two_humps), lambda x: np.minimum(x**4, 81) - 6 * np.minimum(x**2, 9)),
    Kind("some rows shifted", _normal(lambda rng, x, d: _with(rng, x, 0.1 * d, x + 4)), _ranked_tail),
    Kind("outliers", _normal(lambda rng, x, d: _with(rng, x, 0.02 * d, 100.0)), lambda x: (x > 50).astype(float)),
    Kind("some clipped", _normal(lambda rng, x, d: _with(rng, x, d, np.minimum(x, 1.5))),
         lambda x: (x > 1.5).astype(float)),
    Kind("default fill", _normal(lambda rng, x, d: _with(rng, x, 0.1 * d, 0.0)), lambda x: (x == 0).astype(float)),
    Kind("sign flip of some", lambda rng, n, d: np.exp(rng.normal(size=n)) * np.where(rng.random(n) < 0.05 * d, -1, 1),
         lambda x: (x < 0).astype(float)),
    Kind("missing", _normal(lambda rng, x, d: _with(rng, x, 0.02 + 0.2 * d, np.nan)), _absent),
    Kind("first missing", _normal(lambda rng, x, d: _with(rng, x, 0.05 * d, np.nan)), _absent),
    Kind("counts grow", lambda rng, n, d: rng.poisson(2 * (1 + d), n).astype(np.float64), _identity),
    Kind("more zeros", lambda rng, n, d: _with(rng, rng.poisson(3, n).astype(np.float64), 0.2 * d, 0.0),
         lambda x: (x == 0).astype(float)),
    Kind("share of a flag", lambda rng, n, d: (rng.random(n) < 0.3 + 0.3 * d).astype(np.float64), None, "cell"),
    Kind("rare flag", lambda rng, n, d: (rng.random(n) < 0.02 * (1 + d)).astype(np.float64), None, "cell"),
    Kind("label rate", lambda rng, n, d: (rng.random(n) < 0.1 + 0.1 * d).astype(np.float64), None, "cell"),
    Kind("mix of 10", _categories(10, _tilted), None, "shares"),
    Kind("mix of 1,000", _categories(1000, _tilted), None, "shares"),
    Kind("one of 100 grows", _categories(100, _moved), None, "cell", 100),
    Kind("new category", _categories(10, _appended), None, "new"),
    Kind("50 new of 1,000", _categories(1000, _many_new), None, "new"),
    Kind("correlation comes", _pair, _product, "pair", 190),
    Kind("concept: label lets go", _concept, _product, "pair", 190),
    Kind("one segment's mean", _segment(lambda x, d: x + d), lambda x: x[:, 0], "segment", 4),
)  # fmt: skip


def _plain(names: str) -> dict[str, Draw]:
    by_name = {kind.name: kind.draw for kind in KINDS}
    return {name: by_name[name] for name in names.split("; ")}


COLUMNS: dict[str, Draw] = {
    f"{name} {i}": column
    for i in range(2)
    for name, column in _plain(
        "mean; mean, lognormal; scaled unit, lognormal; missing; counts grow; more zeros; share of a flag; rare flag; "
        "mix of 10; mix of 1,000"
    ).items()
}
"""The 20 columns of an unchanged world: continuous, heavy-tailed, with missing values, counts, flags, categories."""


def draw(rng: np.random.Generator, n: int) -> dict[str, Floats]:
    """Return *n* rows of the unchanged world by column."""
    return {name: column(rng, n, 0.0) for name, column in COLUMNS.items()}


def day(rng: np.random.Generator, n: int, columns: int = 20) -> Floats:
    """Return *n* rows of independent normal columns: the continuous world, by which the use of the level is judged."""
    return rng.normal(size=(n, columns))


def seasonal_day(rng: np.random.Generator, n: int, weekday: int, columns: int = 20) -> Floats:
    """Return one day of a world that swings by weekday and differs a little from day to day for no reason."""
    swing_D = 0.5 * np.sin(2 * np.pi * (weekday / 7 + np.arange(columns) / columns))
    return rng.normal(swing_D + rng.normal(0, 0.1, columns), 1.0, (n, columns))


def visited(
    rng: np.random.Generator, n: int
) -> tuple[tuple[dict[str, Floats], npt.NDArray[np.int64]], tuple[dict[str, Floats], npt.NDArray[np.int64]]]:
    """Return two samples of about *n* requests, by column and with the user of each, of ``n / 4`` users.

    A few users ask often, and each more in one sample and less in the other, as it comes: rows are not independent. Of
    20 columns 16 repeat with the user: numbers, flags and categories; 4 are the request's.
    """
    users = max(8, n // 4)
    often_U = rng.lognormal(0, 1, users)
    of_user = {f"mean {i}": rng.normal(size=users) for i in range(6)}
    of_user |= {f"mean, lognormal {i}": rng.lognormal(size=users) for i in range(2)}
    of_user |= {f"share of a flag {i}": (rng.random(users) < 0.3).astype(np.float64) for i in range(2)}
    of_user |= {f"rare flag {i}": (rng.random(users) < 0.02).astype(np.float64) for i in range(2)}
    of_user |= {f"mix of {k}": rng.integers(0, k, users).astype(np.float64) for k in (3, 10, 30, 100)}

    mean = users * np.exp(1.0)  # lognormal(0, 1) twice

    def window() -> tuple[dict[str, Floats], npt.NDArray[np.int64]]:
        now_U = often_U * rng.lognormal(0, 1, users)
        # A stretch of time holds as many requests as come: one user's burst does not crowd out the others.
        users_N = rng.permutation(np.repeat(np.arange(users), rng.poisson(now_U / mean * n))).astype(np.int64)
        rows = len(users_N)
        columns = {name: value_U[users_N] for name, value_U in of_user.items()}
        return columns | {f"mean {i}": rng.normal(size=rows) for i in range(16, 20)}, users_N

    return window(), window()
