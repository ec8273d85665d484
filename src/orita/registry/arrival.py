"""Is what arrived in an archive whole, of one model, from somebody who is trusted, and of use here?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.features.registry.registry import FeatureRegistry
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.features.training_sets.training_set import SPLITS
from orita.models.package import Package, load_package
from orita.models.package.files import MANIFEST_FILE, shown
from orita.models.package.strict_json import read_object
from orita.registry.archive import ABOUT, EXPECTATIONS, PACKAGE, RUN, TRAINING_SET
from orita.registry.config import RegistryConfig
from orita.registry.expectations import check_expectations
from orita.registry.run_record import read_record, refuse_control
from orita.registry.trust import trust_of

__all__ = ["MOST_ORIGINS", "Arrival", "check_arrival"]

MOST_ORIGINS = 16
_TYPE = re.compile(r"[\w.-]{1,100}")
_ORIGIN_KEYS = ("home", "orita", "run", "system", "tenant", "version")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A model that arrived, and was checked.

    Attributes:
        folder: where its files are.
        about: what the archive says of itself.
        origin: home, tenant, system, version, run and version of Orita that it came from.
        record: of its run, see `orita.registry.run_record`.
        package: loaded.
        digest: SHA-256 of the manifest of the package, by which it is known again.
        signer: name of the trusted key that signed it, empty where none did.
    """

    folder: Path
    about: Mapping[str, Any]
    origin: Mapping[str, str]
    record: Mapping[str, Any]
    package: Package
    digest: str
    signer: str


def check_arrival(
    folder: Path, about: Mapping[str, Any], file: Path, home: Home, config: RegistryConfig, system: System
) -> Arrival:
    """Return what lies unpacked in *folder*, once everything in it is as it must be.

    Args:
        folder: the files of the archive.
        about: what `orita.registry.archive.unpack_archive` returned.
        file: the archive, for sentences.
        home: where it arrives.
        config: whose signatures are taken.
        system: whose model it is to become.

    Raises:
        NotFound: *system* does not declare features that the model reads; the sentence names them.
        UserError: something is missing, changed, of another model, or not signed as it must be.
    """
    origin = _origin(about, file)
    where = f"{RUN} of {file}"
    record = read_record(read_object((folder / RUN).read_bytes(), where), where)
    package = load_package(folder / PACKAGE, trust=trust_of(config, home))
    package.check_sample()
    _check_words(package, file)
    _check_belongs(package, origin, record, folder, file)
    _check_expectations(package.schema, folder, file)
    _check_features(home, system, package.schema, f"model {origin['version']} of {file.name}")
    digest = hashlib.sha256((folder / PACKAGE / MANIFEST_FILE).read_bytes()).hexdigest()
    return Arrival(folder, about, origin, record, package, digest, package.signer.name if package.signer else "")


def _origin(about: Mapping[str, Any], file: Path) -> dict[str, str]:
    """Return the registry that the archive came from, once all that it names have the right form."""
    origins = about.get("origins")
    if (
        not isinstance(origins, list)
        or not 0 < len(origins) <= MOST_ORIGINS
        or set(about) != {"origins", "format", "files", "sha256"}
    ):
        raise UserError(f"{ABOUT} of {file} does not say where the model came from; export it again.")
    for name in (RUN, f"{PACKAGE}/{MANIFEST_FILE}"):
        if name not in about["files"]:
            raise UserError(f"{file} has no {name}; export the model again.")
    for origin in origins:
        whole = isinstance(origin, dict) and sorted(origin) == [*_ORIGIN_KEYS]
        if not whole or not all(isinstance(v, str) and v.isprintable() and len(v) <= 1000 for v in origin.values()):
            raise UserError(
                f"{ABOUT} of {file} names an origin that is none: expected texts as {sorted(_ORIGIN_KEYS)}."
            )
    return dict(origins[0])


def _check_words(package: Package, file: Path) -> None:
    """Refuse words of the package that a terminal would obey, or that tables would take for markup."""
    for told in (package.metadata, package.schema, package.description):
        refuse_control(told.to_dict(), f"the package in {file}")
    if not _TYPE.fullmatch(type_ := package.metadata.model_type):
        raise UserError(
            f"the package in {file} has the model_type {ascii(type_)[:80]}, allowed are 1 to 100 letters, digits, '_', "
            "'-' and '.'."
        )


def _check_belongs(
    package: Package, origin: Mapping[str, str], record: Mapping[str, Any], folder: Path, file: Path
) -> None:
    """Refuse a run or a training set of another model: the signature is over the package alone."""
    pairs = [
        ("the version", package.version, origin["version"]),
        ("the run", package.metadata.mlflow_run_id, record["run_id"]),
        ("the run", package.metadata.mlflow_run_id, origin["run"]),
    ]
    training_set = folder / TRAINING_SET
    if training_set.exists():
        named = _training_set_id(read_object(training_set.read_bytes(), f"{TRAINING_SET} of {file}"), file)
        pairs.append(("the training set", package.extra.get("training_set", named), named))
    for what, of_package, beside in pairs:
        if of_package != beside:
            raise UserError(
                f"{file} is not of one model: {what} in the package is {ascii(of_package)[:80]}, beside it "
                f"{ascii(beside)[:80]}; export it again."
            )


def _check_expectations(schema: FeatureSchema, folder: Path, file: Path) -> None:
    """Refuse expectations of other columns than the model reads: the signature is over the package alone."""
    told = folder / EXPECTATIONS
    if not told.exists():  # older exports have none, as those of models that were made without a training had not
        return
    where = f"{EXPECTATIONS} of {file}"
    columns = check_expectations(told.read_bytes(), where)
    for column in schema.columns:
        if column.meaning != columns.get(column.name, {}).get("meaning"):
            raise UserError(f"{where} is of another model: it does not say what {shown(column.name)!r} is here.")


def _training_set_id(content: dict[str, Any], file: Path) -> str:
    """Return the id of a training set whose description has what lineage tells of one."""
    refuse_control(content, f"{TRAINING_SET} of {file}")
    match content:
        case {"id": str(named), "tables": dict(tables), "splits": dict(splits)}:
            whole = sorted(splits) == sorted(SPLITS) and all(map(_is_part, splits.values()))
            whole = whole and all(type(version) is int for version in tables.values())
            meaning, split = content.get("rows", {}), content.get("split", {})
            told = isinstance(split, dict) and isinstance(meaning, dict) and all(map(_is_names, meaning.values()))
            if whole and told:
                return named
    raise UserError(f"{TRAINING_SET} of {file} is not the description of a training set; export the model again.")


def _is_part(part: object) -> bool:
    match part:
        case {"rows": int(), "positive_share": float() | int(), "start": str(), "end": str()}:
            return True
        case _:
            return False


def _is_names(names: object) -> bool:
    return isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)


def _check_features(home: Home, system: System, schema: FeatureSchema, reader: str) -> None:
    kept = FeatureRegistry.of(home, system.name).kept_for(system, [schema])
    declared = set(system.schema().names)
    missing = [name for name in schema.names if name not in declared]
    try:
        kept.check(schema, reader)
    except NotFound:
        named = ", ".join(map(repr, missing))
        raise NotFound(
            f"{reader} reads {named}, which system {system.name!r} does not declare: declare what is missing, give "
            "--system another system, or train a model without it."
        ) from None
