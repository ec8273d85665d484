"""What scores a range of the input: here, with events that are read once; or a cluster (`spark`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import pyarrow as pa

from orita.models.package import Package
from orita.pipelines.scoring.past import Past
from orita.pipelines.scoring.reading import RowReader
from orita.pipelines.scoring.rules import RowRules
from orita.pipelines.scoring.scored import Scored, checked, package_scores, ready_matrix, with_scores

__all__ = ["HereEngine", "ScoringEngine"]


class ScoringEngine(Protocol):
    """Scores ranges of the input."""

    @property
    def step_rows(self) -> int:
        """How many rows of the input it takes at a time; what it makes of them is committed as one."""
        ...

    def scored(self, start: int, stop: int) -> Iterator[Scored]:
        """Yield the rows from number *start* up to *stop*, which is not among them, in the order of the input."""
        ...


class HereEngine:
    """Scores in this process: memory holds the events and one step.

    Args:
        package: the model.
        rules: tell rows that can be scored.
        reader: the input.
        past: computes features; None: the input has them.
        objective: as of `Package.score`.
        step_rows: rows of a step.
    """

    def __init__(
        self,
        package: Package,
        rules: RowRules,
        reader: RowReader,
        past: Past | None,
        objective: Mapping[str, float] | None,
        step_rows: int,
    ) -> None:
        self.step_rows = step_rows
        self._package, self._rules, self._reader = package, rules, reader
        self._past, self._objective = past, objective

    def scored(self, start: int, stop: int) -> Iterator[Scored]:
        """Yield the one block of a step."""
        judged = self._rules.judged(self._reader.read(start, stop), start)
        rows, past = judged.rows.combine_chunks(), self._past
        x_NF = ready_matrix(rows, self._package.schema.names) if past is None else past.matrix(rows)
        wanted = self._rules.wanted
        scores_N = package_scores(self._package, wanted, rows, x_NF, self._objective)
        found = checked(self._package, wanted, with_scores(wanted, rows, scores_N))
        cold = {} if past is None else {f"{what}_without_events": n for what, n in past.without_events(rows).items()}
        yield Scored(found.rows, pa.concat_tables([judged.bad, found.bad]), {**found.cold, **cold})
