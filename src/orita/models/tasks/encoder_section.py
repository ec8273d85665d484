"""The keys of a pretrained encoder under a text predictor (extra ``transformers``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from orita.core.config import Section

__all__ = ["EncoderSection"]


class EncoderSection(Section):
    """``task.text.encoder``: which encoder, and how it is tuned to the classes.

    Attributes:
        folder: the encoder as Hugging Face lays one out: ``config.json``, ``tokenizer.json``, ``model.safetensors``.
            Nothing is downloaded, and no code from the folder is run.
        max_tokens: what is longer is cut; at most as many as the encoder has positions.
        epochs: the epoch with the best weighted F1 on validation rows is kept; without such rows the last one.
        batch_size: texts a step.
        learning_rate: the highest: it rises over the first *warmup_share* of the steps and then falls to zero.
        warmup_share: see *learning_rate*.
        weight_decay: times the learning rate, the share that weights shrink by in a step.
        checkpoint_steps: after how many steps a checkpoint is written, where checkpoints are kept.
        device: ``auto`` is a GPU where PyTorch sees one.
    """

    folder: Path
    max_tokens: Annotated[int, Field(ge=8, le=4096)] = 128
    epochs: Annotated[int, Field(ge=1, le=100)] = 3
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 2e-5
    warmup_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    checkpoint_steps: Annotated[int, Field(ge=1)] = 500
    device: Literal["auto", "cpu", "cuda"] = "auto"
