"""What the command line tells of rollouts: how each stands, who decides, what was decided."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import typer
from rich.markup import escape

from orita.cli.console import figures, table

if TYPE_CHECKING:
    from orita.control.events import ControlEvent
    from orita.core.home import Home
    from orita.delivery.rollouts.rollout import Acknowledgement
    from orita.delivery.rollouts.standing import Standing

__all__ = [
    "NO_CONTROLLER",
    "NO_ROLLOUT",
    "ends_with_promotion",
    "figures_of_standing",
    "in_words",
    "show_history",
    "show_standing",
    "told_event",
]

NO_CONTROLLER = "no controller is acting: run 'orita controller'"
NO_ROLLOUT = "There was no rollout yet: 'orita deploy VERSION --strategy canary' begins one."

_WIDE = 60


def ends_with_promotion(home: Home, system: str, version: str) -> str | None:
    """Return what becomes of the rollout under way now that *version* is the champion, None where there is none."""
    from orita.delivery.rollouts import Rollouts

    rollout = Rollouts(home.control, home.tenant).current(system).routing
    if rollout is None or rollout.champion == version:
        return None
    return (
        f"A {in_words(rollout.plan.strategy)} of {', '.join(rollout.plan.versions)} against {rollout.champion} was "
        f"under way ({rollout.id}): servers follow the new champion, and the rollout ends."
    )


def show_standing(told: Standing, home: Home) -> None:
    """Print how a rollout of *home* stands; of a shadow, what its candidates showed."""
    figures(figures_of_standing(told, home))


def figures_of_standing(told: Standing, home: Home) -> dict[str, str]:
    """Return what `show_standing` prints: names, and values as markup."""
    state = told.state if told.steps == 1 else f"{told.state}, step {told.step} of {told.steps}"
    what = f"{in_words(told.strategy)} of {', '.join(told.versions)} against {told.champion} ({told.system})"
    shown = {"rollout": told.id, "what": what, "state": state}
    if told.ended_at is None and told.strategy == "shadow":
        shown["since"] = f"{told.since:%Y-%m-%d %H:%M:%S} UTC, {_ago(told.since)} ago"
        shown |= _shown_of_shadow(told, home)
    elif told.ended_at is None:
        shown["shares"] = "  ".join(f"{version} {share:g} %" for version, share in told.shares.items())
        shown["since"] = f"{told.since:%Y-%m-%d %H:%M:%S} UTC, {_ago(told.since)} ago"
        ago = f" ({_ago(told.looked_at)} ago)" if told.looked_at is not None else ""
        shown["verdict"] = (f"{in_words(told.verdict)}: {told.why}" if told.why else in_words(told.verdict)) + ago
        for name, check in told.evidence.get("checks", {}).items():
            shown[name] = ": ".join(str(check[part]) for part in ("says", "why") if part in check)
        if told.acknowledged:
            shown["acknowledged"] = "; ".join(map(_acknowledged, told.acknowledged))
        if left_out := told.evidence.get("left_out"):
            shown["left out"] = f"{left_out:,} users, whom the metric does not count: too many items wait for outcomes"
        if behind := told.evidence.get("behind"):
            shown["behind"] = (
                f"{behind:,} answers under the present shares went by those of before, and count for "
                "nothing: a server does not hear of decisions, or its clock is off"
            )
        shown["controller"] = f"{told.controller} acts" if told.controller else NO_CONTROLLER
        if told.trouble is not None:
            since = f"since {told.trouble.since:%Y-%m-%d %H:%M:%S} UTC"
            shown["trouble"] = f"{told.trouble.what} ({since}) {told.trouble.remedy}"
    else:
        shown["ended"] = f"{told.ended_at:%Y-%m-%d %H:%M:%S} UTC, {_ago(told.ended_at)} ago"
        shown |= {"champion": f"{told.winner} since then"} if told.winner else {}
        shown |= {"why": told.why} if told.why else {}
    return {name: escape(value) for name, value in shown.items()}


def _acknowledged(each: Acknowledgement) -> str:
    beyond = each.beyond
    return f"{beyond.check} of {beyond.version} by {each.by}, {_ago(each.at)} ago: {each.reason}"


def _shown_of_shadow(told: Standing, home: Home) -> dict[str, str]:
    """Return what is mirrored, and the verdict on each candidate."""
    from orita.delivery.shadow.summary import shadow_summary

    found = shadow_summary(home, told.system, told.id)
    verdicts = {each.version: f"{in_words(each.verdict.state)}: {each.verdict.sentence}" for each in found.candidates}
    return {"mirrored": f"{told.plan.mirrored:g} % of requests"} | verdicts | {"more": "orita shadow report"}


def told_event(event: ControlEvent) -> dict[str, Any]:
    """Return a decision with its evidence, as JSON has it."""
    body = msgspec.json.decode(event.body)
    told = {"at": event.at, "version": event.version, "what": event.type, "rollout": body.get("id")}
    told |= {"who": event.actor, "why": event.reason}
    moved = {"split": body["split"]} if "split" in body and event.type != "started" else {}
    verdict = {"verdict": body["verdict"]} if event.type == "judged" else {}
    plan = {"plan": body["plan"], "champion": body["champion"]} if event.type == "started" else {}
    beyond = {"beyond": body["beyond"]} if event.type == "acknowledged" else {}
    return told | moved | verdict | beyond | plan | {"evidence": body.get("evidence", {})}


def show_history(events: list[dict[str, Any]]) -> None:
    """Print decisions, the first first."""
    rows = [
        [
            f"{each['at']:%Y-%m-%d %H:%M:%S}",
            escape(str(each["rollout"])[:13]),
            _what(each),
            escape(each["who"]),
            escape(each["why"]),
            escape(_short(each["evidence"])),
        ]
        for each in events
    ]
    table("Decisions of rollouts", ["at (UTC)", "of", "what", "who", "why", "evidence"], rows)
    typer.echo("\nAll of the evidence: --json")


def _what(told: dict[str, Any]) -> str:
    words = in_words(told["what"])
    if told["what"] == "judged":
        return f"{words} {in_words(told['verdict'])}"
    if told["what"] == "acknowledged":
        return f"{words} {', '.join(dict.fromkeys(each['check'] for each in told['beyond']))}"
    if told["what"] == "started":
        return escape(f"{words} {in_words(told['plan']['strategy'])} of {', '.join(told['plan']['versions'])}")
    return words


def _short(evidence: dict[str, Any]) -> str:
    text = msgspec.json.encode(evidence).decode() if evidence else ""
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"


def in_words(name: str) -> str:
    """Return the name of a strategy, a state, a verdict or a decision as people say it."""
    return {"ab": "A/B test", "blue_green": "blue/green deployment", "segment": "segment rollout"}.get(
        name, name.replace("_", " ")
    )


def _ago(at: datetime) -> str:
    seconds = max(0, round((datetime.now(UTC) - at).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds} s"
