"""A fitted retriever as a package: plain arrays, tables and graphs under checksums; reading it executes nothing.

Needs NumPy, SciPy and pyarrow; a reranked one onnxruntime as well. Neither PyTorch nor LightGBM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orita.core.errors import UserError, closest
from orita.core.files import atomic_directory
from orita.features.schema import FeatureSchema
from orita.models.examples import Ids
from orita.models.metadata import ModelMetadata
from orita.models.package.card import CardText
from orita.models.package.envelope import Envelope, open_envelope, write_envelope
from orita.models.package.files import SAMPLE_FILE
from orita.models.package.keys import PublicKey
from orita.models.package.manifest import Contents
from orita.models.package.sample_check import answering
from orita.models.package.signing import Trust
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.interactions import History
from orita.models.retrieval.members import SCORERS, read_scorer
from orita.models.retrieval.reranked import Reranked
from orita.models.retrieval.retriever import Retrieved, Retriever
from orita.models.retrieval.sample import RetrievedSample, read_sample, take_sample
from orita.models.retrieval.scored import ScoredRetriever
from orita.models.retrieval.two_tower import TwoTowerRetriever

__all__ = ["READERS", "RETRIEVER_FILE", "RetrieverPackage", "load_retriever", "open_retriever", "write_retriever"]

RETRIEVER_FILE = "retriever.json"
_FORMAT = 2  # format 1 had neither metadata nor a sample
_FILES, _TYPE = "files", "type"

Reader = Callable[[Contents], Retriever]
"""Makes a retriever of the verified bytes of a package."""


@dataclass(frozen=True, slots=True)
class RetrieverPackage:
    """A loaded retriever that answers; safe to share between threads.

    Attributes:
        folder: where it was loaded from.
        metadata: who it is.
        retriever: what answers; it cannot be fitted again.
        extra: what its writer kept beside the metadata.
        signer: whose signature was checked; None where nobody was to be trusted, or nobody known signed.
    """

    folder: Path
    metadata: ModelMetadata
    retriever: Retriever
    extra: Mapping[str, Any]
    signer: PublicKey | None
    _sample: RetrievedSample

    @property
    def version(self) -> str:
        """The model's version, ``v1.2.3``."""
        return self.metadata.model_version

    @property
    def type(self) -> str:
        """The type of the retriever."""
        return self.retriever.type

    @property
    def form(self) -> str:
        """What it is, in a few words."""
        return f"{self.metadata.model_type} {self.version}, retriever of the type {self.type}"

    def retrieve(self, users_Q: Ids, k: int, *, exclude_seen: bool = True) -> Retrieved:
        """Return the *k* best items of each user; one who is unknown is answered as an empty history is."""
        return self.retriever.retrieve(users_Q, k, exclude_seen=exclude_seen)

    def retrieve_for(self, histories: Sequence[History], k: int, *, exclude_seen: bool = True) -> Retrieved:
        """Return the *k* best items of each history; an empty one is answered with what most users take."""
        return self.retriever.retrieve_for(histories, k, exclude_seen=exclude_seen)

    def check_sample(self) -> None:
        """Ask for what was found when the package was written.

        Raises:
            UserError: it finds something else, or fails.
        """
        with answering(self.folder):
            self._sample.check(self.retriever, f"{self.folder}")


def write_retriever(
    folder: Path,
    retriever: Retriever,
    metadata: ModelMetadata,
    sample_users: Ids,
    *,
    readers: Mapping[str, Reader] | None = None,
    extra: Mapping[str, object] | None = None,
    text: CardText | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> RetrieverPackage:
    """Write *retriever* as a package at *folder*, whole or not at all, and return it loaded and checked.

    Args:
        folder: takes the place of what was there.
        retriever: fitted.
        metadata: who the model is.
        sample_users: what is found for them is kept as the proof of a right load; the first 32 distinct are used.
        readers: how to read a type of your own, beside `READERS`.
        extra: JSON values to keep beside the metadata.
        text: what people say about the model, for the model card.
        evaluation: figures of the model, for the model card.

    Raises:
        UserError: it was not fitted, there are no users, or what was written does not find what the retriever finds.
    """
    with atomic_directory(folder) as partial:
        retriever.export(partial)
        files = sorted(file.name for file in partial.iterdir())
        take_sample(retriever, sample_users).write(partial / SAMPLE_FILE)
        declared = {"format": _FORMAT, "extra": dict(extra or {}), _TYPE: retriever.type, _FILES: files}
        none = FeatureSchema(())
        write_envelope(partial, RETRIEVER_FILE, declared, metadata, schema=none, text=text, evaluation=evaluation)
        load_retriever(partial, readers)
    return load_retriever(folder, readers)


def load_retriever(
    folder: Path, readers: Mapping[str, Reader] | None = None, *, trust: Trust | None = None
) -> RetrieverPackage:
    """Return the retriever at *folder*, after its bytes, signature, form and sample answers were verified.

    Args:
        folder: what `write_retriever` wrote.
        readers: how to read types of your own, beside `READERS`.
        trust: whose packages are loaded; None: anybody's, signatures are not checked.

    Raises:
        UserError: a file is changed, missing or extra, or is not what its name promises; nobody who is trusted signed;
            the type is unknown; or it finds something else for its sample than when it was written.
    """
    package = open_retriever(folder, trust, readers)
    package.check_sample()
    return package


def open_retriever(
    folder: Path, trust: Trust | None = None, readers: Mapping[str, Reader] | None = None
) -> RetrieverPackage:
    """Return the retriever at *folder* as `load_retriever` does, without asking it for its sample."""
    envelope = open_envelope(folder, RETRIEVER_FILE, formats=(_FORMAT,), keys=(_TYPE, _FILES), trust=trust)
    read = _reader(envelope, {**READERS, **(readers or {})})
    contents = envelope.contents
    retriever = read(contents)
    sample = read_sample(contents.content(SAMPLE_FILE), contents.where(SAMPLE_FILE))
    return RetrieverPackage(folder, envelope.metadata, retriever, envelope.extra, envelope.signer, sample)


def _reader(envelope: Envelope, readers: Mapping[str, Reader]) -> Reader:
    """Return what reads the declared type, after the declared files were compared with those that are there."""
    where, (type_, files) = envelope.contents.where(RETRIEVER_FILE), (envelope.declared[k] for k in (_TYPE, _FILES))
    if not isinstance(type_, str) or type_ not in readers:
        known = (
            closest(type_, readers)
            if isinstance(type_, str) and type_.isidentifier()
            else f"Known: {', '.join(readers)}"
        )
        raise UserError(f"{where} has the type {ascii(type_)[:80]}, which nothing here reads. {known}")
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        raise UserError(f"{where} has the files {ascii(files)[:80]}, expected a list of names.")
    envelope.check_rest([RETRIEVER_FILE, *files])
    return readers[type_]


def _scored(type_: str) -> Reader:
    def read(contents: Contents) -> Retriever:
        catalogue = Catalogue.read(contents)
        return ScoredRetriever(read_scorer(type_, contents, "model", catalogue), catalogue=catalogue)

    return read


def _reranked(contents: Contents) -> Retriever:
    catalogue = Catalogue.read(contents)
    return ScoredRetriever(Reranked.read(contents, "model", catalogue), catalogue=catalogue)


READERS: Mapping[str, Reader] = MappingProxyType(
    {**{type_: _scored(type_) for type_ in SCORERS}, "reranked": _reranked, "two_tower": TwoTowerRetriever.read}
)
"""How the types of Orita are read."""
