"""Which predictions are the same: a digest over all that a score depends on, and the tags by which it is let go.

A key says version, feature schema, objective and ids, in a form in which 5 and "5" differ and no two sequences run into
each other (MessagePack), and then either the values (the raw float32 bytes: equal bytes, equal scores), or the context
and the time asked, for deployments that say how long features may be taken to be stable. The order of items counts.

Tags are less exact, since events, tables and requests spell ids in ways of their own: 5, 5.0 and "5" have one tag. At
worst a record goes that could have stayed.

    key = key_of_values(champion, asked.user_id, asked.item_ids, x_NF)
    tags = tags_of(champion.version, asked.user_id)

Legend: N items of one request, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from orita.core.whole_ids import LARGEST_ID, whole_id

__all__ = ["EVERYTHING", "Scorer", "item_tag", "key_of_ids", "key_of_values", "tags_of", "user_tag", "version_tag"]

EVERYTHING = b"*"
"""The tag that all records have."""

_BYTES = 16
_encode = msgspec.msgpack.Encoder().encode

Id = int | str


@dataclass(frozen=True, slots=True)
class Scorer:
    """What gives the scores.

    Attributes:
        version: the model's.
        schema_version: of the features that it reads.
        objective: the weights of its heads, where a request may set them.
    """

    version: str
    schema_version: str
    objective: Mapping[str, float] = field(default_factory=dict)


def key_of_values(scorer: Scorer, user_id: Id, item_ids: Sequence[Id], x_NF: npt.NDArray[np.float32]) -> bytes:
    """Return 16 bytes, the same wherever all that is given is; any difference gives others (BLAKE2b, RFC 7693)."""
    digest = hashlib.blake2b(_named(scorer, user_id, item_ids, ("values", *x_NF.shape)), digest_size=_BYTES)
    digest.update(np.ascontiguousarray(x_NF, np.float32).data)
    return digest.digest()


def key_of_ids(
    scorer: Scorer, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object], at_micros: int | None
) -> bytes:
    """Return 16 bytes for a request as it was asked; *at_micros* is its own time, None where it is asked for now."""
    asked = ("ids", sorted(context.items()), at_micros)
    return hashlib.blake2b(_named(scorer, user_id, item_ids, asked), digest_size=_BYTES).digest()


def tags_of(version: str, user_id: Id, item_ids: Sequence[Id] = ()) -> list[bytes]:
    """Return what invalidates a record: everything, its version, its user, and each of *item_ids*.

    Keys of values need no tags of items: other values are another key.
    """
    return [EVERYTHING, version_tag(version), user_tag(user_id), *map(item_tag, item_ids)]


def version_tag(version: str) -> bytes:
    """Return the tag of all predictions of a model."""
    return b"v" + version.encode()


def user_tag(user_id: object) -> bytes:
    """Return the tag of all predictions for a user, the same however the id is spelled."""
    return b"u" + _encode(_one_form(user_id))


def item_tag(item_id: object) -> bytes:
    """Return the tag of all predictions in which an item occurs, likewise."""
    return b"i" + _encode(_one_form(item_id))


def _one_form(given: object) -> Id:
    """Return an id as a number where it writes one down, as text otherwise."""
    if type(given) is int and 0 <= given <= LARGEST_ID:
        return given
    text = str(int(given)) if isinstance(given, float) and given.is_integer() else str(given)
    number = whole_id(text)
    return text if number is None else number


def _named(scorer: Scorer, user_id: Id, item_ids: Sequence[Id], rest: object) -> bytes:
    objective = sorted(scorer.objective.items())
    return _encode((scorer.version, scorer.schema_version, objective, user_id, item_ids, rest))
