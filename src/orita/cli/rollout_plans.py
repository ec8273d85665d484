"""From the options of ``orita deploy`` to the document of a plan."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orita.core.errors import UserError

if TYPE_CHECKING:
    from orita.delivery.rollouts import RolloutPlan

__all__ = ["AT_ONCE", "STRATEGIES", "PlanOptions"]

AT_ONCE = "all-at-once"
STRATEGIES = ("canary", "blue-green", "ab", "bandit", "segment", "shadow")

_SHARED = ("canary", "blue_green", "segment")
_MEANT_FOR: dict[str, tuple[str, ...]] = {
    "--steps": ("canary",),
    "--soak": ("canary", "blue_green"),
    "--shares": ("ab", "bandit", "segment", "shadow"),
    "--cpu": ("shadow",),
}
_FIELDS = {
    "--soak": "soak_seconds",
    "--alpha": "checks.alpha",
    "--most-loss": "checks.metric.most_loss",
    "--window": "checks.metric.window_seconds",
    "--cpu": "cpu_percent",
}
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%?")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the command line says of a rollout; None and empty: nothing.

    Attributes:
        versions: what is to be tried.
        file: YAML or JSON of a plan, which the other options change.
        strategy: as it is written there, such as ``blue-green``.
        steps, shares: percentages with commas between.
        soak, window: durations such as ``10m``.
        alpha: chance of a wrong rollback.
        most_loss: percentage.
        by: attributes that name the unit.
        where: a condition as YAML or JSON.
        overrides: each ``attribute=value,value:version``.
        cpu: percent of one processor.
        guardrails: each ``column:percentage:mean:down``, all but the column in any order or left out.
    """

    versions: tuple[str, ...]
    file: Path | None
    strategy: str | None
    steps: str | None
    soak: str | None
    alpha: float | None
    most_loss: str | None
    window: str | None
    by: tuple[str, ...]
    where: str | None
    overrides: tuple[str, ...]
    shares: str | None
    cpu: float | None
    guardrails: tuple[str, ...] = ()

    @property
    def at_once(self) -> bool:
        """Whether the version gets to everybody without a rollout.

        Raises:
            UserError: then other options, or several versions, mean nothing.
        """
        if self.file is not None or self.strategy not in (None, AT_ONCE):
            return False
        given = sorted(name for name, value in self._given.items() if value not in (None, (), AT_ONCE))
        if given:
            raise UserError(f"{given[0]} is of a strategy: give --strategy {' or '.join(_of(given[0]))} too.")
        if len(self.versions) > 1:
            raise UserError(f"{len(self.versions)} versions are given: give --strategy ab or bandit to try several.")
        if not self.versions:
            raise UserError("no version is given: 'orita models list' shows those that there are.")
        return True

    def plan(self) -> RolloutPlan:
        """Return the plan.

        Raises:
            UserError: the file or an option cannot be read, or they make no plan; the sentence says where.
        """
        from orita.delivery.rollouts.plan_files import plan_of, read_document

        document = {} if self.file is None else _read(self.file)
        strategy = document.get("strategy") if self.strategy is None else self.strategy.replace("-", "_")
        for option, strategies in _MEANT_FOR.items():
            if self._given[option] is not None and strategy not in strategies:
                raise UserError(f"{option} means nothing for the strategy {strategy!r}: use it with {_named(option)}.")
        document |= {"versions": list(self.versions)} if self.versions else {}
        document |= {"strategy": strategy} if strategy is not None else {}
        document |= {"steps": [{"share": share} for share in _shares("--steps", self.steps)]} if self.steps else {}
        document |= {"shares": _shares("--shares", self.shares)} if self.shares else {}
        document |= {"soak_seconds": _seconds("--soak", self.soak)} if self.soak else {}
        document |= {"by": list(self.by)} if self.by else {}
        document |= {"audience": read_document(self.where, "--where")} if self.where else {}
        document |= {"overrides": [_override(each) for each in self.overrides]} if self.overrides else {}
        document |= {"cpu_percent": self.cpu} if self.cpu is not None else {}
        return plan_of(document | self._checks(document.get("checks", {})), self._places)

    @property
    def _places(self) -> dict[str, str]:
        """The options that were given, by the field of the plan that each is."""
        return {place: option for option, place in _FIELDS.items() if self._given[option] not in (None, ())}

    @property
    def _given(self) -> dict[str, object]:
        return {
            "--steps": self.steps,
            "--soak": self.soak,
            "--alpha": self.alpha,
            "--most-loss": self.most_loss,
            "--window": self.window,
            "--by": self.by,
            "--where": self.where,
            "--override": self.overrides,
            "--shares": self.shares,
            "--cpu": self.cpu,
            "--guardrail": self.guardrails,
        }

    def _checks(self, declared: Any) -> dict[str, Any]:
        """Return the checks where an option changes one, within those that a file declares."""
        metric: dict[str, object] = {}
        if self.most_loss is not None:
            metric["most_loss"] = _percent("--most-loss", self.most_loss) / 100
        if self.window is not None:
            metric["window_seconds"] = _seconds("--window", self.window)
        changed: dict[str, Any] = {} if self.alpha is None else {"alpha": self.alpha}
        if self.guardrails:
            changed["guardrails"] = [_guardrail(each) for each in self.guardrails]
        if not metric and not changed:
            return {}
        if not isinstance(declared, dict):
            raise UserError("checks of the plan are no mapping: write alpha, errors, latency, metric and others there.")
        if metric:
            held = declared.get("metric") or {}
            if not isinstance(held, dict):
                raise UserError(f"checks.metric of the plan is {held!r}, no mapping: write the keys of a metric there.")
            changed["metric"] = {**held, **metric}
        return {"checks": {**declared, **changed}}


