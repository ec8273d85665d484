"""From the folder of a package to what answers, without the libraries that trained it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.graph import MODEL_FILE
from orita.models.metadata import ModelMetadata
from orita.models.package.envelope import Envelope, open_envelope
from orita.models.package.files import SAMPLE_FILE, SCHEMA_FILE
from orita.models.package.keys import PublicKey
from orita.models.package.loaded import SAMPLE_TOLERANCE
from orita.models.package.manifest import Contents
from orita.models.package.sample_check import answering
from orita.models.package.signing import Trust
from orita.models.tasks.config import Task
from orita.models.tasks.encoder_model import ENCODER_FILE, EncoderModel
from orita.models.tasks.encoder_tokens import TOKENIZER_FILE
from orita.models.tasks.predictor import Answers
from orita.models.tasks.sample import AnsweredSample, read_sample
from orita.models.tasks.table_model import TABLE_FILE, TableModel
from orita.models.tasks.text_model import TENSORS_FILE, TEXT_FILE, TextModel

__all__ = ["FORMAT", "FORMS", "PREDICTOR_FILE", "PredictorPackage", "load_predictor", "open_predictor"]

PREDICTOR_FILE = "predictor.json"
FORMAT = 1

Model = TableModel | TextModel | EncoderModel

FORMS: Mapping[str, tuple[frozenset[str], Callable[[Contents], Model]]] = MappingProxyType(
    {
        TABLE_FILE: (frozenset({TABLE_FILE, SCHEMA_FILE, MODEL_FILE}), TableModel.read),
        TEXT_FILE: (frozenset({TEXT_FILE, TENSORS_FILE}), TextModel.read),
        ENCODER_FILE: (frozenset({ENCODER_FILE, TOKENIZER_FILE, MODEL_FILE}), EncoderModel.read),
    }
)
"""By the file that declares a model: the files that a predictor exports, and how they are read."""


@dataclass(frozen=True, slots=True)
class PredictorPackage:
    """A loaded predictor that answers; safe to share between threads.

    Attributes:
        folder: where it was loaded from.
        metadata: who it is.
        model: what answers, of a table or of texts.
        extra: what its writer kept beside the metadata.
        signer: whose signature was checked; None where nobody was to be trusted, or nobody known signed.
    """

    folder: Path
    metadata: ModelMetadata
    model: Model
    extra: Mapping[str, Any]
    signer: PublicKey | None
    _sample: AnsweredSample

    @property
    def version(self) -> str:
        """The model's version, ``v1.2.3``."""
        return self.metadata.model_version

    @property
    def task(self) -> Task:
        """What is asked."""
        return self.model.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes, in the order of the probabilities; none for regression."""
        return self.model.classes

    @property
    def form(self) -> str:
        """What it is, in a few words."""
        answers = f"{len(self.classes)} classes" if self.classes else "a number"
        return f"{self.metadata.model_type} {self.version}, predictor of the task {self.task}, answers {answers}"

    def predict(self, rows: npt.NDArray[np.float32] | Sequence[str]) -> Answers:
        """Return ``probabilities_NK``, or for regression ``values_N``.

        Args:
            rows: ``x_NF`` in the columns of the schema, NaN where missing; or, for the task ``text``, texts.

        Raises:
            UserError: *rows* are not what the model reads.
        """
        given: Any = rows
        if isinstance(self.model, TableModel) and not isinstance(rows, np.ndarray):
            raise UserError(f"the task {self.task} reads a matrix of features x_NF, got a {type(rows).__name__}.")
        return self.model.predict(given)

    def check_sample(self) -> None:
        """Answer the rows that were kept when the package was written.

        Raises:
            UserError: an answer differs by more than 1e-5, relative to the kept one where that is above 1; or it fails.
        """
        kept = self._sample.answers
        with answering(self.folder):
            difference = np.abs(self.predict(self._sample.given) - kept) / np.maximum(np.abs(kept), 1.0)
        worst = float(np.max(difference, initial=0.0))
        if not worst <= SAMPLE_TOLERANCE:
            raise UserError(
                f"{self.folder} answers its own sample {worst:.2g} away from the answers kept with it, "
                f"allowed is {SAMPLE_TOLERANCE:g}; write the package again."
            )


def load_predictor(folder: Path, *, trust: Trust | None = None) -> PredictorPackage:
    """Return the predictor at *folder*, after its bytes, signature, form and sample answers were verified.

    Args:
        folder: what `orita.models.tasks.write.write_predictor` wrote.
        trust: whose packages are loaded; None: anybody's, signatures are not checked.

    Raises:
        UserError: a file is changed, missing or extra, or is not what its name promises, and the sentence names the
            file; nobody who is trusted signed the package; or it answers its sample otherwise than when it was written.
    """
    package = open_predictor(folder, trust)
    package.check_sample()
    return package


def open_predictor(folder: Path, trust: Trust | None = None) -> PredictorPackage:
    """Return the predictor at *folder* as `load_predictor` does, without asking it for its sample's answers."""
    envelope = open_envelope(folder, PREDICTOR_FILE, formats=(FORMAT,), keys=(), trust=trust)
    model = _model(envelope)
    contents = envelope.contents
    schema = model.schema if isinstance(model, TableModel) else None
    sample = read_sample(contents.content(SAMPLE_FILE), contents.where(SAMPLE_FILE), schema, len(model.classes))
    return PredictorPackage(folder, envelope.metadata, model, envelope.extra, envelope.signer, sample)


def _model(envelope: Envelope) -> Model:
    contents = envelope.contents
    declared = [name for name in FORMS if name in contents.files]
    if len(declared) != 1:
        found, known = " and ".join(declared) or "none", ", ".join(FORMS)
        raise UserError(f"{contents.folder} holds {found} of {known}; a predictor's package holds one of them.")
    files, read = FORMS[declared[0]]
    envelope.check_rest([PREDICTOR_FILE, *files])
    return read(contents)
