"""A registered model, out of one registry and into another: `export_model` and `import_model`.

What travels is the package as it is, signature and all, the record of its run, the description of its training set, and
what its rows led to expect; no rows. What arrives is checked before anything is registered, and gets a card and a run
of the registry it is in.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orita.core.errors import UserError
from orita.core.files import atomic_directory, remove_leftovers
from orita.core.home import Home
from orita.core.version import VERSION
from orita.features.system import System
from orita.models.metadata import ModelMetadata
from orita.models.package.files import MANIFEST_FILE, SIGNATURE_FILE
from orita.models.package.manifest import read_contents
from orita.models.package.strict_json import canonical_json
from orita.models.reissue import reissue_package
from orita.registry.archive import ABOUT, EXPECTATIONS, PACKAGE, RUN, TRAINING_SET, unpack_archive, write_archive
from orita.registry.arrival import MOST_ORIGINS, Arrival, check_arrival
from orita.registry.catalogue import Catalogue, ModelVersion
from orita.registry.config import RegistryConfig
from orita.registry.expectations import expectations_file, keep_expectations
from orita.registry.run_record import log_record, record_of

__all__ = ["ORIGIN", "Imported", "export_model", "import_model", "origins_of", "training_manifest"]

ORIGIN = "orita.origin."
"""Beginning of the tags that say where an imported version came from."""

_FOLDER = "origin"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an import.

    Attributes:
        entry: the version here.
        new: false where this very package was here already, and nothing was changed.
        origin: home, tenant, system, version and run that it came from.
        signer: name of the trusted key that signed it there, empty where none did.
    """

    entry: ModelVersion
    new: bool
    origin: Mapping[str, str]
    signer: str


def export_model(catalogue: Catalogue, entry: ModelVersion, file: Path, *, home: str | None = None) -> None:
    """Write *entry* with its run and what is known of its training rows to *file*, whole or not at all.

    The same version gives the same bytes, whenever it is exported; until somebody signs it or adds to its run.

    Args:
        catalogue: where it is registered.
        entry: the version.
        file: a new file.
        home: how this home is called in the archive; None: its path.

    Raises:
        UserError: *file* exists, or a file of the package is not what its manifest says.
    """
    if file.exists():
        raise UserError(f"{file} exists: give the name of a new file, or delete it first.")
    names = [MANIFEST_FILE, *read_contents(entry.package).files]
    names += [SIGNATURE_FILE] if (entry.package / SIGNATURE_FILE).exists() else []
    files: dict[str, Path | bytes] = {f"{PACKAGE}/{name}": entry.package / name for name in names}
    files[RUN] = canonical_json(record_of(catalogue.runs.get(entry.run_id), catalogue.runs.history(entry.run_id)))
    manifest = training_manifest(catalogue.home, entry)
    if manifest is not None:
        files[TRAINING_SET] = canonical_json(manifest)
    expected = expectations_file(catalogue.home, entry.system, entry.version)
    if expected.exists():
        files[EXPECTATIONS] = canonical_json(json.loads(expected.read_text(encoding="utf-8")))
    here = {
        "home": home or str(catalogue.home.root),
        "tenant": catalogue.home.tenant,
        "system": entry.system,
        "version": entry.version,
        "run": entry.run_id,
        "orita": VERSION,
    }
    write_archive(file, {"origins": [here, *origins_of(entry)][:MOST_ORIGINS]}, files)


def import_model(catalogue: Catalogue, config: RegistryConfig, system: System, file: Path) -> Imported:
    """Register the model of an archive as the challenger of *system*; nothing that comes with it is executed.

    It is all checked before the first change: form, checksums, signature, sample scores, and that every feature that
    it reads is declared. A package that is here already is not registered again. A process that is killed leaves no
    version; the same call again does the whole.

    Args:
        catalogue: where to register it.
        config: whose signatures are taken, and who signs here.
        system: whose model it becomes.
        file: what `export_model` wrote.

    Raises:
        NotFound: *system* does not declare features that the model reads; the sentence names them.
        UserError: the archive is not whole, its parts do not belong together, or nobody who is trusted signed it.
    """
    home = catalogue.home
    if config.require_signature and config.sign_with is None:
        raise UserError(
            "registry.require_signature is set, and an imported model gets a card of this registry, which has to be "
            "signed here: set registry.sign_with to one of your keys ('orita models keys create')."
        )
    with _alone(home) as staging, tempfile.TemporaryDirectory(prefix=".partial-", dir=staging) as name:
        folder = Path(name)
        arrived = check_arrival(folder, unpack_archive(file, folder), file, home, config, system)
        known = _known(catalogue, system.name, arrived.digest)
        if known is not None:
            if not expectations_file(home, system.name, known.version).exists():
                _keep_expectations(arrived, home, system.name, known.version)
            return Imported(known, False, arrived.origin, arrived.signer)
        tags = _tags(arrived)
        run_id = catalogue.runs.finished(system.name, f"{ORIGIN}package", arrived.digest)
        run_id = run_id or log_record(catalogue, system.name, arrived.record, tags)
        type_ = arrived.package.metadata.model_type
        write = _writer(arrived, run_id, home, system.name)
        entry = catalogue.register(system.name, run_id, write, type_=type_, tags=tags)
        return Imported(entry, True, arrived.origin, arrived.signer)


