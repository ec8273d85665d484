"""Which rows may be compared? One random candidate for each request, so that rows are as good as independent.

Legend: N rows (scored items), R requests, F features. The candidates of one request share its user and context; as
separate rows they would make any test believe in more evidence than there is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import NotFound, UserError, closest
from orita.features.schema import FeatureSchema

__all__ = ["RequestSample", "hashed_ids", "sample_predictions", "sample_rows"]


@dataclass(frozen=True, slots=True)
class RequestSample:
    """One scored row for each of up to so many requests.

    Attributes:
        schema: names and meaning of the columns of ``x_RF``.
        x_RF: float32 features, NaN where missing.
        scores_R: float64 scores.
        users_R: int64 digest of the user of each row; rows of one user are a cluster.
        items_R: int64 digest of the item of each row.
        requests_seen: requests there were before sampling.
        rows_seen: rows there were before sampling.
    """

    schema: FeatureSchema
    x_RF: npt.NDArray[np.float32]
    scores_R: npt.NDArray[np.float64]
    users_R: npt.NDArray[np.int64]
    items_R: npt.NDArray[np.int64]
    requests_seen: int
    rows_seen: int

    def __len__(self) -> int:
        return len(self.scores_R)


def hashed_ids(ids: npt.NDArray[np.generic] | pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return a digest of each id, equal for equal ids whatever their type (7 and "7" agree), ≥ 0."""
    text = pc.cast(ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids), pa.string())
    combined = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    encoded = combined.dictionary_encode(null_encoding="encode")
    digests = [
        int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=8).digest(), "big") >> 1
        for value in encoded.dictionary.to_pylist()
    ]
    codes_N = encoded.indices.to_numpy(zero_copy_only=False)
    return np.asarray(digests, dtype=np.int64)[codes_N] if len(codes_N) else np.empty(0, np.int64)


def sample_rows(
    schema: FeatureSchema,
    x_NF: npt.NDArray[np.float32],
    scores_N: npt.NDArray[np.floating],
    *,
    users_N: npt.NDArray[np.generic],
    items_N: npt.NDArray[np.generic],
    requests_N: npt.NDArray[np.generic] | None = None,
    max_requests: int = 20_000,
    seed: int = 0,
) -> RequestSample:
    """Draw one row for each of at most *max_requests* requests.

    Args:
        schema: of the columns of *x_NF*.
        x_NF: float32 features, NaN where missing.
        scores_N: the model's scores.
        users_N: user ids, int or str.
        items_N: item ids, int or str.
        requests_N: request of each row; None: each row is a request of its own, as in a training set.
        max_requests: bound of the sample.
        seed: fixes the draw.

    Raises:
        UserError: the arrays do not have one row each for every row of *x_NF*.
    """
    rows = len(x_NF)
    for name, array in (
        ("scores", scores_N),
        ("users", users_N),
        ("items", items_N),
        ("requests", requests_N),
    ):
        if array is not None and len(array) != rows:
            raise UserError(f"{name} has {len(array)} rows where the features have {rows}: give one a row.")
    codes_N = np.arange(rows) if requests_N is None else np.unique(requests_N, return_inverse=True)[1]
    chosen_R, seen = _one_row_a_request(codes_N, max_requests, seed)
    return RequestSample(
        schema,
        np.asarray(x_NF[chosen_R], dtype=np.float32),
        np.asarray(scores_N[chosen_R], dtype=np.float64),
        hashed_ids(users_N[chosen_R]),
        hashed_ids(items_N[chosen_R]),
        seen,
        rows,
    )


def sample_predictions(
    schema: FeatureSchema, predictions: pa.Table, *, max_requests: int = 20_000, seed: int = 0
) -> RequestSample:
    """Draw one logged candidate for each of at most *max_requests* requests of the prediction log.

    Args:
        schema: the features to read from the column ``features``.
        predictions: columns ``request_id``, ``user_id``, ``item_id``, ``score``, ``features`` (struct of float32).
        max_requests: bound of the sample.
        seed: fixes the draw.

    Raises:
        NotFound: the log lacks a column, or its features lack one of the schema's.
    """
    for name in ("request_id", "user_id", "item_id", "score", "features"):
        if name not in predictions.column_names:
            raise NotFound(f"the prediction log has no column {name!r}. {closest(name, predictions.column_names)}")
    requests = predictions.column("request_id").combine_chunks()
    encoded = requests.dictionary_encode(null_encoding="encode")
    chosen_R, seen = _one_row_a_request(encoded.indices.to_numpy(zero_copy_only=False), max_requests, seed)
    rows = predictions.select(["user_id", "item_id", "score", "features"]).take(pa.array(chosen_R))
    return RequestSample(
        schema,
        _feature_matrix(schema, rows.column("features")),
        rows.column("score").cast(pa.float64()).to_numpy(zero_copy_only=False),
        hashed_ids(rows.column("user_id")),
        hashed_ids(rows.column("item_id")),
        seen,
        predictions.num_rows,
    )


def _one_row_a_request(codes_N: npt.NDArray[np.integer], limit: int, seed: int) -> tuple[npt.NDArray[np.intp], int]:
    rng = np.random.default_rng(seed)
    order_N = rng.permutation(len(codes_N))
    # In a random order, the first row of each request is a random row of it.
    _, first_R = np.unique(codes_N[order_N], return_index=True)
    chosen_R = order_N[first_R]
    seen = len(chosen_R)
    if seen > limit:
        chosen_R = rng.choice(chosen_R, size=limit, replace=False)
    return np.sort(chosen_R).astype(np.intp), seen


def _feature_matrix(schema: FeatureSchema, features: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    logged = [field.name for field in features.type]
    columns = []
    for name in schema.names:
        if name not in logged:
            raise NotFound(f"feature {name!r} was not logged with the predictions. {closest(name, logged)}")
        values = pc.struct_field(features, name).cast(pa.float32())
        columns.append(values.to_numpy(zero_copy_only=False))
    return np.column_stack(columns) if columns else np.empty((len(features), 0), np.float32)
