"""Searches as they are kept, read without carrying anything out."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from orita.core.config import Section
from orita.core.errors import NotFound, closest
from orita.core.extras import require
from orita.models.evaluation.figures import figure
from orita.models.search.binding import Parameter
from orita.models.search.journal import JOURNAL, is_held
from orita.models.search.reading import read_attempts
from orita.models.search.study import ABOUT, PLANNED, open_optuna, worker_lock
from orita.models.search.trials import Trial, best_of, luck_of

__all__ = ["ENOUGH_FOR_IMPORTANCE", "Search", "find_search", "read_searches"]

ENOUGH_FOR_IMPORTANCE = 10


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        name: its name.
        about: what decides its figures: metric, space, training set, what is not searched.
        planned: how many trials there will be, as it was last told.
        parameters: what is searched.
        trials: in order.
        importance: by key, summing to 1: how much the choice of a value decides whether a trial is among the best
            tenth (PED-ANOVA: Watanabe et al. 2023; keys with conditions after Watanabe et al. 2026); empty before
            ten trials are complete.
    """

    name: str
    about: Mapping[str, Any]
    planned: int
    parameters: tuple[Parameter, ...]
    trials: tuple[Trial, ...]
    importance: Mapping[str, float]

    @property
    def metric(self) -> str:
        """The figure that decides."""
        return str(self.about["metric"])

    @property
    def larger_is_better(self) -> bool:
        """Which way."""
        return bool(figure(self.metric).larger_is_better)

    @cached_property
    def best(self) -> Trial | None:
        """The complete trial with the best figure."""
        return best_of(self.trials, larger_is_better=self.larger_is_better)

    @cached_property
    def luck(self) -> float | None:
        """How much of the best figure is luck of the choice (`luck_of`)."""
        return luck_of(self.trials, larger_is_better=self.larger_is_better)

    @property
    def corrected(self) -> float | None:
        """The best figure without that luck."""
        if self.best is None or self.best.value is None or self.luck is None:
            return None
        return self.best.value - self.luck if self.larger_is_better else self.best.value + self.luck

    @property
    def counts(self) -> dict[str, int]:
        """How many trials are in each state."""
        return dict(Counter(trial.state for trial in self.trials))

    @property
    def apart(self) -> str:
        """How `corrected` came about."""
        if self.about["folds"]:
            return "as if chosen on all folds but one and read on that one"
        return "as if chosen on one half of the users and read on the other"

    @property
    def caution(self) -> str:
        """What is to be said beside the best figure."""
        tried = sum(trial.value is not None for trial in self.trials)
        rows = "folds of training and validation rows" if self.about["folds"] else "validation rows"
        return (
            f"The best of {tried} on the {rows} that chose it, so the figure flatters it, and early stopping looked at "
            "them too: only the test rows of a later 'orita train' judge it."
        )

    def other_settings(self, config: Section) -> list[str]:
        """Return the keys, of those that were not searched, whose value in *config* is another than in the search."""
        now = dict(_leaves(config.model_dump(mode="json")))
        emptied = {key for parameter in self.parameters for key in _sections(parameter.key)}  # of all that they had
        kept = _leaves(self.about["configuration"])
        return [key for key, value in kept if now.get(key) != value and not (value == {} and key in emptied)]

    def ranked(self) -> list[Trial]:
        """Return complete trials, the best first."""
        sign = -1 if self.larger_is_better else 1
        complete = [trial for trial in self.trials if trial.value is not None]
        return sorted(complete, key=lambda trial: sign * (trial.value or 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Return the search as plain JSON values."""
        return {
            "name": self.name,
            **self.summary(),
            "about": dict(self.about),
            "importance": dict(self.importance),
            "trials": [trial.to_dict() for trial in self.trials],
        }

    def summary(self) -> dict[str, Any]:
        """Return where it stands, as plain JSON values."""
        return {
            "metric": self.metric,
            "planned": self.planned,
            "counts": self.counts,
            "best": self.best.to_dict() if self.best else None,
            "luck": self.luck,
            "corrected": self.corrected,
        }


def find_search(root: Path, name: str | None) -> Search:
    """Return the search of that name, or the one that was worked on last.

    Raises:
        NotFound: there is none; the sentence lists those that exist.
    """
    names = _names(root)
    if not names:
        raise NotFound("there is no search yet: 'orita tune' begins one.")
    if name is not None and name not in names:
        raise NotFound(f"there is no search {name!r}. {closest(name, names)}")
    folder = root / (name or names[0])
    study = _opened(folder)
    if study is None:
        raise NotFound(f"the search {folder.name!r} was ended before it began: run its 'orita tune' again.")
    return _read(folder, study)


def read_searches(root: Path) -> list[Search]:
    """Return every search, the one that was worked on last first; not one that was killed before it began."""
    begun = [(root / name, study) for name in _names(root) if (study := _opened(root / name)) is not None]
    return [_read(folder, study) for folder, study in begun]


def _names(root: Path) -> list[str]:
    journals = sorted(root.glob(f"*/{JOURNAL}"), key=lambda path: -path.stat().st_mtime_ns)
    return [path.parent.name for path in journals if path.stat().st_size]


def _opened(folder: Path) -> Any:
    """Return Optuna's study in *folder*; None where a kill came before it was said what is searched."""
    try:
        study = open_optuna(folder)
    except KeyError:  # the journal has no study yet
        return None
    return study if ABOUT in study.user_attrs else None


def _read(folder: Path, study: Any) -> Search:
    about = study.user_attrs[ABOUT]
    parameters = tuple(_parameter(key, described) for key, described in about["space"].items())
    attempts = read_attempts(study.get_trials(deepcopy=False))
    trials = tuple(one.trial(parameters, lambda worker: is_held(worker_lock(folder, worker))) for one in attempts)
    return Search(folder.name, about, study.user_attrs.get(PLANNED, 0), parameters, trials, _importance(study, trials))


def _leaves(tree: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{at}{name}.")
        else:
            yield f"{at}{name}", value


def _sections(key: str) -> Iterator[str]:
    """Yield the sections that a dotted key lies in."""
    while key := key.rpartition(".")[0]:
        yield key


def _parameter(key: str, described: Mapping[str, Any]) -> Parameter:
    when = {name: tuple(wanted) for name, wanted in described.get("when", {}).items()}
    if "choices" in described:
        return Parameter(key, "choice", choices=tuple(described["choices"]), when=when)
    found = {name: described[name] for name in ("kind", "low", "high", "log", "step")}
    return replace(Parameter(key, **found), when=when)


def _importance(study: Any, trials: Sequence[Trial]) -> dict[str, float]:
    values = [trial.value for trial in trials if trial.value is not None]
    if len(values) < ENOUGH_FOR_IMPORTANCE or len(set(values)) == 1:
        return {}
    importance = require("optuna.importance", extra="train")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few trials are told of in the report
        found = importance.get_param_importances(study, evaluator=importance.PedAnovaImportanceEvaluator())
    return {key: float(share) for key, share in found.items()}
