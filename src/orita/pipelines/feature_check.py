"""Is all well with the features? What is declared, recorded, published and read, held against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from orita.control.deployments import Deployments
from orita.core.errors import NotFound, UserError
from orita.events.log.log import EventLog
from orita.features.declaring.windows import duration_text
from orita.features.generations.generation import Generation
from orita.features.stores.store import OnlineStore
from orita.models.package import package_schema
from orita.pipelines.feature_freshness import Behind, behind
from orita.pipelines.feature_report import FeatureFacts, feature_facts, published_store
from orita.pipelines.workspace import Workspace

__all__ = ["Checked", "FeatureFault", "check_features"]

Code = Literal[
    "not_recorded", "not_published", "other_plan", "model_reads_other", "stale", "never_filled", "costs_more"
]

_PUBLISH = "run 'orita features backfill'"


@dataclass(frozen=True, slots=True)
class FeatureFault:
    """Something that is wrong.

    Attributes:
        code: what sort of thing, for programs.
        feature: of which feature; empty: of all.
        sentence: what is wrong.
        remedy: what to do.
    """

    code: Code
    feature: str
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: faults, and how far the online features are behind by table (empty: nothing published)."""

    features: int
    faults: tuple[FeatureFault, ...]
    behind: tuple[Behind, ...]


def check_features(workspace: Workspace, log: EventLog | None = None) -> Checked:
    """Return what is wrong with the features of *workspace*'s system.

    Args:
        workspace: whose.
        log: where events arrive, by default the embedded log of the home.
    """
    facts = feature_facts(workspace)
    faults = [*_registry(facts), *_models(workspace), *_filled(facts), *_costs(facts)]
    log = log or workspace.event_log()
    try:
        with published_store(workspace) as (generation, store):
            faults += _published(workspace, generation, store)
            lag = behind(workspace, log, generation, store) if generation and store else ()
    finally:
        log.close()
    faults += _stale(facts, lag)
    return Checked(len(facts), tuple(faults), lag)


def _registry(facts: tuple[FeatureFacts, ...]) -> Iterator[FeatureFault]:
    for each in facts:
        if not each.recorded:
            why = "its declaration has changed since it was recorded" if each.versions else "it was never recorded"
            sentence = f"{each.name}: {why}."
            yield FeatureFault("not_recorded", each.name, sentence, _PUBLISH)


def _published(
    workspace: Workspace, generation: Generation | None, store: OnlineStore | None
) -> Iterator[FeatureFault]:
    if generation is None:
        yield FeatureFault("not_published", "", "nothing is published, so that nothing can be served.", _PUBLISH)
    elif store is None:
        sentence = (
            f"the online features were published for other declarations ({generation.plan}, now "
            f"{workspace.plan.version}): a server that starts now refuses them."
        )
        yield FeatureFault("other_plan", "", sentence, _PUBLISH)


def _models(workspace: Workspace) -> Iterator[FeatureFault]:
    home, system = workspace.home, workspace.system
    deployed = Deployments(home.control, home.tenant).current(system.name)
    if deployed is None:
        return
    try:
        system.check(package_schema(home.packages / system.name / deployed.version), f"the champion {deployed.version}")
    except (NotFound, UserError) as error:
        yield FeatureFault(
            "model_reads_other", "", str(error), "run 'orita train', then 'orita models promote' what it names"
        )


def _filled(facts: tuple[FeatureFacts, ...]) -> Iterator[FeatureFault]:
    for each in facts:
        if each.filled == 0:
            sentence = f"{each.name}: not one row of the latest training set has a value."
            remedy = (
                f"look whether the data have {', '.join(each.lineage.every_column)}; 'orita features show {each.name}'"
            )
            yield FeatureFault("never_filled", each.name, sentence, remedy)


def _costs(facts: tuple[FeatureFacts, ...]) -> Iterator[FeatureFault]:
    for each in facts:
        if each.notes.most_bytes and each.cost.most > each.notes.most_bytes:
            taken, allowed = each.cost.most, each.notes.most_bytes
            sentence = f"{each.name}: a key takes {taken:,} bytes of state, and {allowed:,} are allowed."
            remedy = "give its window a hop or a smaller cap, take an approximate function, or raise its cost="
            yield FeatureFault("costs_more", each.name, sentence, remedy)


def _stale(facts: tuple[FeatureFacts, ...], lag: tuple[Behind, ...]) -> Iterator[FeatureFault]:
    tables = {each.table: each for each in lag}
    for each in facts:
        for table in each.lineage.sources:
            late = tables.get(table)
            if each.notes.fresh and late and late.seconds * 1e6 > each.notes.fresh:
                yield _stale_fault(each, late)


def _stale_fault(each: FeatureFacts, late: Behind) -> FeatureFault:
    """Say what the state lacks of a table, and what brings it in."""
    lacks, remedy = f"{late.commits} {'change' if late.commits == 1 else 'changes'} of table {late.table!r}", _PUBLISH
    if late.log_seconds >= late.lake_seconds:
        lacks, remedy = f"{late.log_rows:,} events of the log of {late.table!r}", "run 'orita features stream'"
    fresh = duration_text(each.notes.fresh)
    sentence = f"{each.name}: it must be fresh within {fresh}, and lacks {lacks}, the oldest for {late.seconds:,.0f} s."
    return FeatureFault("stale", each.name, sentence, remedy)
