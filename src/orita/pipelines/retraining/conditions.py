"""Which declared conditions ask for a new model now, each with what it rests on.

A condition that was answered by a training does not ask again for the same thing: a report, or an alert that began to
fire, is looked at once; new rows and age are counted from what was last learned.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from orita.core.clock import to_micros
from orita.core.errors import NotFound
from orita.core.sql import quoted
from orita.events.engine import open_engine
from orita.events.lake import Lake
from orita.features.training_sets.training_set import open_training_set
from orita.models.package import Package, load_package
from orita.monitoring.alerting.book import AlertBook, KnownAlert
from orita.monitoring.triggers import decide
from orita.pipelines.graph.journal import open_journal
from orita.pipelines.monitoring import latest_report_file
from orita.pipelines.retraining.record import Decision, RetrainingRecord
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion

__all__ = ["Condition", "asked_beside_report", "conditions_now", "holding_alerts"]

ConditionState = Literal["holds", "not", "waits", "answered", "unknown"]
_ETL = "etl_and_feature_engineering"


@dataclass(frozen=True, slots=True)
class Condition:
    """What one declared condition says.

    Attributes:
        name: such as ``feature_drift``, ``new_rows``, ``alert HIGH_ERROR_RATE``.
        state: ``waits``: it holds, but the last training was a moment ago; ``answered``: a training has begun since;
            ``unknown``: it could not be looked at.
        sentence: it in words; of what holds the reason of a training.
        evidence: the figures it rests on, and where more is.
    """

    name: str
    state: ConditionState
    sentence: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def conditions_now(
    workspace: Workspace, champion: ModelVersion | None, package: Package | None, last: Decision | None
) -> list[Condition]:
    """Return every condition that is declared, whether it holds or not.

    Args:
        workspace: whose ``retraining_triggers``.
        champion, package: what serves; None: nothing does.
        last: the decision that began the latest training.
    """
    return [*_reported(workspace, champion, last), _scheduled(workspace, package), *_beside(workspace, package, last)]


def asked_beside_report(workspace: Workspace) -> list[str]:
    """Return the reason of each condition that asks for a new model and that a monitoring report does not tell of."""
    declared = workspace.monitoring.retraining_triggers
    if not (declared.max_age_days or declared.new_rows or declared.data_quality or declared.alerts):
        return []
    champion = workspace.catalogue().champion(workspace.system.name)
    state = RetrainingRecord(workspace.home.control, workspace.home.tenant, workspace.clock).state(
        workspace.system.name
    )
    package, last = load_package(champion.package) if champion else None, next(iter(state.decisions), None)
    return [each.sentence for each in _beside(workspace, package, last) if each.state == "holds"]


def _beside(workspace: Workspace, package: Package | None, last: Decision | None) -> list[Condition]:
    declared, found = workspace.monitoring.retraining_triggers, []
    if declared.max_age_days is not None:
        found.append(_age(workspace, package, declared.max_age_days))
    if declared.new_rows is not None:
        found.append(_new_rows(workspace, package, last, declared.new_rows))
    if declared.data_quality:
        found.append(_data_quality(workspace, last))
    if declared.alerts:
        found += [_alert(workspace, name, last) for name in declared.alerts]
    return found


def holding_alerts(workspace: Workspace) -> list[str]:
    """Return a sentence for each alert that fires and of which nothing is to be learned."""
    names = workspace.monitoring.retraining_triggers.hold_while
    return [f"{a.name} {a.subject} fires: {a.alert['summary']}" for a in _alerts(workspace, names) if a.firing]


def _reported(workspace: Workspace, champion: ModelVersion | None, last: Decision | None) -> Iterator[Condition]:
    """Yield what the latest monitoring report says of drift and quality, once."""
    file = latest_report_file(workspace)
    declared = workspace.monitoring.retraining_triggers
    names = [n for n in ("feature_drift", "performance_degradation") if getattr(declared, n)]
    if file is None or champion is None:
        yield from (Condition(name, "unknown", f"{name}: there is no monitoring report yet.") for name in names)
        return
    report = json.loads(file.read_text(encoding="utf-8"))
    evidence = {"report": str(file), "at": report["at"], "model_version": report["model_version"]}
    if report["model_version"] != champion.version:
        told = f"the latest report is of {report['model_version']}, and {champion.version} serves"
        yield from (Condition(name, "unknown", f"{name}: {told}.", evidence) for name in names)
        return
    answered = last is not None and datetime.fromisoformat(report["at"]) <= last.at
    decision = report.get("decision", {})
    for name in names:
        asks = [each for each in decision.get("reasons", ()) if each.startswith(name)]
        waits = [each for each in decision.get("held", ()) if each.startswith(name)]
        for sentence in asks:
            yield Condition(name, "answered" if answered else "holds", sentence, evidence)
        for sentence in waits:
            yield Condition(name, "waits", sentence, evidence)
        if not asks and not waits:
            yield Condition(name, "not", f"{name}: the latest report shows none.", evidence)


def _scheduled(workspace: Workspace, package: Package | None) -> Condition:
    declared = workspace.monitoring.retraining_triggers
    trained = package.metadata.training_date if package else None
    last = datetime.fromisoformat(trained) if trained else None
    calendar = decide((), None, declared, last_training=last, now=workspace.clock.now())
    evidence = {"scheduled": declared.scheduled, "last_training": trained}
    if calendar.reasons:
        return Condition("scheduled", "holds", calendar.reasons[0], evidence)
    return Condition("scheduled", "not", f"scheduled: {declared.scheduled or 'never'}, nothing is due.", evidence)


def _age(workspace: Workspace, package: Package | None, most: float) -> Condition:
    if package is None:
        return Condition("max_age_days", "unknown", "max_age_days: nothing serves that could be old.")
    trained = datetime.fromisoformat(package.metadata.training_date)
    days = (workspace.clock.now() - trained) / timedelta(days=1)
    told = f"max_age_days: {package.version} was trained {days:.1f} days ago, {most:g} are declared."
    return Condition("max_age_days", "holds" if days > most else "not", told, {"days": days, "limit": most})


def _new_rows(workspace: Workspace, package: Package | None, last: Decision | None, least: int) -> Condition:
    """Count labelled events that are later than the last row that a training could learn from."""
    lake, source = Lake(workspace.home), workspace.system.source
    if not lake.exists(source.name):
        return Condition("new_rows", "unknown", "new_rows: there are no events yet.")
    seen = [each for each in (_data_to(workspace, package), last.data_to if last else "") if each]
    since = max(map(datetime.fromisoformat, seen), default=None)
    time, label = source.schema.time or "timestamp", workspace.system.label.column.name
    where = f" AND CAST({quoted(time)} AS TIMESTAMPTZ) > CAST($since AS TIMESTAMPTZ)" if since else ""
    query = f"SELECT count(*) FROM {lake.snapshot(source.name).sql} WHERE {quoted(label)} IS NOT NULL{where}"
    with open_engine(workspace.home.staging, workspace.data.validation.memory_mb) as connection:
        row = connection.execute(query, {"since": since.isoformat()} if since else {}).fetchone()
    rows = int(row[0]) if row else 0
    told = f"new_rows: {rows:,} labelled rows" + (f" since {since.isoformat()}" if since else "")
    evidence = {"rows": rows, "limit": least, "since": since.isoformat() if since else None}
    return Condition("new_rows", "holds" if rows >= least else "not", f"{told}, {least:,} are declared.", evidence)


def _data_to(workspace: Workspace, package: Package | None) -> str:
    """Return the time of the last row of the training set that a model came of, test rows too."""
    if package is None:
        return ""
    try:
        made = open_training_set(
            workspace.home.training_sets, workspace.system.name, str(package.extra.get("training_set", ""))
        )
    except NotFound:
        return str(package.metadata.training_data_date_range["end"])
    return made.splits["test"].end


def _data_quality(workspace: Workspace, last: Decision | None) -> Condition:
    """Tell whether the latest ingest brought rows that are no such as is declared, or as history has them."""
    with closing(open_journal(workspace.home, workspace.system.name, workspace.clock)) as journal:
        found = journal.latest_with(_ETL, ["validate_data"])
        run = journal.run(found[0]) if found else None
    if found is None or run is None:
        return Condition("data_quality", "unknown", "data_quality: no ingest was judged yet.")
    run_id, results = found
    tables = results["validate_data"].get("quality", {})
    bad = {name: told["findings"][0]["sentence"] for name, told in tables.items() if told["failed"]}
    evidence = {"run": run_id, "tables": {name: told["quarantined"] for name, told in tables.items()}}
    if not bad:
        return Condition("data_quality", "not", f"data_quality: run {run_id} found nothing wrong.", evidence)
    told = " ".join(f"{name}: {sentence}" for name, sentence in bad.items())
    answered = last is not None and run.began <= to_micros(last.at)
    sentence = f"data_quality: run {run_id} brought what is not as expected. {told}"
    return Condition("data_quality", "answered" if answered else "holds", sentence, evidence)


def _alert(workspace: Workspace, name: str, last: Decision | None) -> Condition:
    called = f"alert {name}"
    for each in _alerts(workspace, (name,)):
        if each.firing:
            since = each.condition.fired_at
            evidence = {"id": each.fingerprint, "subject": each.subject, "since": since.isoformat() if since else None}
            answered = last is not None and since is not None and since <= last.at
            sentence = f"{called}: {each.alert['summary']}"
            return Condition(called, "answered" if answered else "holds", sentence, evidence)
    return Condition(called, "not", f"{called}: it does not fire.")


def _alerts(workspace: Workspace, names: tuple[str, ...]) -> list[KnownAlert]:
    if not names:
        return []
    with closing(AlertBook(workspace.monitoring.alerting.book(workspace.home.reports))) as book:
        return [each for each in book.alerts() if each.name in names]
