"""A search for hyper-parameters, wired together: rows, trials, runs in MLflow, checkpoints, and requests to stop.

Rows are the training and validation rows of the latest training set; its test rows are not opened.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from orita.core.errors import MissingExtra, OritaError
from orita.core.progress import Bar
from orita.features.training_sets.training_set import TrainingSet
from orita.models.build import build_ranker
from orita.models.examples import Examples
from orita.models.own_rankers import Maker
from orita.models.ranker import FitContext, Ranker
from orita.models.reading import read_examples
from orita.models.search.binding import with_values
from orita.models.search.course import Course, Within
from orita.models.search.fitting import Found, Judging, fit_trial
from orita.models.search.pruning import Pruned
from orita.models.search.reading import finished
from orita.models.search.stopping import Request, stoppable
from orita.models.search.study import Attempt, Ended, Study
from orita.models.search.trials import Trial, best_of
from orita.pipelines.code_version import code_tags
from orita.pipelines.config import ModelConfig
from orita.pipelines.search_plan import SearchPlan, plan_search
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import Catalogue, RunStatus

__all__ = ["tune"]

Told = Callable[[Trial], None]
_FAILURES = 3
_STATUS: Mapping[Ended, RunStatus] = MappingProxyType({"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"})


def tune(workspace: Workspace, *, name: str | None = None, told: Told = lambda trial: None) -> str:
    """Go on with the search that the configuration declares until its trials are done; return its name.

    Args:
        workspace: where everything is.
        name: what to call it; None: a name made from what decides its figures, so that the same command goes on with
            the same search, and another one begins another.
        told: called with every trial that ended.

    Raises:
        UserError: the space names what does not exist, there is no training set, or the name is taken.
        Interrupted: the process was asked to stop; the same command goes on.
        OritaError: the first three trials failed, all of them.
    """
    from orita.models.training.interruption import Interrupted

    plan = plan_search(workspace, name)
    with (
        Study(plan.folder, plan.parameters, plan.about, larger_is_better=plan.larger_is_better) as study,
        stoppable() as request,
    ):
        study.plan(plan.trials)
        work = _Work(workspace, plan, study, request)
        with workspace.progress.bar(f"Search {plan.name}", total=plan.trials) as bar:
            bar.advance(sum(finished(trial.state) for trial in study.trials()))
            try:
                for trial in work.trials(bar):
                    told(trial)
                    bar.advance()
            except Interrupted:
                request.made = True
        done = sum(finished(trial.state) for trial in study.trials())
        if request.made:
            raise Interrupted(
                f"the search {plan.name!r} was asked to stop after {done} of {plan.trials} trials; the same command "
                "goes on with it."
            )
        if done >= plan.trials:
            work.end()
    return plan.name


@dataclass(slots=True)
class _Work:
    """What one process does for a search."""

    workspace: Workspace
    plan: SearchPlan
    study: Study
    request: Request
    _catalogue: Catalogue = field(init=False)
    _rows: tuple[Examples, Examples] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._catalogue = self.workspace.catalogue()

    def trials(self, bar: Bar) -> Iterator[Trial]:
        """Carry out trials until enough are done, the time is over, or somebody asks to stop."""
        section, clock = self.workspace.model.search, self.workspace.clock
        until = math.inf if section.timeout_minutes is None else clock.monotonic() + 60 * section.timeout_minutes
        failures, lucky = 0, any(trial.state in ("complete", "pruned") for trial in self.study.trials())
        while not self.request.made and clock.monotonic() < until:
            attempt = self.study.begin(self.plan.trials, section.sampler, self.workspace.model.seed)
            if attempt is None:
                return
            self._carry_out(attempt, bar)
            trial = self.study.trial(attempt.number)
            yield trial
            failures, lucky = failures + 1, lucky or trial.state != "failed"
            if failures == _FAILURES and not lucky:
                raise OritaError(f"the first {_FAILURES} trials all failed, the last with: {trial.error}")

    def end(self) -> None:
        """Close the runs of a search whose trials are done, where they are open."""
        killed = [trial.run_id for trial in self.study.trials() if trial.state == "failed" and trial.run_id]
        for run_id, status in [*((one, _STATUS["failed"]) for one in killed), (self._parent(), "FINISHED")]:
            if self._catalogue.runs.get(run_id).status == "RUNNING":
                self._catalogue.runs.end(run_id, status)

    def _carry_out(self, attempt: Attempt, bar: Bar) -> None:
        from orita.models.training.interruption import Interrupted

        run_id = attempt.run_id or self._run_left_behind(attempt) or self._begin_run(attempt)
        type_ = str(attempt.values.get("model.type", self.workspace.model.model.type))
        self.study.keep(attempt, run_id=run_id, type=type_)
        course = Course(self.study, attempt, self.plan.budget(type_), self.workspace.model.search, self.request)
        rows, begun = self._examples(), self.workspace.clock.monotonic()
        found: Found | None = None
        ended: Ended
        tags: dict[str, str] = {}
        try:
            found = self._fit(attempt, course, rows, bar)
        except Pruned:
            ended = "pruned"
        except (Interrupted, MissingExtra, KeyboardInterrupt):
            self.study.end(attempt, "interrupted")
            raise
        except Exception as error:  # whatever a library says of values that do not work: it is kept and shown
            ended = "failed"
            tags = {"orita.error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]}
            self.study.keep(attempt, error=tags["orita.error"])
        else:
            ended = "complete"
            self.study.keep(attempt, interval=found.interval, parts=found.parts, figures=dict(found.figures))
        self.study.keep(attempt, seconds=self.workspace.clock.monotonic() - begun)
        epochs = course.thinned(found.fit.history if found else ())
        rows_by_epoch = [(epoch, {f"fit_{name}": value for name, value in row.items()}) for epoch, row in epochs]
        figures = {f"val_{name}": value for name, value in found.figures.items()} if found else {}
        self._catalogue.runs.log_history(run_id, [*rows_by_epoch, (0, figures)])
        self._catalogue.runs.end(run_id, _STATUS[ended], tags)
        self.study.end(attempt, ended, found.value if found else None)
        shutil.rmtree(self._checkpoints(attempt), ignore_errors=True)

    def _fit(self, attempt: Attempt, course: Course, rows: tuple[Examples, Examples], bar: Bar) -> Found:
        config = with_values(self.workspace.model, attempt.values)
        best = best_of(self.study.trials(), larger_is_better=self.plan.larger_is_better)
        so_far = f" · best {best.value:.4f} (trial {best.number})" if best and best.value is not None else ""
        context = FitContext(
            Within(bar, f"trial {attempt.number} · ", so_far),
            self._checkpoints(attempt),
            config.seed,
            f"Trial {attempt.number}",
            course.on_epoch,
        )
        own = self.workspace.system.own_rankers
        return fit_trial(lambda: _ranker(config, own), *rows, _judging(config), context)

    def _examples(self) -> tuple[Examples, Examples]:
        if self._rows is None:
            self._rows = _read(self.plan.training_set, "train"), _read(self.plan.training_set, "val")
        return self._rows

    def _checkpoints(self, attempt: Attempt) -> Path:
        home, system = self.workspace.home, self.workspace.system.name
        return home.checkpoints / system / f"search-{self.plan.name}" / str(attempt.number)

    def _parent(self) -> str:
        plan, system = self.plan, self.workspace.system.name
        about = {name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in plan.about.items()}

        def begin() -> str:
            params = {name: about[name] for name in ("metric", "sampler", "folds", "space")}
            return self._catalogue.runs.begin(system, f"search {plan.name}", params, self._tags())

        run_id: str = self.study.once("run_id", begin)
        return run_id

    def _run_left_behind(self, attempt: Attempt) -> str | None:
        """Return the run that a killed process began for this trial and had no time to note."""
        if self.study.trial(attempt.number).attempts == 1:
            return None
        query = f"tag.orita.search = '{self.plan.name}' and tag.orita.trial = '{attempt.number}' and status = 'RUNNING'"
        found = self._catalogue.runs.search(self.workspace.system.name, query)
        return next((run.run_id for run in found if run.parent == self._parent()), None)

    def _begin_run(self, attempt: Attempt) -> str:
        return self._catalogue.runs.begin(
            self.workspace.system.name,
            f"{self.plan.name} {attempt.number}",
            {"type": self.workspace.model.model.type, **attempt.values},
            {**self._tags(), "orita.trial": str(attempt.number)},
            self._parent(),
        )

    def _tags(self) -> dict[str, str]:
        found = self.plan.training_set
        return {
            "orita.search": self.plan.name,
            "orita.training_set": found.id,
            "orita.tables": json.dumps(dict(found.tables)),
            "orita.feature_schema": found.schema.version,
            **code_tags(self.workspace),
        }


def _ranker(config: ModelConfig, own: Mapping[str, Maker]) -> Ranker:
    return build_ranker(config.model.type, config.model, config.training, own)


def _judging(config: ModelConfig) -> Judging:
    section, settings = config.search, config.evaluation
    return Judging(
        section.metric,
        settings.metrics,
        section.folds,
        config.model.calibration,
        settings.resamples,
        settings.confidence,
        config.seed,
    )


def _read(training_set: TrainingSet, part: str) -> Examples:
    return read_examples(training_set.file(part), training_set.schema)
