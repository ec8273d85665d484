"""What a check found, and the report of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.monitoring.expectations.declaration import Severity
from orita.monitoring.expectations.rows import Broken

__all__ = ["Checked", "Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as expected.

    Attributes:
        column: where; "" for the table as a whole.
        what: the expectation, such as ``choices``, ``schema`` or ``envelope``.
        sentence: what was found, what was expected, what to do.
        severity: ``error`` fails the check.
        rows: rows that are concerned, None where that means nothing.
        p_value: chance of it in a batch like those of history, for what the envelope found.
    """

    column: str
    what: str
    sentence: str
    severity: Severity
    rows: int | None = None
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch after the check.

    Attributes:
        source: what was checked.
        at: the time that it was checked for.
        rows: in the batch.
        findings: errors before warnings, the surest first.
        broken: expectations of rows, with the rows that break them; the first one is a row's reason.
        bad_N: which rows break one that is declared as an error, and belong in quarantine.
        tests: figures that were held against the envelope.
        false_alarm_rate: of all of them together.
    """

    source: str
    at: datetime
    rows: int
    findings: tuple[Finding, ...]
    broken: tuple[Broken, ...]
    bad_N: npt.NDArray[np.bool_]
    tests: int
    false_alarm_rate: float | None

    @property
    def failed(self) -> bool:
        """Whether something was found that is an error."""
        return any(finding.severity == "error" for finding in self.findings)

    @property
    def passed_rows(self) -> int:
        """Rows that break no expectation of rows."""
        return self.rows - int(np.count_nonzero(self.bad_N))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "source": self.source,
            "at": self.at.isoformat(),
            "rows": self.rows,
            "passed": self.passed_rows,
            "quarantined": self.rows - self.passed_rows,
            "failed": self.failed,
            "tests": self.tests,
            "false_alarm_rate": self.false_alarm_rate,
            "findings": [asdict(finding) for finding in self.findings],
        }