def training_manifest(home: Home, entry: ModelVersion) -> dict[str, Any] | None:
    """Return the description of the training set of *entry*, None where it names none or the set is not known here."""
    named = entry.tags.get("orita.training_set", "")
    here = home.training_sets / entry.system / named / "manifest.json"
    there = entry.package.parent / _FOLDER / TRAINING_SET
    file = here if named and here.is_file() else there
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def origins_of(entry: ModelVersion) -> list[dict[str, str]]:
    """Return the registries that *entry* came from, the latest first; none where it was trained here."""
    file = entry.package.parent / _FOLDER / ABOUT
    return list(json.loads(file.read_text(encoding="utf-8"))["origins"]) if file.is_file() else []


@contextmanager
def _alone(home: Home) -> Iterator[Path]:
    """Wait until no other import is at work, and yield the folder for what arrives; a killed import's is emptied."""
    staging = home.staging / "imports"
    staging.mkdir(parents=True, exist_ok=True)
    with (home.staging / "imports.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_leftovers(staging)
        yield staging


def _known(catalogue: Catalogue, system: str, digest: str) -> ModelVersion | None:
    """Return the version that was imported from, or is, the package whose manifest has this digest."""
    for entry in catalogue.versions(system):
        manifest = entry.package / MANIFEST_FILE
        own = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else ""
        if digest in (entry.tags.get(f"{ORIGIN}package"), own):
            return entry
    return None


def _tags(arrived: Arrival) -> dict[str, str]:
    """Return the tags of the run and version here: people's own as they are, Orita's as those of another registry.

    What names things of the other home, a training set or a version of a table, must not name things of this one.
    """
    given = arrived.record["tags"]
    own = {name: value for name, value in given.items() if not name.startswith(("mlflow.", "orita."))}
    theirs = {
        f"{ORIGIN}{name.removeprefix('orita.')}": value
        for name, value in given.items()
        if name.startswith("orita.") and not name.startswith(ORIGIN)
    }
    origin = {f"{ORIGIN}{key}": value for key, value in arrived.origin.items()}
    signed = {f"{ORIGIN}signer": arrived.signer} if arrived.signer else {}
    here = {f"{ORIGIN}package": arrived.digest, "orita.feature_schema": arrived.package.schema.version}
    return {**own, **theirs, **origin, **signed, **here}


def _keep_expectations(arrived: Arrival, home: Home, system: str, version: str) -> None:
    """Keep what its training rows led to expect, where the archive says it."""
    if (source := arrived.folder / EXPECTATIONS).exists():
        keep_expectations(home, system, version, source)


def _writer(arrived: Arrival, run_id: str, home: Home, system: str) -> Callable[[Path, str], None]:
    """Return what writes the package under its card here, and beside it what proves where it came from."""
    package = arrived.package

    def write(draft: Path, version: str) -> None:
        with atomic_directory(draft.parent / _FOLDER) as origin:
            (origin / ABOUT).write_bytes(canonical_json(arrived.about))
            for name in (RUN, TRAINING_SET, EXPECTATIONS, f"{PACKAGE}/{MANIFEST_FILE}", f"{PACKAGE}/{SIGNATURE_FILE}"):
                if (arrived.folder / name).exists():
                    (origin / Path(name).name).write_bytes((arrived.folder / name).read_bytes())
        card = {**package.metadata.to_dict(), "model_version": version, "mlflow_run_id": run_id}
        reissue_package(package, draft, ModelMetadata.from_dict(card))
        _keep_expectations(arrived, home, system, version)

    return write
