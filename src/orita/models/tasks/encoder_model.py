"""A tuned encoder as it is served: ``encoder.json``, ``tokenizer.json`` and ``model.onnx``, without PyTorch.

probabilities = softmax(temperature⁻¹ · logits).

Legend: N texts, B texts of a batch, T tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from orita.core.config import Section
from orita.core.errors import UserError
from orita.models.graph import MODEL_FILE, open_graph
from orita.models.package.manifest import Contents
from orita.models.package.strict_json import canonical_json
from orita.models.tasks.config import Task
from orita.models.tasks.declared import check_texts, read_declared
from orita.models.tasks.encoder_tokens import TOKENIZER_FILE, Tokenizer, by_length, padded
from orita.models.tasks.predictor import Answers
from orita.models.tasks.softmax import softmax

__all__ = ["ENCODER_FILE", "INPUTS", "OUTPUT", "EncoderModel"]

ENCODER_FILE = "encoder.json"
INPUTS, OUTPUT = ("tokens", "mask"), "logits"
_BLOCK_TEXTS = 32


class _Declared(Section):
    format: Literal[1] = 1
    task: Literal["text"] = "text"
    classes: tuple[str, ...] = Field(min_length=2, max_length=1_000)
    max_tokens: int = Field(ge=8, le=4096)
    temperature: float = Field(gt=0.0, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class EncoderModel:
    """A tuned encoder; safe to share between threads.

    Attributes:
        classes: names of the K classes.
        tokenizer: from texts to tokens.
        session: an onnxruntime session: ``tokens`` and ``mask``, int64 [B, T], to ``logits``, float32 [B, K].
        temperature: above 1 it makes probabilities more modest, below 1 bolder; it never changes their order.
    """

    classes: tuple[str, ...]
    tokenizer: Tokenizer
    session: Any
    temperature: float

    def predict(self, texts: Sequence[str]) -> Answers:
        """Return ``probabilities_NK`` of *texts*.

        Raises:
            UserError: *texts* is one text, or holds something else than texts.
        """
        check_texts(texts)
        tokens = self.tokenizer.encode(texts)
        logits_NK = np.zeros((len(tokens), len(self.classes)))
        for rows_B in by_length(tokens, _BLOCK_TEXTS):
            feeds = dict(zip(INPUTS, padded([tokens[row] for row in rows_B]), strict=True))
            logits_NK[rows_B] = self.session.run([OUTPUT], feeds)[0]
        return softmax(logits_NK / self.temperature).astype(np.float32)

    @property
    def task(self) -> Task:
        """The task, ``text``."""
        return "text"

    @staticmethod
    def declare(folder: Path, classes: tuple[str, ...], tokenizer: Tokenizer, temperature: float) -> None:
        """Write what stands beside the graph into *folder*."""
        declared = _Declared(classes=classes, max_tokens=tokenizer.max_tokens, temperature=temperature)
        (folder / ENCODER_FILE).write_bytes(canonical_json(declared.model_dump(mode="json")))
        (folder / TOKENIZER_FILE).write_bytes(tokenizer.content)

    @classmethod
    def read(cls, contents: Contents) -> EncoderModel:
        """Return the model that lies in a package, of its verified bytes; no code is run from it.

        Raises:
            UserError: a file is missing or is not what its name promises; the sentence names it.
        """
        declared = read_declared(_Declared, contents, ENCODER_FILE)
        tokenizer = Tokenizer.of(contents.content(TOKENIZER_FILE), declared.max_tokens, contents.where(TOKENIZER_FILE))
        session = open_graph(contents.folder / MODEL_FILE, contents.content(MODEL_FILE))
        inputs = {given.name: given.type for given in session.get_inputs()}
        outputs = {given.name: (given.type, given.shape[-1]) for given in session.get_outputs()}
        wanted = ("tensor(float)", len(declared.classes))
        if inputs != dict.fromkeys(INPUTS, "tensor(int64)") or outputs != {OUTPUT: wanted}:
            raise UserError(
                f"{contents.where(MODEL_FILE)} takes {ascii(inputs)[:200]} and gives {ascii(outputs)[:200]}, expected "
                f"{INPUTS} as int64 and {OUTPUT!r} as float32 for {len(declared.classes)} classes; export it again."
            )
        return cls(declared.classes, tokenizer, session, declared.temperature)
