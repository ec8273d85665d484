"""From a folder to a `Package`: first every byte, then every form, then the model. No code of the folder's is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from orita.core.checkpoints import checkpoint
from orita.core.errors import UserError
from orita.features.schema import FeatureSchema, Kind, Side
from orita.models.graph import HEADS, INPUTS, OUTPUT, open_graph
from orita.models.metadata import ModelMetadata
from orita.models.objectives import check_objective, read_heads
from orita.models.package.description import RANKER, Description
from orita.models.package.files import (
    CARD_FILE,
    DESCRIPTION_FILE,
    ITEMS_FILE,
    METADATA_FILE,
    REQUIREMENTS_FILE,
    SAMPLE_FILE,
    SCHEMA_FILE,
    USERS_FILE,
    WEIGHTS_FILE,
)
from orita.models.package.loaded import Package
from orita.models.package.manifest import Contents, read_contents, read_file
from orita.models.package.request_graph import RequestGraph
from orita.models.package.requirements import read_requirements
from orita.models.package.signing import Trust, check_signature_form
from orita.models.package.strict_json import read_object
from orita.models.package.tables import read_sample, read_vocabulary
from orita.models.package.tensors import check_weights
from orita.models.vocabulary import Vocabulary

__all__ = ["check_texts", "load_package", "package_schema", "read_schema", "scores_label"]

_ALWAYS = (METADATA_FILE, SCHEMA_FILE, DESCRIPTION_FILE, SAMPLE_FILE)
_MAYBE = (CARD_FILE, REQUIREMENTS_FILE, WEIGHTS_FILE)
_MOST_FEATURES = 10_000
_CONTROL = re.compile(r"[^\t\n\x20-\x7e\x80-\U0010ffff]|[\x80-\x9f]")


def load_package(folder: Path, *, trust: Trust | None = None) -> Package:
    """Return the package at *folder*, after its checksums, its signature and its form were verified.

    Args:
        folder: the package.
        trust: whose packages are loaded; None: anybody's, signatures are not checked.

    Raises:
        UserError: a file is changed, missing or extra, or is not what its name promises, and the sentence names the
            file; or nobody who is trusted signed the package.
    """
    contents = read_contents(folder)
    checkpoint()
    check_signature_form(contents)
    signer = trust.signer(contents) if trust else None
    metadata = ModelMetadata.from_dict(contents.json(METADATA_FILE))
    schema = read_schema(contents.json(SCHEMA_FILE), contents.where(SCHEMA_FILE))
    description = Description.from_dict(contents.json(DESCRIPTION_FILE), schema, contents.where(DESCRIPTION_FILE))
    checkpoint()
    sessions = {name: _session(contents, file) for name, file in description.graphs.items()}
    checkpoint()
    inputs = _inputs(sessions[RANKER], contents.where(description.graphs[RANKER]), len(description.heads))
    users, items = _vocabulary(contents, USERS_FILE, inputs), _vocabulary(contents, ITEMS_FILE, inputs)
    checkpoint()
    _check_rest(contents, description, inputs)
    checkpoint()
    heads = [head.name for head in description.heads]
    sample = read_sample(contents.content(SAMPLE_FILE), contents.where(SAMPLE_FILE), schema, heads)
    file, known_items = description.graphs[RANKER], len(items) if items and schema.of_side("item") else None
    asked = RequestGraph(contents.content(file), sessions[RANKER], schema, known_items, contents.folder / file)
    return Package(folder, metadata, schema, description, signer, sample, sessions, inputs, users, items, asked)


def package_schema(folder: Path) -> FeatureSchema:
    """Return the features that the package in *folder* reads, without opening its model or comparing checksums.

    Raises:
        UserError: ``schema.json`` is missing or is none.
    """
    where = f"{folder / SCHEMA_FILE}"
    return read_schema(read_object(read_file(folder, SCHEMA_FILE), where), where)


def scores_label(folder: Path) -> bool:
    """Tell whether the score of the package in *folder* is the chance of its label, and not a weighted objective.

    Only ``package.json`` is read, without comparing checksums.

    Raises:
        UserError: ``package.json`` is missing, or is none.
    """
    where = f"{folder / DESCRIPTION_FILE}"
    content = read_object(read_file(folder, DESCRIPTION_FILE), where)
    if "heads" not in content:
        return True
    heads = read_heads(content["heads"], where)
    check_objective(content.get("objective", {}), heads, f"the objective of {where}")
    weighed = [name for name, weight in content["objective"].items() if weight]
    return weighed == [heads[0].name] and content["objective"][heads[0].name] > 0


def read_schema(content: dict[str, Any], where: str) -> FeatureSchema:
    """Return the features that the content of a ``schema.json`` names.

    Raises:
        UserError: it is none, or has more features than 10,000.
    """
    try:
        schema = FeatureSchema.from_dict(content)
    except (KeyError, TypeError) as error:
        raise UserError(f"{where} is not a feature schema: {error}.") from None
    columns = schema.columns
    if len(columns) > _MOST_FEATURES:
        raise UserError(f"{where} has {len(columns):,} features, allowed are {_MOST_FEATURES:,}.")
    for column in columns:
        texts = (column.name, column.arrow, column.description, column.meaning)
        fits = all(isinstance(text, str) for text in texts) and type(column.cardinality) is int
        if not (fits and column.side in get_args(Side) and column.kind in get_args(Kind) and column.cardinality >= 0):
            raise UserError(f"{where} is not a feature schema: the column {ascii(column.name)[:80]} cannot be.")
    if len(set(schema.names)) != len(columns):
        raise UserError(f"{where} is not a feature schema: a name is there twice.")
    return schema


def _session(contents: Contents, file: str) -> Any:
    return open_graph(contents.folder / file, contents.content(file))


def _inputs(session: Any, where: str, heads: int) -> dict[str, Any]:
    inputs = {given.name: given.shape[0] if given.shape else None for given in session.get_inputs()}
    if not set(inputs) <= set(INPUTS):
        raise UserError(f"{where} asks for the inputs {sorted(inputs)!a}, allowed are {INPUTS}.")
    outputs = {given.name: given.type for given in session.get_outputs()}
    if outputs.get(OUTPUT) != "tensor(float)":
        raise UserError(f"{where} gives {ascii(outputs)[:200]}, expected {OUTPUT!r} as float32.")
    shapes = {given.name: list(given.shape) for given in session.get_outputs()}
    if heads and (outputs.get(HEADS) != "tensor(float)" or shapes[HEADS][1:] != [heads]):
        raise UserError(f"{where} gives {ascii(shapes)[:200]}, expected {HEADS!r} as float32 of {heads} columns.")
    return inputs


def _vocabulary(contents: Contents, file: str, inputs: Mapping[str, Any]) -> Vocabulary | None:
    wanted = file.partition(".")[0] in inputs
    return read_vocabulary(contents.content(file), contents.where(file)) if wanted else None


def _check_rest(contents: Contents, description: Description, inputs: Mapping[str, Any]) -> None:
    """Refuse files that nothing declares, and look at those that scoring does not need."""
    ids = [file for file in (USERS_FILE, ITEMS_FILE) if file.partition(".")[0] in inputs]
    for name in sorted(set(contents.files) - {*_ALWAYS, *_MAYBE, *description.graphs.values(), *ids}):
        raise UserError(f"{contents.where(name)} belongs to nothing that {DESCRIPTION_FILE} declares; remove it.")
    if WEIGHTS_FILE in contents.files:
        check_weights(contents.files[WEIGHTS_FILE], contents.sizes[WEIGHTS_FILE], contents.where(WEIGHTS_FILE))
    check_texts(contents)


def check_texts(contents: Contents) -> None:
    """Refuse a model card or requirements that are not plain text, or are none.

    Raises:
        UserError: they are not.
    """
    for name in (CARD_FILE, REQUIREMENTS_FILE):
        if name in contents.files:
            _check_text(contents.files[name], contents.where(name))
    if REQUIREMENTS_FILE in contents.files:
        read_requirements(contents.files[REQUIREMENTS_FILE], contents.where(REQUIREMENTS_FILE))


def _check_text(content: bytes, where: str) -> None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not text: {error}.") from None
    if found := _CONTROL.search(text):
        raise UserError(f"{where} is not text: it has the character {found[0]!a}; remove it.")
