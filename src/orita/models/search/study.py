"""A study: trials that processes begin and end, kept so that a kill at any moment loses none that ended.

Optuna numbers attempts; people number trials. A trial that was killed is begun again as a further attempt with the same
values, and keeps its number. Which attempts are alive is told by a lock that each process holds while it works.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from orita.core.errors import UserError
from orita.core.extras import require
from orita.models.search.binding import Parameter
from orita.models.search.config import SamplerName
from orita.models.search.journal import is_held, journal_storage, locked
from orita.models.search.reading import DRAWN, ENDED, OF, WORKER, Attempts, finished, read_attempts
from orita.models.search.sampling import combination, fixed_params, sampler_for, suggest
from orita.models.search.trials import State, Trial

if TYPE_CHECKING:
    import optuna

__all__ = ["ABOUT", "PLANNED", "Attempt", "Ended", "Study", "open_optuna", "worker_lock"]

Ended = Literal["complete", "pruned", "failed", "interrupted"]

ABOUT, PLANNED = "about", "planned"
"""What is kept with the study: what decides its figures, and how many trials there will be."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A trial that this process is to carry out.

    Attributes:
        number: of the trial.
        values: by key.
        run_id: its run in MLflow, where an attempt before has begun one.
        handle: Optuna's trial.
    """

    number: int
    values: Mapping[str, Any]
    run_id: str
    handle: optuna.Trial


class Study:
    """One search in a folder, open for work; a context, as it holds the lock that says that this process is alive.

    Args:
        folder: where it is kept; it is made if missing, and its name is that of the search.
        parameters: what is searched.
        about: what the study was begun with, plain JSON values.
        larger_is_better: which way.

    Raises:
        UserError: the folder has a study that was begun with something else.
    """

    def __init__(
        self, folder: Path, parameters: Sequence[Parameter], about: Mapping[str, Any], *, larger_is_better: bool
    ) -> None:
        self.folder, self._parameters = folder, parameters
        self.larger_is_better = larger_is_better
        self._worker = uuid.uuid4().hex
        self._held = ExitStack()
        folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._study = open_optuna(folder, larger_is_better=larger_is_better)
            before = self._study.user_attrs.get(ABOUT)
            if before is None:
                self._study.set_user_attr(ABOUT, dict(about))
            else:
                _refuse_other(folder.name, before, about)

    def __enter__(self) -> Study:
        path = self._lock_of(self._worker)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._held.enter_context(path.open("a"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        self._held.callback(path.unlink, missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def plan(self, trials: int) -> None:
        """Keep how many trials there will be, for those who look."""
        self._study.set_user_attr(PLANNED, trials)

    def once(self, name: str, make: Any) -> Any:
        """Return what was kept under *name*, made by the first process that asks."""
        with self._alone():
            found = self._study.user_attrs.get(name)
            if found is None:
                found = make()
                self._study.set_user_attr(name, found)
        return found

    def trials(self) -> list[Trial]:
        """Return every trial, in order."""
        return [group.trial(self._parameters, self._alive) for group in self._groups()]

    def trial(self, number: int) -> Trial:
        """Return one trial."""
        return next(trial for trial in self.trials() if trial.number == number)

    def begin(self, most: int, sampler: SamplerName, seed: int) -> Attempt | None:
        """Begin the next trial: one that was cut short, else a new one; None where *most* are done or under way.

        A grid ends before, after its last combination.
        """
        with self._alone():
            groups = self._groups()
            states = [group.state(self._alive) for group in groups]
            self._bury(groups, states)
            # Optuna hands out what waits before anything that is put behind it, whichever trial that is of.
            for group, state in sorted(zip(groups, states, strict=True), key=lambda pair: pair[1] != "waiting"):
                if state in ("interrupted", "waiting"):
                    return self._ask(group.number, group.params, group.fact("run_id", ""), sampler, seed, state)
            if sum(finished(state) or state == "running" for state in states) >= most:
                return None
            if sampler == "grid" and combination(self._parameters, len(groups)) is None:
                return None
            return self._ask(len(groups) + 1, {}, "", sampler, seed)

    def report(self, attempt: Attempt, step: int, value: float) -> None:
        """Keep the figure of a step; one that was kept before is left as it is."""
        attempt.handle.report(value, step)

    def keep(self, attempt: Attempt, **facts: Any) -> None:
        """Keep plain JSON values of a trial under way."""
        for name, fact in facts.items():
            attempt.handle.set_user_attr(name, fact)

    def end(self, attempt: Attempt, state: Ended, value: float | None = None) -> None:
        """End a trial: ``complete`` with its value, ``pruned``, ``failed``, or ``interrupted``, to be begun again."""
        states = require("optuna.trial", extra="train").TrialState
        kept = {"complete": states.COMPLETE, "pruned": states.PRUNED}.get(state, states.FAIL)
        attempt.handle.set_user_attr(ENDED, state)
        self._study.tell(attempt.handle, value, state=kept)

    def _ask(
        self, number: int, fixed: Mapping[str, Any], run_id: str, sampler: SamplerName, seed: int, state: str = ""
    ) -> Attempt:
        self._study.sampler = sampler_for(sampler, seed, number)
        if sampler == "grid":
            fixed = fixed_params(self._parameters, combination(self._parameters, number - 1) or {})
        if fixed and state != "waiting":
            self._study.enqueue_trial(dict(fixed), user_attrs={OF: number})
        handle = self._study.ask()
        handle.set_user_attr(OF, number)
        handle.set_user_attr(WORKER, self._worker)
        values = suggest(handle, self._parameters)
        handle.set_user_attr(DRAWN, True)
        return Attempt(number, values, run_id, handle)

    def _groups(self) -> list[Attempts]:
        return read_attempts(self._study.get_trials(deepcopy=False))

    def _bury(self, groups: Sequence[Attempts], states: Sequence[State]) -> None:
        """Tell the journal of attempts whose process is gone: samplers take them for work under way."""
        gone = [group.last for group, state in zip(groups, states, strict=True) if state in ("interrupted", "failed")]
        gone += [one for one in self._study.get_trials(deepcopy=False) if OF not in one.user_attrs]
        for one in gone:
            if one.state.name == "RUNNING":
                self._study.tell(one.number, state=require("optuna.trial", extra="train").TrialState.FAIL)

    def _alone(self) -> Any:
        return locked(self.folder / "study.lock")

    def _alive(self, worker: str) -> bool:
        return worker == self._worker or is_held(self._lock_of(worker))

    def _lock_of(self, worker: str) -> Path:
        return worker_lock(self.folder, worker)


def open_optuna(folder: Path, *, larger_is_better: bool | None = None) -> optuna.Study:
    """Return Optuna's study in *folder*; with *larger_is_better* it is made where there is none.

    Raises:
        OritaError: its journal is damaged.
    """
    library = require("optuna", extra="train")
    library.logging.set_verbosity(library.logging.ERROR)
    storage = journal_storage(folder)
    study: optuna.Study
    if larger_is_better is None:
        study = library.load_study(study_name=folder.name, storage=storage)
    else:
        way = "maximize" if larger_is_better else "minimize"
        study = library.create_study(study_name=folder.name, storage=storage, direction=way, load_if_exists=True)
    return study


def worker_lock(folder: Path, worker: str) -> Path:
    """Return the file that a process holds a lock in while it works on the study in *folder*."""
    return folder / "workers" / f"{worker}.lock"


def _refuse_other(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    differing = [
        key for key in (*before, *(key for key in now if key not in before)) if before.get(key) != now.get(key)
    ]
    if differing:
        raise UserError(
            f"the search {name!r} was begun with another {' and another '.join(differing)}, and figures of both would "
            "not compare: give another --name, or none, for a new search."
        )
