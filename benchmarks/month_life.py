"""Thirty days that nobody looks after: users, the model that serves them, and the pipelines, by one simulated clock.

What is served goes into the prediction log and what users do into the lake, as in a home that runs; the scheduler of
``orita schedule`` carries out what is due at its hour, and the alerts of ``orita alerts run`` are looked at every hour.

Legend: P pages, C candidates.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orita.cli.simulate import feed_parts
from orita.core.clock import from_micros
from orita.core.ids import uuid7
from orita.events.ingest import ingest
from orita.events.lake import Lake
from orita.events.prediction_files import convert_segment, segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame, encode_header
from orita.events.world import Habits
from orita.monitoring.alerting.watching import Watch
from orita.pipelines.graph import RunOptions, RunReport
from orita.pipelines.graph.journal import open_journal
from orita.pipelines.runs import run_pipeline
from orita.pipelines.schedule.scheduler import Scheduler
from orita.pipelines.workspace import Workspace
from orita.project import Project
from orita.serving.protocols import LogStream
from orita.simulate.befalling import Befalling
from orita.simulate.days import HOUR, Days
from orita.simulate.life import Life, Pages
from orita.simulate.model_policy import ModelPolicy
from orita.simulate.online_copy import OnlineCopy, SimulatedClock
from orita.simulate.panel import choose_panel
from orita.simulate.policies import ItemRates, Ranked
from orita.simulate.scenario import Scenario
from orita.simulate.tally import Tally

__all__ = ["DAY", "Course", "Deployed", "Fired", "Ran", "Standing", "live"]

DAY = 24 * HOUR
_SETTLING = 1 << 32  # other draws than those of the days that count


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert that began to fire: its name, what it is about, in which hour of the days (from 0), its sentence, and
    the version that served."""

    name: str
    subject: str
    hour: float
    sentence: str
    version: str


@dataclass(frozen=True, slots=True)
class Ran:
    """A pipeline that the scheduler carried out, and what its tasks said."""

    pipeline: str
    hour: float
    results: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Deployed:
    """A version that began to serve instead of another."""

    version: str
    before: str
    hour: float


