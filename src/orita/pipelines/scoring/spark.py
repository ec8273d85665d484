"""Ranges of the input, scored on a cluster: rules, features and the package's graph run in its workers.

The input's files, the tables, the package and the output have to be under the same paths on every machine. Rows that
come back are put in the order of the input here, through the disk where memory is too small.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from orita.core.errors import UserError
from orita.core.sql import literal, quoted
from orita.events.engine import open_engine
from orita.events.lake import Snapshot
from orita.features.plan import Plan
from orita.features.spark import offline_features
from orita.features.spark.tables import read_events
from orita.models.package import Package, load_package
from orita.pipelines.scoring.reading import RowReader
from orita.pipelines.scoring.rules import BAD, NUMBER, RowRules
from orita.pipelines.scoring.scored import Scored, checked, ids_of, output_schema, ready_matrix, with_scores
from orita.pipelines.scoring.settled import Settled, package_digest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["SparkEngine"]

_STEP_PARTS = 16
_BAD = [name for name in BAD.names if name != NUMBER]


class SparkEngine:
    """Scores on a cluster; a step is 16 parts, as each reads the events anew.

    Args:
        session: where.
        settled: what is scored, with what.
        rules: tell rows that can be scored.
        reader: the input; its files are read by the workers.
        snapshots: of the lake tables that features are computed from, by name.
        work: a folder that the workers see too.
        memory_mb: MiB that putting rows in order may take here.
    """

    def __init__(
        self,
        session: SparkSession,
        settled: Settled,
        rules: RowRules,
        reader: RowReader,
        snapshots: Mapping[str, Snapshot],
        work: Path,
        memory_mb: int,
    ) -> None:
        self.step_rows = _STEP_PARTS * settled.options.part_rows
        self._session, self._settled, self._rules, self._reader = session, settled, rules, reader
        self._snapshots, self._work, self._memory_mb = snapshots, work, memory_mb
        there = settled.source.schema
        self._out = pa.schema([(NUMBER, pa.int64()), *output_schema(settled.wanted, rules.kinds, there, ranked=False)])

    def scored(self, start: int, stop: int) -> Iterator[Scored]:
        """Yield the rows of a step in the order of the input; those that could not be scored come first."""
        settled, out = self._settled, self._work / "spark"
        shutil.rmtree(out, ignore_errors=True)
        judged = self._judged(start, stop)
        bad = judged.where(judged["rule"].isNotNull()).select(*BAD.names).toArrow().cast(BAD)
        rows = judged.where(judged["rule"].isNull()).drop(*_BAD)
        cold: dict[str, int] = {}
        if settled.plan is not None:
            cold = self._without_events(settled.plan, rows)
            as_of = settled.options.as_of
            rows = offline_features(settled.plan, self._session, self._snapshots, rows, settled.schema, as_of)
        made = _mapped(rows, _Scorer(settled), self._out)
        made.write.parquet(str(out.absolute()))
        yield Scored(self._out.empty_table(), bad, cold)
        for table in self._in_order(out):
            yield checked(settled.package, settled.wanted, table)
        shutil.rmtree(out)

    def _judged(self, start: int, stop: int) -> DataFrame:
        """Return the rows of a step, typed, and of those that cannot be scored why."""
        from pyspark.sql import functions

        read = [self._numbered(file, first) for file, first in self._reader.spans(start, stop)]
        rows = read[0]
        for each in read[1:]:
            rows = rows.unionByName(each)
        number, schema = functions.col(NUMBER), self._reader.schema
        sound = self._rules.judged(schema.empty_table(), 0).rows.schema
        made = pa.schema([*sound, *(BAD.field(name) for name in _BAD)])
        return _mapped(rows.where((number >= start) & (number < stop)), _Judge(self._rules, schema), made)

    def _numbered(self, file: str, first: int) -> DataFrame:
        """Return the rows of a file with their numbers in the whole input."""
        from pyspark.sql import functions
        from pyspark.sql.pandas.types import from_arrow_schema

        from orita.features.spark.names import column

        frame = self._session.read.parquet(file)
        columns = [
            (column(field.name) if field.name in frame.columns else functions.lit(None))
            .cast(field.dataType)
            .alias(field.name)
            for field in from_arrow_schema(self._reader.schema).fields
        ]
        return frame.select(*columns, (functions.col("_metadata.row_index") + first).alias(NUMBER))

    def _without_events(self, plan: Plan, rows: DataFrame) -> dict[str, int]:
        """Return what `Past.without_events` does, of a step."""
        from pyspark.sql import functions

        from orita.features.spark.names import column, common_type

        source, system, found = plan.system.source, plan.system, {}
        if not any(aggregate.source == source for aggregate in plan.aggregates):
            return {}
        events = read_events(self._session, self._snapshots, source)
        time = column(source.schema.time or "")
        for what, entity in (("users", system.user), ("items", system.item)):
            if len(entity.columns) > 1:
                continue
            told, asked = source.key_columns(entity)[0], entity.columns[0]
            kind = common_type(asked, events.schema[told].dataType, rows.schema[asked].dataType)
            first = events.groupBy(column(told).cast(kind).alias("@id")).agg(functions.min(time).alias("@first"))
            joined = rows.select(column(asked).cast(kind).alias("@asked"), time.alias("@at"))
            joined = joined.join(first, functions.col("@id") == functions.col("@asked"), "left")
            seen = functions.col("@first") < functions.col("@at")
            found[f"{what}_without_events"] = joined.where(~functions.coalesce(seen, functions.lit(False))).count()
        return found

    def _in_order(self, folder: Path) -> Iterator[pa.Table]:
        query = f"SELECT * FROM read_parquet({literal(str(folder / '*.parquet'))}) ORDER BY {quoted(NUMBER)}"
        if not any(folder.glob("*.parquet")):
            return
        with open_engine(self._work, self._memory_mb) as connection, connection.sql(query).to_arrow_reader() as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch]).cast(self._out)  # Spark writes times without their zone


class _Judge:
    """What a worker does with rows as they were read."""

    def __init__(self, rules: RowRules, schema: pa.Schema) -> None:
        self.rules, self.schema = rules, schema

    def __call__(self, table: pa.Table) -> pa.Table:
        found = self.rules.judged(table.select(self.schema.names).cast(self.schema), table[NUMBER].to_numpy())
        return pa.concat_tables([found.rows, found.bad], promote_options="default").select(
            [*found.rows.column_names, *_BAD]
        )


class _Scorer:
    """What a worker does with rows that have their features."""

    def __init__(self, settled: Settled) -> None:
        self.folder, self.digest = str(settled.folder.absolute()), package_digest(settled.folder)
        self.wanted, self.objective = settled.wanted, settled.options.objective
        self.names = settled.schema.names

    def __call__(self, table: pa.Table) -> pa.Table:
        package = _package(self.folder, self.digest)
        users_N, items_N = ids_of(table, self.wanted.user), ids_of(table, self.wanted.item)
        scores_N = package.score(users_N, items_N, ready_matrix(table, self.names), self.objective)
        return with_scores(self.wanted, table, scores_N)


@lru_cache(maxsize=1)
def _package(folder: str, digest: str) -> Package:
    """Return the package, loaded once a worker; who may be trusted was checked where the scoring was begun."""
    if package_digest(Path(folder)) != digest:
        raise UserError(f"{folder} is not the package here that it is where the scoring was begun: share the folder.")
    return load_package(Path(folder))


def _mapped(frame: DataFrame, function: Callable[[pa.Table], pa.Table], schema: pa.Schema) -> DataFrame:
    """Return *frame* with what *function* makes of each batch: memory of a worker holds one at a time."""
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

    made = from_arrow_schema(schema)
    kinds = to_arrow_schema(made, timezone="UTC")

    def of_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if len(batch):
                yield from function(pa.Table.from_batches([batch])).cast(kinds).to_batches()

    with warnings.catch_warnings():  # PySpark imports pandas here and warns of pandas 3; no value passes through it
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        return frame.mapInArrow(of_batches, made)
