"""A logged request explained: features as they were, what each moved the scores by, and the events behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from orita.core.clock import to_micros
from orita.core.errors import UserError
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.core.whole_ids import whole_id
from orita.events.engine import open_engine
from orita.events.lake import Lake
from orita.events.logged_request import LoggedRequest
from orita.events.prediction_view import find_request
from orita.explain.attribution import ITEM, USER, Attribution, Player, Row, attribute, players_of
from orita.explain.events_behind import EventsBehind
from orita.explain.lineage import declared_features, lineage_of_feature
from orita.explain.reference_rows import ReferenceRows, reference_rows
from orita.features.api.relations import system_tables
from orita.features.system import System
from orita.models.graph import ITEMS_FILE, USERS_FILE
from orita.models.package import Package

__all__ = ["LoadPackage", "explain_request", "logged_request"]

LoadPackage = Callable[[str], Package]
"""Opens the package of a version of the system."""

Trace = Callable[[Row], dict[str, dict[str, Any]]]
"""Returns the lineage of a row's features, by column."""


def explain_request(
    home: Home,
    system: System,
    identity: str,
    *,
    load: LoadPackage,
    items: Sequence[str] = (),
    top: int = 3,
    lineage: bool = True,
    reference: ReferenceRows | None = None,
    memory_mb: int = 1024,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Return why a request was answered as it was, as plain values.

    Args:
        home: whose log, lake and training sets.
        system: the declarations.
        identity: the request's id, or that of one of its predictions.
        load: opens the package of the version that answered.
        items: which of its items are explained; none: the *top* best.
        top: how many that are.
        lineage: whether features are traced to events, which reads the lake.
        reference: what scores are held against; None: rows that the model was trained on.
        memory_mb: what the engine that reads events may hold.
        progress: where to draw progress.

    Raises:
        NotFound: the log has no such request, or the request no such item.
        UserError: another system answered, or the package of that version is not the one that answered.
    """
    found = logged_request(home, system, identity, progress=progress)
    package = load(found.model_version)
    _check_same(found, package)
    if top < 1:
        raise UserError(f"top is {top}, allowed are 1 and more items.")
    places = [found.place(item) for item in items] or np.argsort(found.ranks_N, kind="stable")[:top].tolist()
    held_against = reference or reference_rows(home, system.name, package)
    with _lineage(home, system, found, package, memory_mb, lineage) as (trace, untold):
        baseline, made = _items(found, package, held_against, places, trace, progress)
    told = {name: value for name, value in found.to_dict().items() if name != "items"}
    return {
        **told,
        "model_type": package.metadata.model_type,
        "method": _method(held_against),
        "baseline": baseline,
        "rows": len(found.item_ids),
        "no_lineage": untold,
        "items": made,
    }


def logged_request(home: Home, system: System, identity: str, *, progress: Progress = SILENT) -> LoggedRequest:
    """Return the request that has this id, or that one of its predictions has.

    Raises:
        NotFound: the log does not have it.
        UserError: another system answered it, or none of its models did: the answer is below level 1.
    """
    found = find_request(home, identity, progress=progress)
    if found.system != system.name:
        raise UserError(
            f"{identity} was answered by system {found.system!r}, this is {system.name!r}: "
            f"give --system {found.system}."
        )
    if found.level > 1:
        raise UserError(
            f"{identity} was answered at level {found.level}, without the model and its features: there is no score of "
            "the model to look into. See docs/resilience.md for levels."
        )
    return found


def _number(identity: str) -> int | str:
    """Return an id as the number that its text means: the same to models, and looked up faster."""
    number = whole_id(identity)
    return identity if number is None else number


def _check_same(found: LoggedRequest, package: Package) -> None:
    if package.schema.names != found.features:
        raise UserError(
            f"{package.folder} does not read the features that {found.model_version} was given for request "
            f"{found.request_id}: it is not the package that answered."
        )


def _method(reference: ReferenceRows) -> dict[str, Any]:
    return {
        "name": "Shapley values, interventional, sampled by orders of the features and their reverses",
        "reference": reference.source,
        "orders": 2 * len(reference.rows),
        "error": "one standard error of a contribution; baseline and contributions add up to the score",
    }


def _items(
    found: LoggedRequest,
    package: Package,
    reference: ReferenceRows,
    places: Sequence[int],
    trace: Trace,
    progress: Progress,
) -> tuple[float, list[dict[str, Any]]]:
    """Return the mean score of the reference, and what is told of the items at *places*."""
    read = ((USER, USERS_FILE), (ITEM, ITEMS_FILE))
    players = players_of(package.schema, [name for name, file in read if (package.folder / file).exists()])
    baseline, made = 0.0, []
    score = package.score if found.objective is None else partial(package.score, objective=found.objective)
    with progress.bar("Explain", total=len(places)) as bar:
        for place in places:
            row = Row(_number(found.user_id), _number(found.item_ids[place]), found.x_NF[place])
            moved = attribute(score, players, reference.rows, row)
            baseline = moved.baseline
            made.append(_item(found, place, players, moved, trace(row)))
            bar.advance()
    return baseline, made


def _item(
    found: LoggedRequest,
    place: int,
    players: Sequence[Player],
    moved: Attribution,
    traced: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    values = found.x_NF[place].tolist()
    features = []
    for g in np.argsort(-np.abs(moved.contributions_G), kind="stable").tolist():
        player = players[g]
        columns = {found.features[f]: None if np.isnan(values[f]) else values[f] for f in player.columns}
        if not player.columns:
            columns = {player.name: found.user_id if player.name == USER else found.item_ids[place]}
        told = {
            "feature": player.name,
            "values": columns,
            "contribution": float(moved.contributions_G[g]),
            "error": float(moved.errors_G[g]),
        }
        features.append({**told, "lineage": traced.get(next(iter(columns)))})
    return {
        "item_id": found.item_ids[place],
        "score": float(found.scores_N[place]),
        "rank": int(found.ranks_N[place]),
        "prediction_id": found.prediction_ids[place],
        "unexplained": float(found.scores_N[place]) - moved.baseline - float(moved.contributions_G.sum()),
        "features": features,
    }


@contextmanager
def _lineage(
    home: Home, system: System, found: LoggedRequest, package: Package, memory_mb: int, wanted: bool
) -> Iterator[tuple[Trace, str]]:
    """Yield what traces a row, and why nothing is traced where it is not."""
    try:
        named = declared_features(system, package.schema, f"model {package.version}") if wanted else {}
    except UserError as error:  # the declarations went on; the rest of the explanation stands
        yield lambda _: {}, str(error)
        return
    if not named or not Lake(home).exists(system.source.name):
        yield lambda _: {}, "there are no events in the lake." if named else ""
        return
    at, tables = to_micros(found.as_of), system_tables(Lake(home), system)
    with open_engine(home.staging, memory_mb) as connection:
        behind = EventsBehind(connection, tables, {}, at)

        def trace(row: Row) -> dict[str, dict[str, Any]]:
            mine = behind.for_row({system.user: str(row.user), system.item: str(row.item)})
            every = {name: lineage_of_feature(system.kept[name], mine) for name in dict.fromkeys(named.values())}
            return {column: every[name] for column, name in named.items()}

        yield trace, ""
