"""What one output of a model foretells: a chance, or an amount up to a cap.

Legend: N rows, H heads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.calibration import Calibration
from orita.models.examples import Examples

__all__ = ["MOST_HEADS", "HasHeads", "Head", "Kind", "read_heads"]

Kind = Literal["flag", "amount"]

MOST_HEADS = 32
_NAME = re.compile(r"[^\W\d]\w{0,99}")


@dataclass(frozen=True, slots=True)
class Head:
    """One head; its output, in [0, 1], is a chance, or the share of *cap* that is expected.

    Attributes:
        name: what it foretells, such as ``click``, ``dwell``.
        kind: ``flag``: it happens or not; ``amount``: a number of 0 or more, such as seconds.
        cap: what an output of 1 stands for; 1 for a flag. A larger amount counts as this much.
        calibration: what the output goes through.
    """

    name: str
    kind: Kind = "flag"
    cap: float = 1.0
    calibration: Calibration = field(default_factory=Calibration)

    def to_dict(self) -> dict[str, Any]:
        """Return the head as plain JSON values."""
        return {"name": self.name, "kind": self.kind, "cap": self.cap, "calibration": self.calibration.to_dict()}


@runtime_checkable
class HasHeads(Protocol):
    """A ranker with several heads; `Ranker.score` is the first of them, the label's."""

    def heads(self) -> tuple[Head, ...]:
        """Return the heads, the label's first; none where the ranker has only that one."""
        ...

    def score_heads(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return ``p_NH`` in [0, 1], one column a head, not calibrated; labels and outcomes are not looked at."""
        ...


def read_heads(content: object, where: str) -> tuple[Head, ...]:
    """Return the heads that `Head.to_dict` described.

    Raises:
        UserError: one of them cannot be, two have one name, or there are fewer than 2 or more than 32.
    """
    if not isinstance(content, Sequence) or isinstance(content, str) or not 2 <= len(content) <= MOST_HEADS:
        raise UserError(f"{where} has the heads {ascii(content)[:120]}, expected a list of 2 to {MOST_HEADS}.")
    heads = tuple(_head(each, where) for each in content)
    if len({head.name for head in heads}) != len(heads):
        raise UserError(f"{where} has two heads of one name among {[head.name for head in heads]!a}.")
    return heads


def _head(content: object, where: str) -> Head:
    match content:
        case {"name": str(name), "kind": str(kind), "cap": int() | float() as cap, "calibration": dict(told)} if (
            isinstance(content, dict)
            and len(content) == 4
            and _NAME.fullmatch(name)
            and kind in get_args(Kind)
            and type(cap) is not bool
            and math.isfinite(cap)
            and (cap == 1 if kind == "flag" else cap > 0)
        ):
            return Head(name, kind, float(cap), Calibration.from_dict(told))  # type: ignore[arg-type]
    raise UserError(
        f"{where} has the head {ascii(content)[:120]}, expected a name, the kind 'flag' or 'amount', a cap over 0 (1 "
        "for a flag) and a calibration."
    )
