"""Array types and seeded random streams of the world.

Legend: N rows, P page views, L items of a page, U users, I items, K topics, S styles, W weeks, H hours, D devices.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Bools", "Floats", "Integers", "Reals", "Stream", "random_stream", "standardised"]

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float32]
Integers: TypeAlias = npt.NDArray[np.int64]
Reals: TypeAlias = npt.NDArray[np.float64]


class Stream:
    """Names of the independent random streams of one seed; a new stream leaves the others as they were."""

    PEOPLE = 1
    CATALOGUE = 2
    RHYTHM = 3
    VISITS = 4
    PILOT = 5
    ROWS = 6
    SIMULATION = 7
    LIFE = 8


def random_stream(seed: int, *stream: int) -> np.random.Generator:
    """Return the generator of one stream of *seed*: the same numbers on every call (SFC64, SeedSequence)."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, *stream])))


def standardised(values: Reals) -> Floats:
    """Return *values* shifted and scaled to mean 0 and standard deviation 1 over everything, as float32."""
    spread = float(values.std())
    scaled: Floats = ((values - values.mean()) / (spread or 1.0)).astype(np.float32)
    return scaled
