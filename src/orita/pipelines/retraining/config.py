"""How retraining goes on unattended: ``retraining`` in ``model_config.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from orita.core.config import Section
from orita.core.errors import UserError

__all__ = ["BudgetSection", "RetrainingSection", "WatchSection", "plan_with"]

_PLACE = "challenger"
_STRATEGIES = ("canary", "blue_green")


def plan_with(document: Mapping[str, Any], version: str) -> Any:
    """Return the `RolloutPlan` that a declaration is for *version*.

    Raises:
        UserError: it cannot be carried out; the field is named.
    """
    from orita.delivery.rollouts.plan_files import plan_of  # here, as a server reads this section without rollouts

    return plan_of({"strategy": "canary", **document, "versions": [version]})


def _plan(document: dict[str, Any] | None) -> dict[str, Any] | None:
    if document is None:
        return None
    if "versions" in document:
        raise ValueError("versions means nothing here: the version is the one that was trained; leave it out")
    strategy = document.get("strategy", "canary")
    if strategy not in _STRATEGIES:
        raise ValueError(f"strategy is {strategy!r}, allowed are {', '.join(_STRATEGIES)}: others promote nothing")
    try:
        plan_with(document, _PLACE)
    except UserError as error:
        raise ValueError(str(error)) from None
    return document


class BudgetSection(Section):
    """What trainings may take in a period; what is null is not bounded.

    Attributes:
        days: the period, before now.
        runs: trainings that are begun.
        hours: of training and of computing features for it, by the clock.
        cost: in the currency of ``cost_per_hour``.
        cost_per_hour: what an hour costs.
    """

    days: Annotated[float, Field(gt=0, le=366)] = 7.0
    runs: Annotated[int, Field(ge=1, le=150)] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    cost: Annotated[float, Field(gt=0)] | None = None
    cost_per_hour: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _cost_has_a_price(self) -> BudgetSection:
        if self.cost is not None and not self.cost_per_hour:
            raise ValueError("cost needs cost_per_hour: without a price nothing costs anything")
        return self


class WatchSection(Section):
    """What happens after a promotion: the new version is held against the one before it, and taken back.

    Attributes:
        hours: so long it is watched, and so long before the promotion the other is looked at.
        most_loss: of AUC online, and share of the click rate, that it may lose; more, surely, takes it back.
        figures: what is looked at: ``auc``, ``ctr`` (clicks of answered rows).
        false_alarm_rate: chance, over all looks and figures, that a version that lost ``most_loss`` is taken back.
    """

    hours: Annotated[float, Field(gt=0, le=24 * 90)] = 72.0
    most_loss: Annotated[float, Field(ge=0, lt=1)] = 0.02
    figures: Annotated[tuple[str, ...], Field(min_length=1)] = ("auc",)
    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01

    @model_validator(mode="after")
    def _figures_are_known(self) -> WatchSection:
        wrong = [name for name in self.figures if name not in ("auc", "ctr")]
        if wrong or len(set(self.figures)) < len(self.figures):
            raise ValueError(f"figures are {list(self.figures)}, allowed are auc and ctr, each once")
        return self


class RetrainingSection(Section):
    """How retraining goes on unattended.

    Attributes:
        cool_down_hours: no training begins so long after one that was begun, however it ended.
        budget: what trainings may take.
        stop_after_failures: so many failures in a row (a run that failed or was killed, a model that was taken back)
            stop retraining until ``orita retraining resume``; null: never.
        rollout: a plan of a rollout, without ``versions``: what is blessed begins it instead of being promoted at once.
        watch: how a promoted model is watched; null: not.
    """

    cool_down_hours: Annotated[float, Field(ge=0, le=24 * 366)] = 0.0
    budget: BudgetSection | None = None
    stop_after_failures: Annotated[int, Field(ge=1, le=100)] | None = 3
    rollout: Annotated[dict[str, Any] | None, AfterValidator(_plan)] = None
    watch: WatchSection | None = WatchSection()
