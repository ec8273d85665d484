"""From a fitted predictor to a package: written whole, loaded and proved, or not there at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from orita.core.errors import UserError
from orita.core.files import atomic_directory
from orita.features.schema import FeatureSchema
from orita.models.metadata import ModelMetadata
from orita.models.package.card import CardText
from orita.models.package.envelope import write_envelope
from orita.models.package.files import SAMPLE_FILE
from orita.models.tasks.encoder_tokens import TOKENIZER_FILE
from orita.models.tasks.load import FORMAT, FORMS, PREDICTOR_FILE, PredictorPackage, load_predictor
from orita.models.tasks.predictor import Predictor, TableRows, TextRows
from orita.models.tasks.sample import AnsweredSample, sample_of, write_sample

__all__ = ["write_predictor"]

_Rows = TypeVar("_Rows", TableRows, TextRows)


def write_predictor(
    folder: Path,
    predictor: Predictor[_Rows],
    metadata: ModelMetadata,
    sample: _Rows,
    *,
    extra: Mapping[str, object] | None = None,
    text: CardText | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> PredictorPackage:
    """Write *predictor* as a package at *folder*, whole or not at all, and return it loaded and checked.

    Args:
        folder: takes the place of what was there.
        predictor: fitted.
        metadata: who the model is.
        sample: rows whose answers are kept as the proof of a right load; the first 64 are used, their labels are not.
        extra: JSON values to keep beside the metadata.
        text: what people say about the model, for the model card.
        evaluation: figures of the model, for the model card.

    Raises:
        UserError: it was not fitted, exported other files than the contract names, or what it exported does not answer
            the sample as it does.
    """
    if len(sample) == 0:
        raise UserError("write_predictor was given 0 sample rows; give some, a package proves itself by their answers.")
    rows: Any = sample_of(sample)
    schema = sample.schema if isinstance(sample, TableRows) else None
    with atomic_directory(folder) as partial:
        predictor.export(partial)
        exported = {file.name for file in partial.iterdir()}
        if all(exported != files for files, _ in FORMS.values()):
            allowed = " or ".join(", ".join(sorted(files)) for files, _ in FORMS.values())
            raise UserError(
                f"the predictor exported {', '.join(sorted(exported)) or 'nothing'}, allowed are {allowed}."
            )
        given = rows.x_NF if isinstance(rows, TableRows) else rows.texts
        write_sample(partial / SAMPLE_FILE, AnsweredSample(given, predictor.predict(rows)), schema)
        declared = {"format": FORMAT, "extra": dict(extra or {})}
        features = schema or FeatureSchema(())
        write_envelope(
            partial,
            PREDICTOR_FILE,
            declared,
            metadata,
            schema=features,
            text=text,
            evaluation=evaluation,
            requires=("tokenizers",) if TOKENIZER_FILE in exported else (),
        )
        load_predictor(partial)
    return load_predictor(folder)
