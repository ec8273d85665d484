"""The training set of a run as MLflow's dataset: what it is called, what it was made of, which columns it has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from orita.core.errors import NotFound
from orita.core.extras import require
from orita.core.home import Home
from orita.features.schema import FeatureSchema
from orita.registry.mlmodel import mlflow_type
from orita.registry.store import Store

__all__ = ["TRAINING_SET", "log_training_set"]

TRAINING_SET, _TABLES = "orita.training_set", "orita.tables"


def log_training_set(
    store: Store, run_id: str, system: str, tags: Mapping[str, str], schema: FeatureSchema | None = None
) -> None:
    """Log the training set that *tags* name as the input of a run; without such a tag nothing.

    Args:
        store: where the run is.
        run_id: the run.
        system: whose training set.
        tags: ``orita.training_set`` its id, ``orita.tables`` the lake versions it was made from, as JSON.
        schema: its features, for where the home has no such training set: that of an imported model.
    """
    if TRAINING_SET not in tags:
        return
    entities = require("mlflow.entities", extra="train")
    described = _described(store.home, system, tags, schema)
    digest = hashlib.sha256(json.dumps([tags[TRAINING_SET], described], sort_keys=True).encode()).hexdigest()[:32]
    folder = store.home.training_sets / system / tags[TRAINING_SET]
    dataset = entities.Dataset(
        name=tags[TRAINING_SET],
        digest=digest,
        source_type="local",
        source=json.dumps({"uri": folder.as_uri()}),
        schema=json.dumps({"mlflow_colspec": described["columns"]}),
        profile=json.dumps({name: described[name] for name in ("system", "tables", "splits", "feature_schema")}),
    )
    context = entities.InputTag("mlflow.data.context", "training")
    store.client.log_inputs(run_id, [entities.DatasetInput(dataset, [context])])


def _described(home: Home, system: str, tags: Mapping[str, str], schema: FeatureSchema | None) -> dict[str, Any]:
    # What computes training sets compiles; a server that asks for a catalogue needs none of it.
    from orita.features.training_sets.training_set import open_training_set

    name = tags[TRAINING_SET]
    splits: dict[str, Any] = {}
    try:
        found = open_training_set(home.training_sets, system, name)
    except NotFound:
        tables = _tables(tags)
    else:
        schema, tables = found.schema, dict(found.tables)
        splits = {
            part: {"rows": split.rows, "start": split.start, "end": split.end} for part, split in found.splits.items()
        }
    columns = schema.columns if schema else ()
    return {
        "system": system,
        "tables": tables,
        "splits": splits,
        "feature_schema": schema.version if schema else "",
        "columns": [{"name": c.name, "type": mlflow_type(c), "side": c.side, "kind": c.kind} for c in columns],
    }


def _tables(tags: Mapping[str, str]) -> dict[str, Any]:
    try:
        written = json.loads(tags.get(_TABLES, "{}"))
    except json.JSONDecodeError:  # a tag of somebody else's, who may write what he likes
        return {}
    return written if isinstance(written, dict) else {}
