"""The lineage of a model in words: a tree of short lines, which a terminal and a page draw each in its way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Branch", "lineage_branch"]

_MOST_DAYS, _MOST_ITEMS = 14, 5


@dataclass(frozen=True, slots=True)
class Branch:
    """A line, and the lines below it."""

    text: str
    branches: list[Branch] = field(default_factory=list)


def lineage_branch(told: Mapping[str, Any]) -> Branch:
    """Return the tree of what `orita.pipelines.model_lineage` tells of a version or of a prediction."""
    model = told["model"]
    origin = Branch("came from", list(_origin(told["from"])))
    if "prediction" not in told:
        return Branch(_model(model), [origin, Branch("came of it", list(_effects(told["to"])))])
    found = told["prediction"]
    scored = [f"item {i['item_id']}: {i['score']:.4f}, rank {i['rank']}" for i in found["items"][:_MOST_ITEMS]]
    scored += [f"{found['rows'] - _MOST_ITEMS:,} more"] if found["rows"] > _MOST_ITEMS else []
    request = f"request {found['request_id']} of user {found['user_id']}, answered {_time(found['at'])}"
    return Branch(request, [*map(Branch, scored), Branch(f"by {_model(model)}", [origin])])


def _model(model: Mapping[str, Any]) -> str:
    aliases = f", {', '.join(model['aliases'])}" if model["aliases"] else ""
    quality = "" if model["auc"] is None else f", AUC {model['auc']:.4f}"
    registered = _time(model["registered_at"])
    return f"{model['system']} {model['version']} ({model['type']}{aliases}), registered {registered}{quality}"


def _origin(origin: Mapping[str, Any]) -> Iterator[Branch]:
    for each in origin["imported"]:
        yield Branch(f"{each['version']} of {each['system']}, tenant {each['tenant']}, in {each['home']}: imported")
    if origin["parent"]:
        yield Branch(f"{origin['parent']}: made of it")
    if run := origin["run"]:
        times = f"{_time(run['started_at'])} to {_time(run['ended_at'])}"
        params = f"{len(run['params'])} parameters"
        yield Branch(f"run {run['id']} ({run['name']}), {run['status'].lower()}, {times}, {params}")
    yield from _training_set(origin)
    features = origin["features"]
    yield Branch(f"features: {len(features)}", [Branch(_feature(each)) for each in features])
    if code := {name: value for name, value in origin["code"].items() if value}:
        yield Branch("code: " + ", ".join(f"{name} {value}" for name, value in code.items()))
    for each in origin.get("compared_with", []):
        better = "better" if each["better"] else "not surely better"
        rival = each["champion"] or "nothing"
        yield Branch(f"compared {_time(each['at'])}: {each['challenger']} with {rival}, {better}: {each['why']}")


def _training_set(origin: Mapping[str, Any]) -> Iterator[Branch]:
    tables = [_table(table, origin["here"]) for table in origin["tables"]]
    if not (found := origin["training_set"]):
        yield Branch("training set: none is named")
        return
    meaning = found.get("meaning", {})
    label = f", label {meaning['source'][0]}.{meaning['label'][0]}" if {"source", "label"} <= set(meaning) else ""
    parts = [
        Branch(f"{name}: {part['rows']:,} rows, {_time(part['start'])} to {_time(part['end'])}")
        for name, part in found.get("parts", {}).items()
    ]
    where = "" if origin["here"] else ", of another home"
    yield Branch(f"training set {found['id']}{label}{where}", [*parts, *tables])


def _table(table: Mapping[str, Any], here: bool) -> Branch:
    named = f"table {table['name']}@{table['version']}"
    if not here:
        return Branch(named)
    held = f", {table['rows']:,} rows" if table["readable"] else ", its files are gone"
    below = [Branch(f"{name} {value}") for name, value in table["origin"].items()]
    below += [Branch(f"from {source}: {rows:,} rows written") for source, rows in table["sources"].items()]
    if table["offsets"]:
        spelled = ", ".join(f"{partition}: {offset:,}" for partition, offset in table["offsets"].items())
        below.append(Branch(f"event log up to {spelled}"))
    return Branch(f"{named}{held}, {_time(table['at'])}", below)


def _feature(feature: Mapping[str, Any]) -> str:
    if not feature["feature"]:
        return f"{feature['column']}: meaning {feature['meaning'] or 'unknown'}, not in the registry of this home"
    owner = f", owner {feature['owner']}" if feature["owner"] else ""
    now = "" if feature["current"] else ", declared otherwise now"
    told = feature["declared"] or "a Python function"
    named = "" if feature["column"] == feature["feature"] else f"{feature['feature']} "
    version = f"version {feature['version']}" if feature["version"] else "not recorded"
    return f"{feature['column']} ({named}{version}): {told}{owner}{now}"


def _effects(to: Mapping[str, Any]) -> Iterator[Branch]:
    for period in to["deployments"]:
        end = f"to {_time(period['end'])}" if period["end"] else "until now"
        yield Branch(f"champion {_time(period['start'])} {end}, by {period['actor']}: {period['reason']}")
    if not to["deployments"]:
        yield Branch("never champion")
    yield _predictions(to["predictions"])
    if (back := to["feedback"]) and back["rows"]:
        between = f"{_time(back['first'])} to {_time(back['last'])}"
        yield Branch(f"feedback: {back['rows']:,} events, {back['positives']:,} positive, {between}")
    if (watched := to["monitoring"])["reports"]:
        raised = ", ".join(f"{name} {_counted(count, 'time')}" for name, count in watched["alerts"].items()) or "none"
        yield Branch(
            f"monitoring: {_counted(watched['reports'], 'report')} up to {_time(watched['last'])}, alerts: {raised}"
        )
    for alert in to["alerts"]:
        state = "firing" if alert["firing"] else "recovered"
        yield Branch(f"alert {alert['name']}, {state}, since {_time(alert['since'])}: {alert['summary']}")
    for each in to["retrainings"]:
        made = f" made {each['made']}" if each["made"] else ""
        yield Branch(f"retraining {_time(each['at'])}{made}: {'; '.join(each['reasons'])}")
    for each in to["made_of_it"]:
        yield Branch(f"made of it: {_model(each)}")


def _predictions(answers: Mapping[str, Any]) -> Branch:
    if not answers["rows"]:
        return Branch("predictions: none in the log")
    days: Sequence[tuple[str, Mapping[str, int]]] = sorted(answers["days"].items())
    shown = [
        Branch(f"{day}: {each['rows']:,} in {_counted(each['requests'], 'request')}")
        for day, each in days[-_MOST_DAYS:]
    ]
    earlier = [Branch(f"{len(days) - _MOST_DAYS:,} days before")] if len(days) > _MOST_DAYS else []
    between = f"{_time(answers['first'])} to {_time(answers['last'])}"
    text = f"predictions: {answers['rows']:,} in {_counted(answers['requests'], 'request')}, {between}"
    return Branch(text, earlier + shown)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _time(at: str | None) -> str:
    return (at or "")[:19].replace("T", " ") or "an unknown time"
