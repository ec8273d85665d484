"""What does a model expect to see? The sample that recent requests are compared with.

A reference should hold rows drawn as serving draws them. Rows of a training set are interactions: items that were
shown and logged, popular ones more often. Where requests bring candidates of another kind, item features differ from
the first day on, and a reference from the model's own first predictions (`Reference.from_predictions`) is the fair one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import NotFound, UserError
from orita.core.files import atomic_file
from orita.features.schema import FeatureSchema
from orita.monitoring.sample import RequestSample, sample_predictions, sample_rows

__all__ = ["Reference"]

_METADATA = b"orita.reference"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Reference:
    """A bounded sample of what a model saw, with the share of clicks.

    Attributes:
        sample: one row for each request.
        model_version: the model whose scores the sample holds.
        source: where the rows came from, in words for people: ``test split``, ``predictions of the first week``.
        made_at: when it was made, aware.
        label_rate: clicks ÷ rows, or None if rows came without labels.
        slices_R: slice (day, or the same hours of a week) of each row, 0, 1, …, where days differ by nature; None: one
            sample. Not saved.
        other_hours: whether it is of other hours of the day than what is compared with it. Not saved.
    """

    sample: RequestSample
    model_version: str
    source: str
    made_at: datetime
    label_rate: float | None = None
    slices_R: npt.NDArray[np.int64] | None = None
    other_hours: bool = False

    @classmethod
    def from_rows(
        cls,
        schema: FeatureSchema,
        x_NF: npt.NDArray[np.float32],
        scores_N: npt.NDArray[np.floating],
        *,
        users_N: npt.NDArray[np.generic],
        items_N: npt.NDArray[np.generic],
        model_version: str,
        made_at: datetime,
        labels_N: npt.NDArray[np.floating] | None = None,
        requests_N: npt.NDArray[np.generic] | None = None,
        source: str = "test split",
        max_requests: int = 20_000,
        seed: int = 0,
    ) -> Reference:
        """Return the reference of rows that a model scored.

        Args:
            schema: of the columns of *x_NF*.
            x_NF: float32 features, NaN where missing.
            scores_N: the model's scores.
            users_N: user ids, int or str.
            items_N: item ids, int or str.
            model_version: the model that scored.
            made_at: now, aware.
            labels_N: 0 or 1, NaN where unknown.
            requests_N: request of each row; None: each row is a request of its own.
            source: where the rows came from.
            max_requests: bound of the sample.
            seed: fixes the draw.

        Raises:
            UserError: no rows, or arrays of different lengths.
        """
        if len(x_NF) == 0:
            raise UserError("a reference of 0 rows expects nothing: give the rows that the model was judged on.")
        sample = sample_rows(
            schema,
            x_NF,
            scores_N,
            users_N=users_N,
            items_N=items_N,
            requests_N=requests_N,
            max_requests=max_requests,
            seed=seed,
        )
        known = None if labels_N is None or np.isnan(labels_N).all() else float(np.nanmean(labels_N))
        return cls(sample, model_version, source, made_at, known)

    @classmethod
    def from_predictions(
        cls,
        schema: FeatureSchema,
        predictions: pa.Table,
        *,
        model_version: str,
        made_at: datetime,
        source: str = "predictions",
        max_requests: int = 20_000,
        seed: int = 0,
    ) -> Reference:
        """Return the reference of rows of the prediction log (see `sample_predictions` for columns and errors)."""
        if predictions.num_rows == 0:
            raise UserError("the prediction log has 0 rows in this window: choose one in which requests were answered.")
        sample = sample_predictions(schema, predictions, max_requests=max_requests, seed=seed)
        return cls(sample, model_version, source, made_at)

    @classmethod
    def of_slices(
        cls,
        samples: Sequence[RequestSample],
        *,
        model_version: str,
        made_at: datetime,
        source: str,
        other_hours: bool = False,
    ) -> Reference:
        """Return the reference of one or more samples; more than one are slices, whose differences are natural.

        Args:
            samples: of one schema; the rows of each are independent of how many the others have.
            model_version: the model that scored.
            made_at: now, aware.
            source: where the rows came from, in words.
            other_hours: whether they are of other hours of the day than what will be compared with them.
        """
        joined = RequestSample(
            samples[0].schema,
            np.concatenate([sample.x_RF for sample in samples]),
            np.concatenate([sample.scores_R for sample in samples]),
            np.concatenate([sample.users_R for sample in samples]),
            np.concatenate([sample.items_R for sample in samples]),
            sum(sample.requests_seen for sample in samples),
            sum(sample.rows_seen for sample in samples),
        )
        slices_R = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
        slices = slices_R if len(samples) > 1 else None
        return cls(joined, model_version, source, made_at, slices_R=slices, other_hours=other_hours)

    def save(self, path: Path) -> None:
        """Write the reference to *path* (Parquet), wholly or not at all; ids are kept as digests only."""
        sample = self.sample
        features = [pa.array(sample.x_RF[:, f], from_pandas=True) for f in range(len(sample.schema))]
        columns = {
            "score": pa.array(sample.scores_R, from_pandas=True),
            "user": pa.array(sample.users_R),
            "item": pa.array(sample.items_R),
        }
        if features:
            columns["features"] = pa.StructArray.from_arrays(features, names=list(sample.schema.names))
        about = {
            "format": _FORMAT,
            "schema": sample.schema.to_dict(),
            "model_version": self.model_version,
            "source": self.source,
            "made_at": self.made_at.isoformat(),
            "label_rate": self.label_rate,
            "requests_seen": sample.requests_seen,
            "rows_seen": sample.rows_seen,
        }
        table = pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(about).encode()})
        with atomic_file(path) as partial:
            pq.write_table(table, partial, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Read the reference that `save` wrote.

        Raises:
            NotFound: there is no file at *path*.
            UserError: the file is not a reference of a known format.
        """
        if not path.exists():
            raise NotFound(f"no reference at {path}: train a model, or make one with Reference.from_rows.")
        try:
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
        except pa.ArrowInvalid as error:
            raise UserError(f"{path} is not a Parquet file ({error}): make the reference again.") from None
        if about.get("format") != _FORMAT:
            raise UserError(f"{path} is not a reference of format {_FORMAT}: make the reference again.")
        schema = FeatureSchema.from_dict(about["schema"])
        columns = table.column("features").combine_chunks().flatten() if len(schema) else []
        sample = RequestSample(
            schema,
            np.column_stack([c.to_numpy(zero_copy_only=False) for c in columns])
            if columns
            else np.empty((table.num_rows, 0), np.float32),
            table.column("score").to_numpy(),
            table.column("user").to_numpy(),
            table.column("item").to_numpy(),
            about["requests_seen"],
            about["rows_seen"],
        )
        made_at = datetime.fromisoformat(about["made_at"])
        return cls(sample, about["model_version"], about["source"], made_at, about["label_rate"])
