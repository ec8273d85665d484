"""When a sequential analysis has looked: at the end of each day of the experiment, and now."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.delivery.experiments.periods import DAY

__all__ = ["looks_of"]

_MOST = 200


def looks_of(closed_U: npt.NDArray[np.int64], start: int, until: int) -> list[tuple[int, int]]:
    """Return looks as (time, outcomes that are final by then), those that bring nothing new left out.

    A test that is valid at every moment is valid at these. Of a long experiment at most 200 days are kept, evenly.

    Args:
        closed_U: when outcomes became final, ascending.
        start, until: of the experiment and the report.
    """
    days = np.arange(start + DAY, until, DAY, dtype=np.int64)
    if len(days) > _MOST:
        days = days[np.linspace(0, len(days) - 1, _MOST).astype(np.int64)]
    times = np.append(days, until)
    ends = np.searchsorted(closed_U, times, side="right")
    new = np.diff(ends, prepend=0) > 0
    return [(int(time), int(end)) for time, end in zip(times[new], ends[new], strict=True)]
