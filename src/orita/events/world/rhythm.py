"""When people come and what the hour, the day and the week do to them.

Legend: N rows, P page views, K topics, W weeks, H = 24 hours, D = 3 devices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orita.events.world.arrays import Floats, Integers, Reals, Stream, random_stream
from orita.events.world.config import WorldConfig

__all__ = [
    "DEVICES",
    "SATURDAY",
    "TIMES_OF_DAY",
    "Rhythm",
    "hour_of",
    "make_rhythm",
    "share_of_day",
    "time_of_day",
    "weekday_of",
]

DEVICES = ("mobile", "desktop", "tablet")
TIMES_OF_DAY = ("morning", "afternoon", "evening", "night")
_HOUR, _DAY = 3_600_000_000, 86_400_000_000
_WEEK = 7 * _DAY
_WEEKS_AFTER = 9  # the simulator goes on for a while after the generated range
_TREND_MEMORY = 0.85
SATURDAY = 5
# Visits by hour of the day (UTC), working day and weekend; only their proportions matter.
_WORKDAY = (9, 5, 3, 2, 2, 4, 9, 16, 20, 19, 18, 19, 23, 21, 18, 18, 19, 22, 27, 32, 36, 35, 27, 17)
_WEEKEND = (15, 10, 6, 4, 3, 3, 5, 9, 15, 21, 26, 28, 29, 28, 27, 26, 26, 27, 29, 33, 36, 35, 29, 21)
_NIGHT_STARTS, _MORNING_STARTS, _AFTERNOON_STARTS, _EVENING_STARTS = 21, 5, 12, 17


def hour_of(time_N: Integers) -> Integers:
    """Return the UTC hour, 0 … 23, of microseconds since the Unix epoch."""
    return time_N // _HOUR % 24


def weekday_of(time_N: Integers) -> Integers:
    """Return the UTC weekday, Monday = 0, of microseconds since the Unix epoch."""
    return (time_N // _DAY + 3) % 7  # 1970-01-01 was a Thursday


def time_of_day(hour_N: Integers) -> Integers:
    """Return the index into `TIMES_OF_DAY` of each hour: morning from 5, afternoon 12, evening 17, night 21."""
    part_H = np.full(24, 3)
    part_H[_MORNING_STARTS:_AFTERNOON_STARTS] = 0
    part_H[_AFTERNOON_STARTS:_EVENING_STARTS] = 1
    part_H[_EVENING_STARTS:_NIGHT_STARTS] = 2
    return part_H[hour_N]


def share_of_day(time_N: Integers) -> Reals:
    """Return the share of its day's visits that fall into the hour of each time, by working days and weekends."""
    curves = np.array([_WORKDAY, _WEEKEND], np.float64)
    weekend_N = (weekday_of(time_N) >= SATURDAY).astype(np.int64)
    share_N: Reals = curves[weekend_N, hour_of(time_N)] / curves.sum(axis=1)[weekend_N]
    return share_N


@dataclass(frozen=True, eq=False, slots=True)
class Rhythm:
    """The calendar of a world.

    Attributes:
        start, end: the range in microseconds since the Unix epoch.
        device_HD: running sum of the share of each device at each hour.
        moment_HW7: log-odds of a click by hour and weekday, small.
        device_D: log-odds of a click by device.
        focus_D: how strongly taste counts on a device.
        hour_topic_HK: interest in topics by hour, standard deviation 1.
        weekend_topic_K: interest in topics at the weekend, standard deviation 1.
        trend_WK: interest in topics by week from the start of the range, standard deviation 1.
    """

    start: int
    end: int
    device_HD: Reals
    moment_HW7: Floats
    device_D: Floats
    focus_D: Floats
    hour_topic_HK: Floats
    weekend_topic_K: Floats
    trend_WK: Floats

    def week_of(self, time_N: Integers) -> Integers:
        """Return the row of ``trend_WK`` for each time; times outside take the first or the last week."""
        week_N: Integers = np.clip((time_N - self.start) // _WEEK, 0, len(self.trend_WK) - 1)
        return week_N

    def times(self, rng: np.random.Generator, pages: int, start: int, end: int) -> Integers:
        """Return ``time_P``: ascending times of page views in [start, end), whole milliseconds.

        *start* and *end* are microseconds since the Unix epoch, whole milliseconds.
        """
        edges_H = np.append(np.arange(start, end, _HOUR, dtype=np.int64), end)
        curves = np.array([_WORKDAY, _WEEKEND], np.float64)
        curves /= curves.sum(axis=1, keepdims=True)
        weekend_H = (weekday_of(edges_H[:-1]) >= SATURDAY).astype(np.int64)
        weight_H = curves[weekend_H, hour_of(edges_H[:-1])] * np.diff(edges_H)
        running_H = np.concatenate([[0.0], np.cumsum(weight_H)])
        at_P = np.interp(np.sort(rng.random(pages)), running_H / running_H[-1], (edges_H - start).astype(np.float64))
        time_P: Integers = start + np.minimum(at_P.astype(np.int64), end - start - 1) // 1000 * 1000
        return time_P

    def devices(self, rng: np.random.Generator, time_P: Integers) -> Integers:
        """Return ``device_P``: an index into `DEVICES`, by the habits of the hour."""
        draw_P1 = rng.random(len(time_P))[:, None]
        device_P: Integers = (draw_P1 >= self.device_HD[hour_of(time_P), :-1]).sum(axis=1)
        return device_P


def make_rhythm(config: WorldConfig) -> Rhythm:
    """Return the calendar that *config* and its seed describe."""
    rng = random_stream(config.seed, Stream.RHYTHM)
    start, end = config.date_range.start_micros, config.date_range.end_micros
    hour_H1 = np.arange(24)[:, None]
    peak_K = rng.uniform(0, 24, config.topics)
    moment = 0.1 * np.cos(2 * np.pi * (hour_H1 - 21) / 24) + np.where(np.arange(7) >= SATURDAY, 0.08, -0.03)
    weeks = int(-(-(end - start) // _WEEK)) + _WEEKS_AFTER
    return Rhythm(
        start=start,
        end=end,
        device_HD=_device_habits(),
        moment_HW7=moment.astype(np.float32),
        device_D=np.array([0.08, -0.12, 0.1], np.float32),
        focus_D=np.array([1.08, 0.88, 1.0], np.float32),
        hour_topic_HK=(np.sqrt(2) * np.cos(2 * np.pi * (hour_H1 - peak_K) / 24)).astype(np.float32),
        weekend_topic_K=rng.standard_normal(config.topics).astype(np.float32),
        trend_WK=_trends(rng, weeks, config.topics),
    )


def _device_habits() -> Reals:
    hour = np.arange(24)
    work = np.exp(-(((hour - 13.5) / 4.0) ** 2))
    evening = np.exp(-(((hour - 20.5) / 2.5) ** 2))
    odds_HD = np.stack([np.full(24, 1.0), 0.2 + 1.1 * work, 0.08 + 0.3 * evening], axis=1)
    running: Reals = np.cumsum(odds_HD / odds_HD.sum(axis=1, keepdims=True), axis=1)
    return running


def _trends(rng: np.random.Generator, weeks: int, topics: int) -> Floats:
    shocks_WK = rng.standard_normal((weeks, topics))
    trend_WK = np.empty_like(shocks_WK)
    trend_WK[0] = shocks_WK[0]
    for week in range(1, weeks):
        fresh = np.sqrt(1 - _TREND_MEMORY**2) * shocks_WK[week]
        trend_WK[week] = _TREND_MEMORY * trend_WK[week - 1] + fresh
    return trend_WK.astype(np.float32)