@dataclass(slots=True)
class Course:
    """What the days brought.

    Attributes:
        start: the first midnight, microseconds since the Unix epoch.
        fired, ran, deployed: in order of time.
        clicked: share of shown items that were clicked, by day.
    """

    start: int
    fired: list[Fired] = field(default_factory=list)
    ran: list[Ran] = field(default_factory=list)
    deployed: list[Deployed] = field(default_factory=list)
    clicked: list[float] = field(default_factory=list)

    def hour(self, at: datetime | int) -> float:
        """Return a time as hours since the first midnight."""
        micros = at if isinstance(at, int) else int(at.timestamp() * 1_000_000)
        return (micros - self.start) / HOUR


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is at an hour, for whoever measures.

    Attributes:
        day: counted from 1.
        at: microseconds since the Unix epoch.
        life: the world and its users.
        copy: the online features.
        version: what serves.
        before: what served before the latest promotion, None before the first.
    """

    day: int
    at: int
    life: Life
    copy: OnlineCopy
    version: str
    before: str | None


class _Segments:
    """A prediction log by the simulated clock: what was answered is Parquet when `flush` returns."""

    def __init__(self, workspace: Workspace) -> None:
        self._home, self._clock = workspace.home, workspace.clock
        self._frames: dict[tuple[LogStream, int], list[bytes]] = {}

    def room(self, rows: int, /) -> bool:
        return True

    def append(self, stream: LogStream, request: ScoredRequest, /) -> None:
        self._frames.setdefault((stream, request.at_micros // DAY), []).append(encode_frame(request))

    def flush(self) -> None:
        for (stream, day), frames in self._frames.items():
            date = from_micros(day * DAY).date()
            name = f"{date}-{uuid7(self._clock)}"
            header = SegmentHeader(name, date, stream.system, stream.model_version, stream.features)
            path = segment_folder(self._home) / f"{name}.wal"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_header(header) + b"".join(frames))
            convert_segment(self._home, path)
        self._frames.clear()


class _Platform:
    """What a home runs beside its users: the champion, its features and its log; the schedule; the alerts."""

    def __init__(
        self, project: Project, workspace: Workspace, scheduler: Scheduler, watch: Watch, course: Course
    ) -> None:
        self.name = "champion"
        self._project, self._workspace, self._scheduler = project, workspace, scheduler
        self._watch, self._course = watch, course
        self._log, self._opened, self._rows = _Segments(workspace), ExitStack(), list[pa.Table]()
        self._known: set[tuple[str, datetime]] = set()
        self.version = ""
        self.before: str | None = None
        self._open()

    def rank(self, rng: np.random.Generator, pages: Pages, /) -> Ranked:
        """Return what the champion answers."""
        return self._policy.rank(rng, pages)

    def take(self, rows: pa.Table, until: int, /) -> None:
        """Take what users did, into the features at once and into the lake with the next pipeline."""
        self.copy.take(rows, until)
        self._rows.append(rows)

    def settled(self, until: int) -> None:
        """Let an hour end in which nothing is looked after."""
        clock = self._workspace.clock
        assert isinstance(clock, SimulatedClock)
        clock.move(until)
        self._log.flush()

    def passed(self, until: int) -> None:
        """Let an hour end: look at the alerts, and carry out what is due."""
        self.settled(until)
        clock = self._workspace.clock
        self._watch.look()
        self._note_alerts()
        due = {each.pipeline for each in self._scheduler.plan() if each.next is not None and each.next <= clock.now()}
        if due & {"etl", "retraining"}:
            self.store()
        if due:
            while self._scheduler.step() == 0.0:
                pass
            self._open()

    def carry(self, name: str, options: RunOptions) -> list[RunReport]:
        """Carry out a pipeline for the scheduler, and note what it said."""
        reports = run_pipeline(name, self._workspace, options=options)
        hour = self._course.hour(self._workspace.clock.now())
        self._course.ran.append(Ran(name, hour, reports[-1].results))
        self._note_alerts()
        return reports

    def close(self) -> None:
        """Let go of the features."""
        self._opened.close()

    def _note_alerts(self) -> None:
        """Note which alerts began to fire."""
        for each in self._watch.book.alerts():
            began = each.condition.fired_at
            if not each.firing or began is None or (each.fingerprint, began) in self._known:
                continue
            self._known.add((each.fingerprint, began))
            hour = self._course.hour(began)
            self._course.fired.append(Fired(each.name, each.subject, hour, each.alert["summary"], self.version))

    def store(self) -> None:
        """Bring into the lake what users did."""
        if not self._rows:
            return
        project, source = self._project, self._project.system.source.name
        file = project.home.staging / "feedback" / f"{uuid7(self._workspace.clock)}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables(self._rows), file)
        self._rows.clear()
        ingest(
            project.home,
            file,
            table=source,
            config=project.data.value.validation,
            schemas=project.system.tables,
            origin=Lake(project.home).origin(source),
            clock=self._workspace.clock,
        )
        file.unlink()

    def _open(self) -> None:
        """Serve what is deployed now, from the online features that were published last."""
        self._opened.close()
        self._opened = ExitStack()
        folder = Path(self._opened.enter_context(tempfile.TemporaryDirectory(prefix="month-")))
        clock, project = self._workspace.clock, self._project
        assert isinstance(clock, SimulatedClock)
        validation = project.data.value.validation
        self.copy = OnlineCopy(project.system, project.generations(), folder, clock, validation=validation)
        self._opened.callback(self.copy.close)
        package = project.package("champion")
        if self.version and package.version != self.version:
            self.before = self.version
            self._course.deployed.append(Deployed(package.version, self.version, self._course.hour(clock.now())))
        self.version = package.version
        self._policy = ModelPolicy(self.version, project.system.name, package, self.copy.features, clock, log=self._log)


def live(
    project: Project,
    scenario: Scenario,
    *,
    settling: int,
    days: int,
    users: int,
    candidates: int,
    seed: int,
    noon: Callable[[Standing], None],
) -> Course:
    """Let the days pass in a home whose world, features and first model this makes, and return what they brought.

    Args:
        project: with an empty home.
        scenario: what happens.
        settling: days before the first, in which the first model serves and nothing else runs; on their eve a model is
            trained on what users did with it.
        days, users, candidates: how long, who takes part, and of how many items a page is chosen.
        seed: fixes all that is drawn.
        noon: asked at noon of every day; it may look at everything and change nothing.
    """
    clock = SimulatedClock(project.data.value.data_generation.date_range.end_micros)
    workspace = project.workspace(clock=clock)
    run_pipeline("all", workspace)
    parts = feed_parts(project)
    before = -(-parts.world.rhythm.end // DAY) * DAY
    start = before + settling * DAY
    clock.move(before)
    panel = choose_panel(parts.world, users=users, arms=("policy", "vs"), start=before, seed=seed)
    panel = replace(panel, arm_U=np.zeros_like(panel.arm_U))
    life, rates, course = Life(parts.world, panel, Habits()), ItemRates(*parts.counts), Course(start)
    alive = parts.world.catalogue.alive(before)

    def passing(platform: _Platform, happens: Scenario, **more: Any) -> Tally:
        popular_C = alive[np.argsort(-rates.rate_I[alive], kind="stable")]
        befalling = Befalling(happens, popular_C, seed=seed)
        return Days(life, [platform], rates, befalling, platform, candidates=candidates, **more).run()

    with _platform(project, workspace, Course(before)) as platform:
        passing(platform, Scenario(), start=before, days=settling, seed=seed + _SETTLING, passed=platform.settled)
        platform.store()
    run_pipeline("all", workspace)
    with _platform(project, workspace, course) as platform:

        def passed(until: int) -> None:
            platform.passed(until)
            if (until - start) % DAY == DAY // 2:
                day = (until - start) // DAY + 1
                noon(Standing(day, until, life, platform.copy, platform.version, platform.before))

        tally = passing(platform, scenario, start=start, days=days, seed=seed, passed=passed)
    clicks_D, shown_D = (tally.counts[name].sum(axis=1) for name in ("clicks", "shown"))
    course.clicked = (clicks_D / np.maximum(shown_D, 1)).tolist()
    return course


@contextmanager
def _platform(project: Project, workspace: Workspace, course: Course) -> Iterator[_Platform]:
    """Open what runs beside the users."""
    platforms: list[_Platform] = []

    def options(**given: Any) -> RunOptions:
        return RunOptions.of(workspace.runs, **given)

    def carry(name: str, chosen: RunOptions) -> list[RunReport]:
        return platforms[0].carry(name, chosen)

    with ExitStack() as opened:
        journal = opened.enter_context(closing(open_journal(workspace.home, workspace.system.name, workspace.clock)))
        scheduler = Scheduler(workspace, journal, options, carry=carry)
        watch = Watch(project.home, project.system.name, project.monitoring.value, (), workspace.clock)
        opened.callback(watch.close)
        platforms.append(_Platform(project, workspace, scheduler, watch, course))
        yield opened.enter_context(closing(platforms[0]))
