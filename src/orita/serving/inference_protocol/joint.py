"""Small requests to one model, scored in one run where they wait at the same time.

Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from typing import NamedTuple, cast

import numpy as np

from orita.models.package import Package
from orita.serving.batching.config import BatchingConfig
from orita.serving.batching.contracts import Waiting
from orita.serving.inference_protocol.inference import Rows, answers_of, checked_rows, named_outputs
from orita.serving.inference_protocol.messages import InferenceRequest, decoded
from orita.serving.inference_protocol.tensors import Tensor
from orita.serving.telemetry.histogram import Histogram

__all__ = ["JointInference"]

_BYTES_AROUND, _BYTES_A_NUMBER = 400, 20
"""What a body has beside its numbers, and for each: its length tells whether it has few rows, before it is read."""


class _Read(NamedTuple):
    """A request that was read beforehand, with the body that it is of."""

    body: bytes | bytearray
    request: InferenceRequest
    rows: Rows


class JointInference:
    """Scores waiting requests together; one thread calls it.

    Args:
        joins: how many rows a request to a package may have that gains by company; 0: none does.
        config: how many at once, and whether at all.
        sizes: counts how many requests each run had.

    Attributes:
        most: requests that are taken together; 1: none are.
        found: what was done for those whose turn it is, by the identity of the body, with the body itself.
    """

    def __init__(self, joins: Callable[[Package], int], config: BatchingConfig, sizes: Histogram) -> None:
        self._joins, self._sizes = joins, sizes
        self.most = 1 if config.enabled == "never" else config.most
        self.found: dict[int, tuple[bytes | bytearray, InferenceRequest, list[Tensor]]] = {}

    def gains(self, package: Package, body: bytes | bytearray) -> bool:
        """Return whether a request of this body is likely to have as few rows as gain by company."""
        joins = self._joins(package) if self.most > 1 else 0
        return joins > 0 and len(body) <= _BYTES_AROUND + _BYTES_A_NUMBER * joins * (len(package.schema) + 2)

    def takes(self, body: bytes | bytearray, /) -> bool:
        """Return whether it may be together with others: who asks was asked by `gains` before."""
        return True

    @contextmanager
    def together(self, requests: Sequence[Waiting], /) -> Iterator[None]:
        """Let *requests* find in `found` what was done for them, within the block."""
        try:
            package, read = cast(Package, requests[0].alike), list[_Read]()
            for body, *_ in requests:
                with suppress(Exception):  # what is wrong with it, whatever that is, it finds out itself, and is told
                    request, inputs = decoded(body, None)
                    rows = checked_rows(package, inputs, [output.name for output in request.outputs])
                    read.append(_Read(body, request, rows))
            with suppress(Exception):  # then each is scored alone
                self._score(package, [each for each in read if 0 < len(each.rows.x_NF) <= self._joins(package)])
            yield
        finally:
            self.found.clear()

    def taken(self, body: bytes | bytearray) -> tuple[InferenceRequest, list[Tensor]] | None:
        """Return the request that *body* is, and its outputs, where they were made beforehand."""
        found = self.found.pop(id(body), None)
        return None if found is None else found[1:]

    def _score(self, package: Package, read: Sequence[_Read]) -> None:
        """Score in one run those whose ids are of one kind, as the first's are."""
        kinds = [(each.rows.users_N.dtype, each.rows.items_N.dtype) for each in read]
        read = [each for each, kind in zip(read, kinds, strict=True) if kind == kinds[0]]
        if len(read) < 2:
            return
        columns = (
            np.concatenate([getattr(each.rows, name) for each in read]) for name in ("users_N", "items_N", "x_NF")
        )
        answers = answers_of(package, *columns)
        for each, end in zip(read, accumulate(len(each.rows.x_NF) for each in read), strict=True):
            own = {name: answer[end - len(each.rows.x_NF) : end] for name, answer in answers.items()}
            self.found[id(each.body)] = each.body, each.request, named_outputs(own, each.rows.wanted)
        self._sizes.add(len(read))
