"""What every kind of package has around its model: who it is, who vouches for it, its card and its requirements.

A ranker's package is opened by `orita.models.package.load`. A predictor's and a retriever's are opened by modules of
theirs, from an `Envelope`; each is declared by one JSON file of its own, whose name tells the kinds apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.metadata import ModelMetadata
from orita.models.package.card import CardText, evaluation_facts, render_card
from orita.models.package.description import Description
from orita.models.package.files import CARD_FILE, METADATA_FILE, REQUIREMENTS_FILE, SAMPLE_FILE
from orita.models.package.keys import PublicKey
from orita.models.package.load import check_texts
from orita.models.package.manifest import Contents, read_contents, write_manifest
from orita.models.package.requirements import render_requirements
from orita.models.package.signing import Trust, check_signature_form
from orita.models.package.strict_json import canonical_json

__all__ = ["Envelope", "open_envelope", "write_envelope"]

_EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A package whose checksums and signature were verified, and whose model is not opened yet.

    Attributes:
        contents: its bytes.
        metadata: who it is.
        declared: what the file that declares its kind says, beside its format and ``extra``.
        extra: what its writer kept beside that.
        signer: whose signature was checked; None where nobody was to be trusted, or nobody known signed.
    """

    contents: Contents
    metadata: ModelMetadata
    declared: Mapping[str, Any]
    extra: Mapping[str, Any]
    signer: PublicKey | None

    def check_rest(self, used: Iterable[str]) -> None:
        """Refuse what nothing declares: every file is in the envelope or *used* by the model.

        Raises:
            UserError: a file is neither, or the card or the requirements are not what they promise.
        """
        around = {METADATA_FILE, SAMPLE_FILE, CARD_FILE, REQUIREMENTS_FILE}
        for name in sorted(set(self.contents.files) - around - set(used)):
            raise UserError(f"{self.contents.where(name)} belongs to nothing that the package declares; remove it.")
        check_texts(self.contents)


def open_envelope(
    folder: Path, declaration: str, *, formats: Iterable[int], keys: Iterable[str], trust: Trust | None
) -> Envelope:
    """Return the package at *folder* with every byte verified and nothing of the model opened.

    Args:
        folder: the package.
        declaration: the file that declares its kind.
        formats: those of the declaration that are read.
        keys: what the declaration has beside ``format`` and ``extra``.
        trust: whose packages are loaded; None: anybody's, signatures are not checked.

    Raises:
        UserError: a file is changed, missing or extra, nobody who is trusted signed, or the declaration has another
            format or other keys.
    """
    contents = read_contents(folder)
    check_signature_form(contents)
    signer = trust.signer(contents) if trust else None
    metadata = ModelMetadata.from_dict(contents.json(METADATA_FILE))
    declared, where = contents.json(declaration), contents.where(declaration)
    format_, allowed = declared.get("format"), tuple(formats)
    if type(format_) is not int or format_ not in allowed:
        raise UserError(f"{where} has the format {ascii(format_)[:80]}, this version of Orita reads {allowed}.")
    expected = {"format", _EXTRA, *keys}
    if wrong := sorted(set(declared) ^ expected):
        raise UserError(f"{where} has missing or unknown keys {wrong!a}, expected {sorted(expected)}.")
    if not isinstance(declared[_EXTRA], dict):
        raise UserError(f"{where} has the extra {ascii(declared[_EXTRA])[:80]}, expected an object.")
    return Envelope(contents, metadata, {key: declared[key] for key in keys}, declared[_EXTRA], signer)


def write_envelope(
    folder: Path,
    declaration: str,
    declared: Mapping[str, Any],
    metadata: ModelMetadata,
    *,
    schema: FeatureSchema,
    text: CardText | None,
    evaluation: Mapping[str, Any] | None,
    requires: Sequence[str] = (),
) -> None:
    """Write what is around the model that lies in *folder*: declaration, metadata, card, requirements, and manifest.

    Args:
        folder: holds the files of the model and its sample, and nothing else.
        declaration: the file that declares the kind.
        declared: what it says, with ``format`` and ``extra``.
        metadata: who the model is.
        schema: the features it reads, for the card; it may have none.
        text: what people say about the model, for the card.
        evaluation: ``Evaluation.to_dict()`` of the model, for the card.
        requires: libraries that answer, beside those that every package needs.
    """
    card: dict[str, Any] = {"text": text.model_dump(exclude_defaults=True)} if text else {}
    card |= {"evaluation": evaluation_facts(evaluation)} if evaluation else {}
    (folder / declaration).write_bytes(canonical_json(declared))
    (folder / METADATA_FILE).write_bytes(canonical_json(metadata.to_dict()))
    (folder / CARD_FILE).write_text(render_card(metadata, schema, Description(card=card)), encoding="utf-8")
    (folder / REQUIREMENTS_FILE).write_text(render_requirements(requires), encoding="utf-8")
    write_manifest(folder)
