"""The predictor of ``task: text`` on a pretrained encoder, tuned to the classes (extra ``transformers``).

The encoder lies in a folder of the user's; nothing is downloaded, weights are read from safetensors alone, and code
that the folder may hold is never run.

Legend: N texts, K classes.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from orita.core.errors import UserError
from orita.core.extras import require
from orita.models.graph import MODEL_FILE
from orita.models.ranker import FitContext, FitReport
from orita.models.tasks.config import Task
from orita.models.tasks.encoder_model import INPUTS, OUTPUT, EncoderModel
from orita.models.tasks.encoder_section import EncoderSection
from orita.models.tasks.encoder_tokens import TOKENIZER_FILE, Tokenizer, padded
from orita.models.tasks.encoder_tuning import Tokenised, logits_of, tune
from orita.models.tasks.labels import check_classes, check_labels
from orita.models.tasks.predictor import Answers, TextRows
from orita.models.tasks.softmax import softmax
from orita.models.tasks.temperature import fit_temperature

__all__ = ["TextEncoder"]

_NEEDED = ("config.json", TOKENIZER_FILE, "model.safetensors")


class TextEncoder:
    """Devlin, Chang, Lee and Toutanova, "BERT: Pre-training of Deep Bidirectional Transformers" (2019), section 3.2.

    Attributes:
        task: ``text``.
        classes: their names.
    """

    task: Task = "text"

    def __init__(self, classes: tuple[str, ...], section: EncoderSection) -> None:
        self.classes = check_classes("text", classes)
        self._section = section
        self._fitted: tuple[Any, Tokenizer, float] | None = None

    def fit(self, train: TextRows, val: TextRows, context: FitContext) -> FitReport:
        """Tune the encoder on *train*; *val* chooses the epoch and the temperature.

        Raises:
            UserError: a class has no training row, or the folder holds no encoder.
            Interrupted: the process was asked to stop; a checkpoint is there to go on from.
        """
        check_labels(train.y_N, self.classes, "training", every=True)
        check_labels(val.y_N, self.classes, "validation", every=False)
        tokenizer, network = self._open(context.seed)
        parts = [Tokenised(tokenizer.encode(rows.texts), rows.y_N) for rows in (train, val)]
        course = tune(network, parts[0], parts[1], self._section, context, self._digest(parts, context.seed))
        network.eval()
        known = len(val) > 0
        logits_NK = logits_of(network, parts[1].tokens, len(self.classes))
        temperature = fit_temperature(logits_NK, val.y_N) if known else 1.0
        self._fitted = network, tokenizer, temperature
        params = {**self._section.model_dump(mode="json"), "temperature": temperature, "rows": len(train)}
        return FitReport(course.history, params, course.resumed_from)

    def predict(self, rows: TextRows) -> Answers:
        """Return ``probabilities_NK``."""
        network, tokenizer, temperature = self._parts()
        logits_NK = logits_of(network, tokenizer.encode(rows.texts), len(self.classes))
        probabilities_NK: Answers = softmax(logits_NK / temperature).astype("float32")
        return probabilities_NK

    def export(self, folder: Path) -> None:
        """Write ``encoder.json``, ``tokenizer.json`` and ``model.onnx`` into *folder*."""
        require("onnxscript", extra="transformers")
        network, tokenizer, temperature = self._parts()
        EncoderModel.declare(folder, self.classes, tokenizer, temperature)
        tokens_BT, mask_BT = (torch.from_numpy(array) for array in padded(tokenizer.encode(["two", "short texts"])))
        axes = {0: torch.export.Dim("B"), 1: torch.export.Dim("T")}
        with warnings.catch_warnings():  # the exporter warns of its own internals
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Logits(network).cpu().eval(),
                (tokens_BT, mask_BT),
                folder / MODEL_FILE,
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                dynamic_shapes=(axes, axes),
                external_data=False,
                verbose=False,
            )

    def _open(self, seed: int) -> tuple[Tokenizer, Any]:
        """Return the tokenizer, and the encoder under a new head that *seed* decides."""
        transformers, folder = require("transformers", extra="transformers"), self._section.folder
        missing = [name for name in _NEEDED if not (folder / name).is_file()]
        if missing:
            raise UserError(
                f"task.text.encoder.folder is {folder}, which has no {' and no '.join(missing)}; give the folder of an "
                f"encoder with {', '.join(_NEEDED)} (transformers' save_pretrained writes them)."
            )
        file = folder / TOKENIZER_FILE
        tokenizer = Tokenizer.of(file.read_bytes(), self._section.max_tokens, f"{file}")
        transformers.logging.set_verbosity_error()  # the head is new: the library would warn that it is
        transformers.logging.disable_progress_bar()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                network = transformers.AutoModelForSequenceClassification.from_pretrained(
                    folder,
                    num_labels=len(self.classes),
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    dtype=torch.float32,
                )
            except (OSError, ValueError, KeyError) as error:
                raise UserError(
                    f"task.text.encoder.folder is {folder}, which transformers cannot open as a classifier of texts: "
                    f"{' '.join(str(error).split())[:300]}"
                ) from None
        self._try_longest(network, tokenizer)
        return tokenizer, network.to(self._device())

    def _try_longest(self, network: Any, tokenizer: Tokenizer) -> None:
        """Answer the longest text there may be: training texts may be shorter than one that is asked about later."""
        longest_1T = torch.full((1, self._section.max_tokens), tokenizer.most)
        try:
            with torch.inference_mode():
                network(input_ids=longest_1T, attention_mask=torch.ones_like(longest_1T))
        except (IndexError, RuntimeError) as error:
            positions = getattr(network.config, "max_position_embeddings", "?")
            raise UserError(
                f"the encoder in {self._section.folder} cannot read a text of task.text.encoder.max_tokens = "
                f"{self._section.max_tokens} tokens numbered up to {tokenizer.most}: it knows {positions} positions "
                f"and {getattr(network.config, 'vocab_size', '?')} tokens; lower max_tokens, or take the tokenizer "
                f"that belongs to it ({' '.join(str(error).split())[:120]})."
            ) from None

    def _device(self) -> str:
        seen = torch.cuda.is_available()
        if self._section.device == "cuda" and not seen:
            raise UserError(
                "task.text.encoder.device has the value 'cuda', but PyTorch sees no GPU here; set it to auto."
            )
        return "cuda" if seen and self._section.device != "cpu" else "cpu"

    def _digest(self, parts: list[Tokenised], seed: int) -> str:
        """Return a digest of everything that decides the tuned weights."""
        deciding = self._section.model_dump(mode="json", exclude={"folder", "checkpoint_steps"})
        digest = hashlib.sha256(json.dumps([deciding, self.classes, seed], sort_keys=True).encode())
        for name in _NEEDED:
            with (self._section.folder / name).open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        for part in parts:
            digest.update(part.y_N.tobytes())
            for own in part.tokens:
                digest.update(own.tobytes() + b"|")
        return digest.hexdigest()

    def _parts(self) -> tuple[Any, Tokenizer, float]:
        if self._fitted is None:
            raise UserError("the text predictor has not been fitted; call fit before predict or export.")
        return self._fitted


class _Logits(nn.Module):
    """What is exported: two tensors in, one out."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Return ``logits_BK``."""
        logits_BK: Tensor = self.network(input_ids=tokens_BT, attention_mask=mask_BT).logits
        return logits_BK
