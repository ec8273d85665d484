"""What happens to a simulated world, and when: declared in YAML, read strictly.

    name: drift
    about: Half of the users change what they like on day 10.
    happenings:
      - {day: 10, drift: {redrawn: 0.5}}

Days count from 1. A scenario is named by its file, or by the name of one that ships with Orita (`shipped`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from orita.core.config import Section
from orita.core.errors import NotFound, UserError, closest

__all__ = ["BadModel", "Drift", "Happening", "NewAudience", "Outage", "Scenario", "read_scenario", "shipped"]

_FOLDER = Path(__file__).parent / "scenarios"
_KINDS = ("drift", "outage", "bad_model", "new_audience")

Arm = Literal["policy", "vs"]
Shifts = dict[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=-5, le=5)]]


class Drift(Section):
    """Tastes move, from this day on.

    Attributes:
        topics: by topic, by how much everybody likes it more or less; tastes have a standard deviation of 1.
        redrawn: share of users who take over the tastes of another user.
    """

    topics: Shifts = Field(default_factory=dict)
    redrawn: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _moves_something(self) -> Drift:
        if not self.topics and not self.redrawn:
            raise ValueError("a drift moves something: give topics, such as {3: 1.5}, or redrawn, a share of users")
        return self


class Outage(Section):
    """The server does not answer for some hours.

    Attributes:
        hours: for how long.
        at_hour: from which hour of the day on, UTC.
        serves: ``list``, users see the same list of items that were popular before; ``nothing``, they leave at once.
        arm: whose users it meets: ``policy``, ``vs`` or ``both``.
    """

    hours: int = Field(ge=1, le=240)
    at_hour: int = Field(default=0, ge=0, le=23)
    serves: Literal["list", "nothing"] = "list"
    arm: Literal["policy", "vs", "both"] = "both"


class BadModel(Section):
    """One policy ranks badly for some days.

    Attributes:
        days: for how long.
        how: ``reversed``, the worst first; ``noise``, in random order.
        share: of its pages.
        arm: which policy: ``policy`` or ``vs``.
    """

    days: int = Field(default=1, ge=1, le=366)
    how: Literal["reversed", "noise"] = "reversed"
    share: float = Field(default=1.0, gt=0, le=1)
    arm: Arm = "policy"


class NewAudience(Section):
    """Users come of whom nobody knows anything, and who are alike in another way than those before.

    Attributes:
        users: how many.
        topics: as for a drift, of these users alone.
        activity: how often they come, relative to the others.
    """

    users: int = Field(ge=2, le=1_000_000)
    topics: Shifts = Field(default_factory=dict)
    activity: float = Field(default=1.0, gt=0, le=10)


class Happening(Section):
    """One thing that happens on a day: one of drift, outage, bad_model, new_audience."""

    day: int = Field(ge=1, le=366)
    drift: Drift | None = None
    outage: Outage | None = None
    bad_model: BadModel | None = None
    new_audience: NewAudience | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Happening:
        told = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(told) != 1:
            raise ValueError(f"a happening is one of {', '.join(_KINDS)}; this one is {' and '.join(told) or 'none'}")
        return self

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def sentence(self) -> str:
        """What happens, in words."""
        what = getattr(self, self.kind)
        told = ", ".join(f"{name} {value}" for name, value in what.model_dump(exclude_defaults=True).items())
        return f"day {self.day}: {self.kind.replace('_', ' ')}" + (f" ({told})" if told else "")


class Scenario(Section):
    """What happens, by day."""

    name: str = "an ordinary time"
    about: str = ""
    happenings: tuple[Happening, ...] = ()

    def checked(self, *, days: int, topics: int) -> Scenario:
        """Return this where it fits a world and a span of days.

        Raises:
            UserError: something would happen after the last day, or to a topic that there is not.
        """
        for happening in self.happenings:
            if happening.day > days:
                raise UserError(
                    f"scenario {self.name!r}: {happening.sentence} comes after the last day, {days}: "
                    f"simulate {happening.day} days or more, or let it happen sooner."
                )
            for what in (happening.drift, happening.new_audience):
                unknown = [topic for topic in (what.topics if what else ()) if topic >= topics]
                if unknown:
                    raise UserError(
                        f"scenario {self.name!r}: day {happening.day} names topic {unknown[0]}: "
                        f"allowed are those of this world, 0 to {topics - 1}."
                    )
        return self

    @property
    def new_users(self) -> int:
        """How many users come in all."""
        return sum(each.new_audience.users for each in self.happenings if each.new_audience)


def shipped() -> tuple[str, ...]:
    """Return the names of the scenarios that ship with Orita."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.yaml")))


def read_scenario(named: str) -> Scenario:
    """Return the scenario of a file, or of the name of one that ships.

    Raises:
        NotFound: there is no such file, and none of that name.
        UserError: the file is no YAML, has a key that is not known, or a value that is not allowed.
    """
    file = Path(named)
    if not file.is_file():
        file = _FOLDER / f"{named.removesuffix('.yaml')}.yaml"
        if "/" in named or not file.is_file():
            raise NotFound(f"there is no scenario {named!r}, as a file or by name. {closest(named, shipped())}")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"scenario {named} cannot be read as YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise UserError(f"scenario {named} holds no keys: write name, about and happenings, a list.")
    try:
        return Scenario.model_validate({"name": file.stem, **content})
    except ValidationError as error:
        raise UserError(f"scenario {named}: {_sentence(error)}") from None


_SECTIONS: dict[str, type[Section]] = {
    "happenings": Happening, "drift": Drift, "outage": Outage, "bad_model": BadModel, "new_audience": NewAudience,
}  # fmt: skip


def _sentence(error: ValidationError) -> str:
    first: Any = error.errors(include_url=False)[0]
    names = [str(part) for part in first["loc"]]
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        section = next((_SECTIONS[name] for name in reversed(names[:-1]) if name in _SECTIONS), Scenario)
        return f"{place!r} is not a known key. {closest(names[-1], list(section.model_fields))}"
    if first["type"] == "missing":
        return f"{place!r} is missing: give it a value."
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"{place!r} has the value {first['input']!r}: {message[:1].lower()}{message[1:]}."
