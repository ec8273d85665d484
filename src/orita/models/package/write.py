"""From a fitted ranker to a package: written whole, loaded and proved, or not there at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from orita.core.errors import UserError
from orita.core.files import atomic_directory
from orita.features.schema import FeatureSchema
from orita.models.calibration import Calibration
from orita.models.examples import Examples
from orita.models.graph import ITEMS_FILE, MODEL_FILE, USERS_FILE
from orita.models.metadata import ModelMetadata
from orita.models.objectives import HasHeads, Head, check_objective
from orita.models.package.card import CardText, evaluation_facts, render_card
from orita.models.package.description import RANKER, Description, graph_file
from orita.models.package.files import (
    CARD_FILE,
    DESCRIPTION_FILE,
    METADATA_FILE,
    REQUIREMENTS_FILE,
    SAMPLE_FILE,
    SCHEMA_FILE,
    WEIGHTS_FILE,
)
from orita.models.package.load import load_package
from orita.models.package.loaded import Package
from orita.models.package.manifest import write_manifest
from orita.models.package.requirements import render_requirements
from orita.models.package.steps import Calibrate, FeatureStep, ScoreStep
from orita.models.package.strict_json import canonical_json
from orita.models.package.tables import SAMPLE_ROWS, Sample, write_sample
from orita.models.package.tensors import HasWeights, write_weights
from orita.models.ranker import Ranker

__all__ = ["with_objective", "write_described", "write_package"]

_EXPORTED = (USERS_FILE, ITEMS_FILE)


def write_package(
    folder: Path,
    ranker: Ranker,
    metadata: ModelMetadata,
    schema: FeatureSchema,
    sample: Examples,
    *,
    extra: Mapping[str, object] | None = None,
    calibration: Calibration | Mapping[str, Calibration] | None = None,
    objective: Mapping[str, float] | None = None,
    pre: Sequence[FeatureStep] = (),
    post: Sequence[ScoreStep] = (),
    text: CardText | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> Package:
    """Write *ranker* as a package at *folder*, whole or not at all, and return it loaded and checked.

    Args:
        folder: takes the place of what was there.
        ranker: a fitted ranker; of one with ``named_weights()`` (`HasWeights`) the parameters are kept by name.
        metadata: the card.
        schema: the features the ranker reads.
        sample: rows whose scores are kept as the proof of a right load; the first 64 are used.
        extra: JSON values to keep beside the card.
        calibration: what the scores go through first; of a ranker with several heads, by the head's name
            (`calibrate_heads` gives either).
        objective: what one unit of each head is worth in the score, for a ranker with several; None: the label alone.
        pre: what is done to features before the graph, in order.
        post: what is done to scores after the calibration, in order.
        text: what people say about the model, for the model card.
        evaluation: ``Evaluation.to_dict()`` of the model, for the model card.

    Raises:
        UserError: *sample* has no rows, the graph does not score it as the ranker does, the ranker exported another
            kind of file or named weights that are no arrays of numbers, or *objective* weighs what is no head of it.
    """
    if len(sample) == 0:
        raise UserError("write_package was given 0 sample rows; give some, a package proves itself by their scores.")
    heads, steps = _calibrated(ranker, calibration)
    card: dict[str, Any] = {"text": text.model_dump(exclude_defaults=True)} if text else {}
    card |= {"evaluation": evaluation_facts(evaluation)} if evaluation else {}
    with atomic_directory(folder) as partial:
        ranker.export(partial)
        described = Description(_graphs(partial), tuple(pre), (*steps, *post), card, dict(extra or {}))
        if heads or (objective and len(objective) > 1):  # the weight of a single head changes nothing
            described = with_objective(replace(described, heads=heads), objective or {heads[0].name: 1.0})
        if isinstance(ranker, HasWeights):
            write_weights(partial / WEIGHTS_FILE, ranker.named_weights())
        rows = _sample(ranker, described, sample.take(slice(0, SAMPLE_ROWS)))
        write_sample(partial / SAMPLE_FILE, rows, [head.name for head in heads])
        (partial / REQUIREMENTS_FILE).write_text(render_requirements(ranker=ranker.type), encoding="utf-8")
        write_described(partial, metadata, schema, described)
        load_package(partial).check_sample()
    return load_package(folder)


def with_objective(described: Description, objective: Mapping[str, float]) -> Description:
    """Return *described* with another objective.

    Raises:
        NotFound, UserError: the model has one head, or *objective* weighs what is no head of it.
    """
    if not described.heads:
        raise UserError("the model has one head, so there is nothing to weigh: train one with model.heads.")
    check_objective(objective, described.heads)
    return replace(described, objective={name: float(weight) for name, weight in objective.items()})


def _calibrated(
    ranker: Ranker, calibration: Calibration | Mapping[str, Calibration] | None
) -> tuple[tuple[Head, ...], tuple[ScoreStep, ...]]:
    """Return the ranker's heads with their calibrations, and for a ranker with one head the step that calibrates it."""
    heads = ranker.heads() if isinstance(ranker, HasHeads) else ()
    if not heads:
        assert calibration is None or isinstance(calibration, Calibration), "a ranker with one head has one calibration"
        return (), (Calibrate(calibration),) if calibration and calibration.method != "none" else ()
    if calibration is None or isinstance(calibration, Calibration):
        calibration = {heads[0].name: calibration} if calibration else {}
    return tuple(replace(head, calibration=calibration.get(head.name, Calibration())) for head in heads), ()


def write_described(folder: Path, metadata: ModelMetadata, schema: FeatureSchema, described: Description) -> None:
    """Write the files of a package that tell about its others, the manifest last."""
    (folder / METADATA_FILE).write_bytes(canonical_json(metadata.to_dict()))
    (folder / SCHEMA_FILE).write_bytes(canonical_json(schema.to_dict()))
    (folder / DESCRIPTION_FILE).write_bytes(canonical_json(described.to_dict()))
    (folder / CARD_FILE).write_text(render_card(metadata, schema, described), encoding="utf-8")
    write_manifest(folder)


def _graphs(folder: Path) -> dict[str, str]:
    """Return the graphs that a ranker exported, by name; each other file of its must be one that a package knows."""
    graphs = {}
    for file in sorted(folder.iterdir()):
        name = RANKER if file.name == MODEL_FILE else file.stem
        if file.suffix == ".onnx" and file.name == graph_file(name):
            graphs[name] = file.name
        elif file.name not in _EXPORTED:
            raise UserError(
                f"the ranker exported {file.name}, which no package holds: write '{MODEL_FILE}', other graphs as "
                f"'<name>.onnx', and {' and '.join(_EXPORTED)}."
            )
    if RANKER not in graphs:
        raise UserError(f"the ranker exported no '{MODEL_FILE}': its export(folder) must write it into the folder.")
    return graphs


def _sample(ranker: Ranker, described: Description, rows: Examples) -> Sample:
    """Return *rows* with the ranker's scores, before and after the declared steps."""
    prepared = replace(rows, x_NF=np.array(rows.x_NF, np.float32))
    for step in described.pre:
        step.apply(prepared.x_NF, rows.schema)
    outputs = (
        ranker.score_heads(prepared) if isinstance(ranker, HasHeads) and described.heads else ranker.score(prepared)
    )
    return Sample.of(rows, outputs, described.score(outputs))