def _read(file: Path) -> dict[str, Any]:
    from orita.delivery.rollouts.plan_files import read_document

    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}. Give a file of a plan.") from None
    document = read_document(content, str(file), "json" if file.suffix == ".json" else "yaml")
    if not isinstance(document, dict):
        raise UserError(f"{file} is no mapping: write strategy, versions and what else the plan says.")
    return document


def _of(option: str) -> tuple[str, ...]:
    return tuple(name.replace("_", "-") for name in _MEANT_FOR.get(option, _SHARED))


def _named(option: str) -> str:
    return " or ".join(_of(option))


def _percent(option: str, text: str) -> float:
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{option} has the value {text!r}: give a percentage, such as 2.5 or 2.5%.")
    return float(match[1])


def _shares(option: str, text: str) -> list[float]:
    try:
        return [_percent(option, each) for each in text.split(",")]
    except UserError:
        raise UserError(f"{option} has the value {text!r}: give percentages such as 1,5,25,100.") from None


def _seconds(option: str, text: str) -> float:
    from orita.features.declaring.windows import duration_micros

    return duration_micros(text, option, zero=True) / 1_000_000


def _guardrail(text: str) -> dict[str, object]:
    name, *parts = text.split(":")
    found: dict[str, object] = {}
    for part in parts:
        match = _PERCENT.fullmatch(part)
        if part in ("rate", "mean"):
            found["kind"] = part
        elif part in ("up", "down"):
            found["direction"] = part
        elif match is not None:
            found["most_loss"] = float(match[1]) / 100
    if not name or len(found) < len(parts):
        raise UserError(
            f"--guardrail has the value {text!r}: write COLUMN, and what differs from the default of a percentage that "
            "may be lost, rate or mean, up or down, such as dwell_time:5%:mean or hide:down."
        )
    return {"name": name, **found}


def _override(text: str) -> dict[str, object]:
    attribute, _, rest = text.partition("=")
    values, _, version = rest.rpartition(":")
    if not (attribute and values and version):
        raise UserError(f"--override has the value {text!r}: write ATTRIBUTE=VALUE:VERSION, such as user_id=7:v1.3.0.")
    return {"attribute": attribute, "values": values.split(","), "variant": version}
