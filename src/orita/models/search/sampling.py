"""Who chooses what is tried next: Optuna's samplers, made anew for every trial.

A sampler draws from the seed and the number of the trial alone, so a search that was killed and goes on draws what it
would have drawn; and two processes never draw the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from orita.core.extras import require
from orita.models.search.binding import Parameter, combinations
from orita.models.search.config import SamplerName
from orita.models.search.space import label

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

__all__ = ["chosen_values", "combination", "fixed_params", "sampler_for", "suggest"]


def sampler_for(name: SamplerName, seed: int, number: int) -> BaseSampler:
    """Return the sampler of trial *number*.

    ``tpe`` is the tree-structured Parzen estimator (Bergstra et al. 2011), ``gp`` a Gaussian process; both draw at
    random until ten trials are done.
    """
    samplers = require("optuna.samplers", extra="train")
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    made: BaseSampler
    match name:
        case "tpe":
            made = samplers.TPESampler(seed=drawn)
        case "gp":
            made = samplers.GPSampler(seed=drawn)
        case _:  # a grid fixes every value, so that nothing is left to draw
            made = samplers.RandomSampler(seed=drawn)
    return made


def suggest(trial: Trial, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Let *trial* choose a value of every parameter whose conditions hold; return them by key."""
    chosen: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # conditional keys are drawn on their own by gp, which it warns of every time
        for parameter in parameters:
            if parameter.active(chosen):
                chosen[parameter.key] = _value(trial, parameter)
    return chosen


def _value(trial: Trial, parameter: Parameter) -> Any:
    key = parameter.key
    match parameter.kind:
        case "choice":
            return parameter.choices[parameter.labels.index(trial.suggest_categorical(key, parameter.labels))]
        case "int":
            step = int(parameter.step or 1)
            return trial.suggest_int(key, int(parameter.low), int(parameter.high), step=step, log=parameter.log)
        case "float":
            return trial.suggest_float(key, parameter.low, parameter.high, step=parameter.step, log=parameter.log)


def combination(parameters: Sequence[Parameter], number: int) -> Mapping[str, Any] | None:
    """Return combination *number* of the grid, from 0; None after the last."""
    return next(islice(combinations(parameters), number, None), None)


def fixed_params(parameters: Sequence[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* as Optuna has them: choices by their labels."""
    kinds = {parameter.key: parameter.kind for parameter in parameters}
    return {key: label(value) if kinds[key] == "choice" else value for key, value in values.items()}


def chosen_values(parameters: Sequence[Parameter], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Optuna kept of a trial as plain values."""
    return {
        p.key: p.choices[p.labels.index(params[p.key])] if p.kind == "choice" else params[p.key]
        for p in parameters
        if p.key in params
    }
