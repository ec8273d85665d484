"""Texts and embeddings of requests as series of a drift report: compared by their content, shown by one number each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from orita.monitoring.drift.contents import Texts, Vectors, text_lengths
from orita.monitoring.drift.evidence import Series
from orita.monitoring.reference import Reference
from orita.monitoring.sample import RequestSample

__all__ = ["text_series", "vector_series"]

Owner = Literal["user", "item"]


def text_series(
    name: str,
    owner: Owner,
    reference: tuple[Reference, Sequence[str | None]],
    recent: tuple[RequestSample, Sequence[str | None]],
) -> list[Series]:
    """Return the series of the words of a text, and of how many different ones it has.

    Args:
        name: such as ``item.title``.
        owner: whose text it is.
        reference, recent: the requests, and the text of each, None where there is none.
    """
    lengths = text_lengths(reference[1]), text_lengths(recent[1])
    words = _series(name, owner, reference[0], recent[0], *lengths, Texts.of(reference[1], recent[1]))
    return [words, _series(f"{name} length", owner, reference[0], recent[0], *lengths)]


def vector_series(
    name: str,
    owner: Owner,
    reference: tuple[Reference, npt.NDArray[np.floating]],
    recent: tuple[RequestSample, npt.NDArray[np.floating]],
) -> Series:
    """Return the series of an embedding.

    Args:
        name: of the embedding.
        owner: whose it is.
        reference, recent: the requests, and the vector of each, [N, D] and [M, D], NaN where there is none.
    """
    vectors = Vectors(reference[1], recent[1])
    return _series(name, owner, reference[0], recent[0], *vectors.shown(), vectors)


def _series(
    name: str,
    owner: Owner,
    reference: Reference,
    recent: RequestSample,
    reference_N: npt.NDArray[np.floating],
    recent_M: npt.NDArray[np.floating],
    content: Texts | Vectors | None = None,
) -> Series:
    samples = reference.sample, recent
    owners = [sample.items_R if owner == "item" else sample.users_R for sample in samples]
    return Series(
        name, owner, "number", reference_N, recent_M, owners[0], owners[1], reference.slices_R, content=content
    )
