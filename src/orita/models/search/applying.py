"""The values of a trial, written into a configuration file or given out to be written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orita.core.config import Section, load
from orita.core.errors import NotFound, UserError
from orita.core.files import atomic_file
from orita.models.search.binding import value_at
from orita.models.search.trials import Trial
from orita.models.search.view import Search
from orita.models.search.yaml_edit import edited_yaml, yaml_lines

__all__ = ["Applied", "apply_values", "chosen_trial"]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of it.

    Attributes:
        file: the configuration file.
        written: whether the values are in it now.
        why: where they are not, the reason in a sentence.
        yaml: the values as lines of such a file.
        overrides: the same as ``key=value`` items for ``--set``.
    """

    file: str
    written: bool
    why: str
    yaml: str
    overrides: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def chosen_trial(search: Search, number: int | None) -> Trial:
    """Return a complete trial of *search*: the named one, by default the best.

    Raises:
        NotFound: there is none.
    """
    complete = {trial.number: trial for trial in search.trials if trial.value is not None}
    if number is None:
        if search.best is None:
            raise NotFound(f"the search {search.name!r} has no complete trial yet: 'orita tune' goes on with it.")
        return search.best
    if number not in complete:
        known = ", ".join(str(one) for one in sorted(complete)) or "none"
        raise NotFound(f"the search {search.name!r} has no complete trial {number}. Complete: {known}.")
    return complete[number]


def apply_values(file: Path, values: Mapping[str, Any], config: Section) -> Applied:
    """Write *values* into *file*, wholly or not at all; where that would lose something, say so instead.

    Args:
        file: a configuration file of the type of *config*.
        values: by dotted key.
        config: tells the type that the file must still have.
    """
    overrides = tuple(f"{key}={json.dumps(value)}" for key, value in values.items())
    why = _write(file, values, config)
    return Applied(str(file), not why, why, yaml_lines(values), overrides)


def _write(file: Path, values: Mapping[str, Any], config: Section) -> str:
    """Write, and return an empty text, or why it was not done."""
    if not file.exists():
        return f"{file} does not exist: 'orita init' makes a project that has one."
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            text = edited_yaml(opened.read(), values)
        with atomic_file(file.resolve()) as partial:
            partial.write_text(text, encoding="utf-8", newline="")
            read = load(type(config), partial, environment={}, known=config.known).value
            wrong = [key for key, value in values.items() if value_at(read, key) != value]
            if wrong:
                raise UserError(f"{wrong[0]} would be read otherwise.")
    except (UserError, UnicodeDecodeError) as error:
        return f"{file} is left as it is: {error}"
    return ""
