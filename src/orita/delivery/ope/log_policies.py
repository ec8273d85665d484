"""What a policy says of the items of logged answers: a model's scores, the logged ones, or a product of features.

Legend: N logged items, F features of the model that scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import OritaError, UserError, closest
from orita.core.home import Home
from orita.events.engine import open_engine
from orita.events.lake import Lake
from orita.events.whole_ids import are_whole, as_numbers
from orita.features.api.relations import system_tables
from orita.features.history import offline_features
from orita.features.plan import plan_of
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.models.examples import Ids
from orita.models.package import Package
from orita.monitoring.skew import asked_again

__all__ = ["AsLogged", "ByFeatures", "ByModel", "LogPolicy"]

Floats = npt.NDArray[np.float32]
LoadPackage = Callable[[str], Package]


class LogPolicy(Protocol):
    """What orders items by a score.

    Attributes:
        name: of the policy.
        features: what of the log's it reads; None: all that are there.
    """

    name: str
    features: tuple[str, ...] | None

    def scores(self, rows: pa.Table) -> Floats:
        """Return ``scores_N``, the higher the better, at least 0.

        Args:
            rows: of the prediction log, with ``user_id``, ``item_id``, ``score``, ``as_of``, and ``features`` where it
                reads some.
        """
        ...


class AsLogged:
    """The model that answered: its scores are in the log."""

    def __init__(self, version: str) -> None:
        self.name = version
        self.features: tuple[str, ...] | None = ()

    def scores(self, rows: pa.Table) -> Floats:
        """Return the logged scores."""
        found_N: Floats = rows["score"].to_numpy().astype(np.float32)
        return found_N


class ByFeatures:
    """Items by the product of features, such as how often they were seen and how often they were liked.

    Args:
        name: of the policy.
        features: names in the log; a missing value counts 0.
    """

    def __init__(self, name: str, features: Sequence[str]) -> None:
        self.name = name
        self.features: tuple[str, ...] | None = tuple(features)

    def scores(self, rows: pa.Table) -> Floats:
        """Return the products.

        Raises:
            UserError: a feature was not logged, as the model that answered does not read it.
        """
        product_N = np.ones(len(rows))
        for feature in self.features or ():
            product_N *= np.nan_to_num(_logged(rows, feature, self.name))
        return product_N.astype(np.float32)


class ByModel:
    """A model of the package store, on the features that were logged; what the log lacks is computed from history.

    Args:
        home: whose lake.
        system: the declarations.
        version: of the model, or an alias that *load* knows.
        logged: the version that answered.
        load: opens a version's package.
        memory_mb: what the engine that reads history may hold.
    """

    def __init__(
        self, home: Home, system: System, version: str, logged: str, *, load: LoadPackage, memory_mb: int = 1024
    ) -> None:
        self._home, self._system, self._memory_mb = home, system, memory_mb
        self._package = load(version)
        self.name = self._package.version
        meant = _meanings(load, logged)
        self._lacking = [
            column for column in self._package.schema.columns if meant.get(column.name) not in ("", column.meaning)
        ]
        # What history computes may depend on what requests brought, which other features tell.
        self.features: tuple[str, ...] | None = None if self._lacking else self._package.schema.names

    def scores(self, rows: pa.Table) -> Floats:
        """Return the scores.

        Raises:
            UserError: the model reads a feature that was not logged, and that history does not have.
        """
        schema = self._package.schema
        computed = self._from_history(rows)
        x_NF = np.empty((len(rows), len(schema)), np.float32)
        for place, name in enumerate(schema.names):
            x_NF[:, place] = computed[name] if name in computed else _logged(rows, name, self.name)
        users_N, items_N = (_ids(rows[name]) for name in ("user_id", "item_id"))
        return self._package.score(users_N, items_N, x_NF)

    def _from_history(self, rows: pa.Table) -> Mapping[str, Floats]:
        """Return the features that the log lacks, as they were known at the time of each row."""
        if not self._lacking:
            return {}
        system, schema = self._system, FeatureSchema(tuple(self._lacking))
        called = dict(zip(schema.names, system.check(schema, f"model {self.name}"), strict=True))
        tables = system_tables(Lake(self._home), system)
        asking, left_out = asked_again(system, called, rows, tables)
        for name in schema.names:
            if name in left_out:
                raise UserError(
                    f"model {self.name} reads feature {name!r}, which {left_out[name]}: evaluate a model that reads "
                    "what the one that answered did."
                )
        asked = FeatureSchema(tuple(replace(column, name=called[column.name]) for column in self._lacking))
        with open_engine(self._home.staging, self._memory_mb) as connection:
            made = offline_features(plan_of(system), connection, tables.relations, asking, asked, "known", unique=True)
        return {plain: _floats(made[name]) for plain, name in called.items()}


def _meanings(load: LoadPackage, version: str) -> Mapping[str, str]:
    try:
        return {column.name: column.meaning for column in load(version).schema.columns}
    except (OritaError, OSError) as error:
        raise UserError(
            f"the package of {version}, which answered, is needed to know what its features mean: {error}"
        ) from None


def _logged(rows: pa.Table, feature: str, reader: str) -> Floats:
    names = [field.name for field in rows.schema.field("features").type]
    if feature not in names:
        raise UserError(f"{reader} reads feature {feature!r}, which was not logged. {closest(feature, names)}")
    return _floats(pc.struct_field(rows["features"], feature))


def _floats(values: pa.ChunkedArray) -> Floats:
    """Return values as float32, NaN where missing."""
    found_N: Floats = np.asarray(pc.fill_null(values.cast(pa.float32()), np.nan).to_numpy())
    return found_N


def _ids(ids: pa.ChunkedArray) -> Ids:
    """Return ids, which the log has as text, as a model knows them."""
    found_N: Ids = (as_numbers(ids) if are_whole(ids) else ids).to_numpy()
    return found_N
