"""Rankers of the user's own: what a system declares beside the built-in types, made and checked before it is used."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orita.core.errors import MissingExtra, UserError
from orita.models.config import MODEL_TYPES
from orita.models.ranker import FitReport, Ranker

__all__ = ["Maker", "check_call", "check_names", "checked_report", "make_own"]

Maker = Callable[..., Any]
"""A class or function that makes a new ranker; what comes out of it is checked, not believed."""
_LONGEST = 60
_MEMBERS = ("fit", "score", "export")


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse what cannot be a type of model; *where* says who declares it, such as a file.

    Raises:
        UserError: a name is that of a built-in type, or too long for names of files and tags.
    """
    for name in names:
        if name in MODEL_TYPES:
            raise UserError(
                f"{where} declares a ranker {name!r}, which is a built-in type: give it another name. Built in are "
                f"{', '.join(MODEL_TYPES)}."
            )
        if len(name) > _LONGEST:
            raise UserError(
                f"{where} declares a ranker {name!r}, a name of {len(name)} characters: take at most {_LONGEST}."
            )


def check_call(name: str, maker: Maker, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters whose names *maker* does not take; nothing is made.

    Raises:
        UserError: one is unknown or missing; the sentence says what is taken.
    """
    try:
        signature = inspect.signature(maker)
    except ValueError:  # a class written in C tells none; what it does not take is told when it is made
        return
    try:
        signature.bind(**parameters)
    except TypeError as error:
        bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
        taken = signature.replace(parameters=bare, return_annotation=signature.empty)
        keys = f"the keys {', '.join(parameters)}" if parameters else "no keys"
        raise UserError(
            f"model.parameters.{name} has {keys}, and the ranker is made by {name}{taken}: {error}."
        ) from None


def make_own(name: str, maker: Maker, parameters: Mapping[str, Any]) -> Ranker:
    """Return a new ranker of the type *name*.

    Raises:
        UserError: it cannot be made with *parameters*, or what is made is no ranker.
        MissingExtra: a library that it imports is not installed.
    """
    check_call(name, maker, parameters)
    try:
        made = maker(**parameters)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the ranker {name!r} needs {error.name}, which is not installed here.") from error
    except Exception as error:
        raise UserError(
            f"the ranker {name!r} cannot be made with model.parameters.{name} = {dict(parameters)}: "
            f"{type(error).__name__}: {error}"
        ) from error
    missing = [member for member in _MEMBERS if not callable(getattr(made, member, None))]
    if missing or isinstance(made, type):
        what = f"the class {made.__name__}" if isinstance(made, type) else f"a {type(made).__name__}"
        raise UserError(
            f"the ranker {name!r} is made as {what}, which is none{f' without {missing[0]}()' if missing else ''}: "
            "orita.models.ranker.Ranker is the contract, orita.testing.check_ranker checks it."
        )
    ranker: Ranker = made
    return ranker


def checked_report(ranker: Ranker, report: object) -> FitReport:
    """Return what a fit returned, which is a `FitReport`.

    Raises:
        UserError: it is not.
    """
    if not isinstance(report, FitReport):
        raise UserError(
            f"fit() of the ranker {type(ranker).__name__} returned a {type(report).__name__}: return a FitReport of "
            "orita.models.ranker, which may be empty."
        )
    return report
