"""A model goes into one file and comes out elsewhere as it was; a file that was made otherwise brings nothing in."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.features.small_system import DECLARED, declared_system
from tests.registry.small_registry import empty_registry, registered, signed, trained_home

from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.models.package import load_package
from orita.models.package.keys import PublicKey, create_key, read_signing_key
from orita.models.package.manifest import write_manifest
from orita.models.package.strict_json import canonical_json
from orita.pipelines.workspace import Workspace
from orita.registry.archive import unpack_archive, write_archive
from orita.registry.catalogue import Catalogue, ModelVersion
from orita.registry.config import RegistryConfig
from orita.registry.expectations import Expectation, expectations_file, read_expectations, write_expectations
from orita.registry.transfer import Imported, export_model, import_model, origins_of, training_manifest

_ENTRY = {"bytes": 0, "sha256": "0" * 64}
OTHER_SYSTEM = DECLARED.replace("item_ctr=", "item_rate=").replace("    recent=", "    # recent=")


@dataclass(frozen=True)
class _Exported:
    """A signed model in its home, and the file it was exported to."""

    workspace: Workspace
    entry: ModelVersion
    file: Path
    key: PublicKey


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> _Exported:
    """Export a signed model once."""
    folder = tmp_path_factory.mktemp("transfer")
    workspace = trained_home(folder / "there")
    entry = registered(workspace, team="ads")
    columns = load_package(entry.package).schema.columns
    expected = {column.name: Expectation("FLOAT", column.kind, column.meaning, 0.5, 0.0, 1.5) for column in columns}
    described = expectations_file(workspace.home, "small", entry.version)
    described.parent.mkdir(parents=True)
    expected["hour"] = replace(expected["hour"], low=None, high=None, domain=("0", "1"))
    write_expectations(described, expected)
    key = create_key("release", folder / "keys", folder / "trusted")
    signed(entry, read_signing_key("release", folder / "keys"))
    export_model(workspace.catalogue(), entry, folder / "model.tar", home="the other home")
    return _Exported(workspace, entry, folder / "model.tar", key)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return another home, of another tenant, whose registry is empty."""
    home = Home(tmp_path / "here", "acme")
    empty_registry(home)
    return home


def taken(home: Home, file: Path, system: str = DECLARED, **config: Any) -> Imported:
    """Import *file* into *home*."""
    settings = RegistryConfig(**config)
    return import_model(Catalogue(home, config=settings), settings, declared_system(system), file)


def refused(home: Home, file: Path, **config: Any) -> str:
    """Return why *file* is refused; nothing of it is in *home* afterwards."""
    before = set(home.root.rglob("*"))
    with pytest.raises(UserError) as error:
        taken(home, file, **config)
    left = {path for path in set(home.root.rglob("*")) - before if path.is_file() and not path.name.endswith(".lock")}
    assert left == set()
    assert Catalogue(home).versions("small") == []
    return str(error.value)


def test_a_model_arrives_as_it_was(exported: _Exported, home: Home) -> None:
    """Scores, card, run and training set are those of the other home; version, run id and tags are those of this."""
    made = taken(home, exported.file, trusted_keys=_trusting(home, exported.key))
    entry, source = made.entry, exported.entry
    assert (made.new, made.signer, entry.version, entry.aliases) == (True, "release", "v1.1.0", ("challenger",))
    there, here = load_package(source.package), load_package(entry.package)
    assert (here.metadata.model_id, here.metadata.metrics) == (there.metadata.model_id, there.metadata.metrics)
    assert (entry.package / "model.onnx").read_bytes() == (source.package / "model.onnx").read_bytes()
    assert made.origin["home"] == entry.tags["orita.origin.home"] == "the other home"
    assert entry.tags["orita.origin.version"] == source.version
    assert (entry.tags["team"], entry.tags.get("orita.training_set")) == ("ads", None)
    assert entry.tags["orita.origin.training_set"] == source.tags["orita.training_set"]
    assert (training_manifest(home, entry) or {})["id"] == source.tags["orita.training_set"]
    kept = [expectations_file(each, "small", "v1.1.0") for each in (exported.workspace.home, home)]
    assert read_expectations(kept[0]) == read_expectations(kept[1])
    catalogues = [(exported.workspace.catalogue(), source), (Catalogue(home), entry)]
    runs = [catalogue.runs.get(each.run_id) for catalogue, each in catalogues]
    assert (runs[0].params, runs[0].metrics, runs[1].status) == (runs[1].params, runs[1].metrics, "FINISHED")
    histories = [catalogue.runs.history(each.run_id) for catalogue, each in catalogues]
    assert histories[0] == histories[1]
    assert [value for _, value in histories[1]["fit_val_auc"]] == [0.6, 0.7]


def test_the_same_file_again_changes_nothing(exported: _Exported, home: Home) -> None:
    """A second import, and one into the home that it came from, find the version that is there."""
    first = taken(home, exported.file)
    expectations_file(home, "small", first.entry.version).unlink()
    second = taken(home, exported.file)
    assert expectations_file(home, "small", first.entry.version).exists(), "what was lost is kept again"
    assert (second.new, second.entry) == (False, first.entry)
    assert len(Catalogue(home).versions("small")) == 1
    back = import_model(exported.workspace.catalogue(), RegistryConfig(), exported.workspace.system, exported.file)
    assert (back.new, back.entry.version) == (False, exported.entry.version)


def test_the_same_version_gives_the_same_bytes(exported: _Exported, tmp_path: Path) -> None:
    """An archive has nothing of the moment it was made in, any tar program reads it, and a file is not overwritten."""
    catalogue = exported.workspace.catalogue()
    export_model(catalogue, exported.entry, tmp_path / "again.tar", home="the other home")
    assert (tmp_path / "again.tar").read_bytes() == exported.file.read_bytes()
    with tarfile.open(exported.file) as read:
        assert "package/signature.json" in read.getnames()
    with pytest.raises(UserError, match=r"again\.tar exists"):
        export_model(catalogue, exported.entry, tmp_path / "again.tar")


def test_an_imported_model_is_exported_again_with_all_its_origins(exported: _Exported, home: Home) -> None:
    """The second file names both registries, and the training set of the first."""
    entry = taken(home, exported.file).entry
    export_model(Catalogue(home), entry, home.root / "second.tar", home="the middle")
    about = unpack_archive(home.root / "second.tar", None)
    assert [origin["home"] for origin in about["origins"]] == ["the middle", "the other home"]
    assert "training_set.json" in about["files"]
    third = Home(home.root / "third")
    empty_registry(third)
    made = taken(third, home.root / "second.tar")
    assert [origin["tenant"] for origin in origins_of(made.entry)] == ["acme", "default"]


def test_features_that_are_not_declared_are_named(exported: _Exported, home: Home) -> None:
    """A system without what the model reads refuses it, with every name."""
    with pytest.raises(
        NotFound, match=r"model v1\.1\.0 of model\.tar reads 'item_ctr', 'recent', which system 'small'"
    ):
        taken(home, exported.file, OTHER_SYSTEM)
    changed = DECLARED.replace('shown.ratio("click").by(item)', 'shown.ratio("click").by(user)')
    with pytest.raises(UserError, match="another declaration of feature 'item_ctr'"):
        taken(home, exported.file, changed)


def test_signatures_are_asked_for_before_anything_is_registered(exported: _Exported, home: Home) -> None:
    """Where signatures are required, an unknown key is refused, a known one taken, and a key to sign with is needed."""
    said = refused(home, exported.file, require_signature=True)
    assert "registry.sign_with" in said
    own = create_key("own", home.keys, home.trusted_keys)
    config: dict[str, Any] = {"require_signature": True, "sign_with": "own"}
    assert exported.key.id in refused(home, exported.file, **config)
    _trusting(home, exported.key)
    made = taken(home, exported.file, **config)
    assert made.signer == "release"
    assert json.loads((made.entry.package / "signature.json").read_text())["key_id"] == own.id


def _trusting(home: Home, key: PublicKey) -> Path:
    key.write(home.trusted_keys)
    return home.trusted_keys


class _Executes:
    """A pickle of this makes a folder where it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


Hostile = Callable[[list[tarfile.TarInfo], dict[str, bytes], Path], None]


def _added(name: str, **fields: Any) -> Hostile:
    def change(members: list[tarfile.TarInfo], files: dict[str, bytes], folder: Path) -> None:
        info = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(info, field, value)
        members.insert(1, info)

    return change


def _renamed(name: str) -> Hostile:
    def change(members: list[tarfile.TarInfo], files: dict[str, bytes], folder: Path) -> None:
        files[name] = files.pop("package/model.onnx")
        next(m for m in members if m.name == "package/model.onnx").name = name

    return change


def _twice(members: list[tarfile.TarInfo], files: dict[str, bytes], folder: Path) -> None:
    members.insert(2, members[1])


def _missing(members: list[tarfile.TarInfo], files: dict[str, bytes], folder: Path) -> None:
    members.pop()


def _huge(members: list[tarfile.TarInfo], files: dict[str, bytes], folder: Path) -> None:
    members[1].size = 2**33 - 1


HOSTILE: dict[str, Hostile] = {
    "traversal": _added("../../escaped", size=0),
    "absolute": _added("/tmp/escaped", size=0),
    "symbolic link": _added("package/manifest.json", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": _added("package/manifest.json", type=tarfile.LNKTYPE, linkname="../../escaped"),
    "device": _added("package/manifest.json", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "pipe": _added("package/manifest.json", type=tarfile.FIFOTYPE),
    "folder": _added("package", type=tarfile.DIRTYPE),
    "renamed to a path": _renamed("package/../../model.onnx"),
    "renamed to an absolute path": _renamed("/model.onnx"),
    "duplicate": _twice,
    "missing": _missing,
    "huge": _huge,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_member_brings_nothing_in(exported: _Exported, home: Home, tmp_path: Path, kind: str) -> None:
    """Paths, links, devices, pipes, folders, doubled, missing and huge members are refused, and leave nothing."""
    with tarfile.open(exported.file) as read:
        members = read.getmembers()
        files = {member.name: (read.extractfile(member) or io.BytesIO()).read() for member in members}
    HOSTILE[kind](members, files, tmp_path)
    file = tmp_path / "hostile.tar"
    with file.open("wb") as out:
        for member in members:
            content = files.get(member.name, b"") if member.isreg() else b""
            out.write(member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
        out.write(bytes(1024))
    assert "hostile.tar" in refused(home, file)
    assert list(tmp_path.rglob("escaped")) == [] and not Path("/tmp/escaped").exists()


def _relisted(file: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write the archive again with another first member, as a forger does who knows the form."""
    with tarfile.open(file) as read:
        files = {member.name: (read.extractfile(member) or io.BytesIO()).read() for member in read.getmembers()}
    about = json.loads(files.pop("orita-model.json"))
    change(about)
    del about["sha256"]
    about["sha256"] = hashlib.sha256(canonical_json(about)).hexdigest()
    with target.open("wb") as out:
        for name, content in {"orita-model.json": canonical_json(about), **files}.items():
            info = tarfile.TarInfo(name)
            listed = about["files"].get(name, {}).get("bytes", len(content))
            info.size = min(listed, 2**33 - 1)  # what a header can say
            out.write(info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
        out.write(bytes(1024))
    return target


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda about: about["files"].update({"../x.json": about["files"].pop("run.json")}), "plain names in package/"),
        (lambda about: about["files"].update({"package/x.pkl": about["files"].pop("run.json")}), "no package holds"),
        (lambda about: about["files"]["package/model.onnx"].update(bytes=2**40), "allowed are"),
        (lambda about: about["files"]["package/model.onnx"].update(bytes=2**30), "should have"),
        (lambda about: about["files"]["run.json"].update(sha256="0" * 64), "run.json is not what"),
        (lambda about: about["files"]["run.json"].update(sha256="short"), "is changed, or not spelled"),
        (lambda about: about.update(format=2), "has the format 2"),
        (lambda about: about.update(more=1), "does not say where"),
        (lambda about: about.update(origins=[]), "does not say where"),
        (lambda about: about["origins"][0].update(home="a\x1b[2J"), "an origin that is none"),
        (lambda about: about["origins"][0].update(version="v9.9.9"), "not of one model"),
        (lambda about: about["files"].update({f"package/{n}.json": dict(_ENTRY) for n in range(99)}), "lists 1"),
    ],
)  # fmt: skip
def test_a_forged_list_brings_nothing_in(
    exported: _Exported, home: Home, tmp_path: Path, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    """Who writes the list of files himself is held to names, sizes, digests, and to what the package says of itself."""
    assert sentence in refused(home, _relisted(exported.file, tmp_path / "forged.tar", change))


def test_every_cut_and_changed_byte_is_noticed(exported: _Exported, tmp_path: Path) -> None:
    """An archive that is cut anywhere, longer, or has one byte changed anywhere, is refused."""
    whole, file = exported.file.read_bytes(), tmp_path / "changed.tar"
    for end in range(0, len(whole), 1021):
        file.write_bytes(whole[:end])
        with pytest.raises(UserError):
            unpack_archive(file, None)
    for place in range(0, len(whole), 251):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(UserError):
            unpack_archive(file, None)
    for more in (whole + b"\0", whole + whole, b"", b"\0" * 1024):
        file.write_bytes(more)
        with pytest.raises(UserError):
            unpack_archive(file, None)
    for other in (tmp_path, tmp_path / "none", Path("/dev/null")):
        with pytest.raises(UserError, match="give the file that"):
            unpack_archive(other, None)


def test_what_is_forged_with_right_checksums_is_still_checked(exported: _Exported, home: Home, tmp_path: Path) -> None:
    """A pickle under a name that may be, another run, or another training set, with all digests right, is refused."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    origins = {"origins": unpack_archive(exported.file, folder)["origins"]}
    whole = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    run = json.loads(whole["run.json"])
    training_set = json.loads(whole["training_set.json"])
    columns = json.loads(whole["expectations.json"])["columns"]
    ctr = columns["item_ctr"]
    cases: dict[str, tuple[str, bytes]] = {
        "model.onnx is changed": ("package/model.onnx", pickle.dumps(_Executes(tmp_path / "executed"))),
        "the run in the package": ("run.json", canonical_json({**run, "run_id": "another"})),
        "the training set in the package": ("training_set.json", canonical_json({**training_set, "id": "another"})),
        "params has the name": ("run.json", canonical_json({**run, "params": {"../x": "1"}})),
        "is not a text": ("run.json", canonical_json({**run, "tags": {"team": 1}})),
        "is not a list of pairs": ("run.json", canonical_json({**run, "metrics": {"auc": [[-1, 0.5]]}})),
        "started_at": ("run.json", canonical_json({**run, "started_at": "yesterday"})),
        "the character '\\x1b'": ("run.json", canonical_json({**run, "params": {"type": "\x1b[2J"}})),
        "name has 300 characters": ("run.json", canonical_json({**run, "name": "x" * 300})),
        "pairs of a step": ("run.json", canonical_json({**run, "metrics": {"auc": [[0, 10**400]]}})),
        "description of a training set": ("training_set.json", canonical_json({"id": training_set["id"]})),
        "is not what is expected": ("expectations.json", canonical_json(columns)),
        "it does not say what 'item_ctr' is": _expecting({**columns, "item_ctr": ctr | {"meaning": "another"}}),
        "of the column 'item_ctr' what cannot be": _expecting({**columns, "item_ctr": ctr | {"low": 10**400}}),
        "of the column 'hour' what": _expecting({**columns, "hour": columns["hour"] | {"domain": ["\x1b[2J"]}}),
        "of the column '[/red]' what": _expecting({**columns, "[/red]": {}}),
        "is not the record of a run": ("run.json", canonical_json({"run_id": run["run_id"]})),
    }
    for number, (sentence, (name, content)) in enumerate(cases.items()):
        file = tmp_path / f"forged{number}.tar"
        write_archive(file, origins, {**whole, name: content})
        assert sentence in refused(home, file)
    assert not (tmp_path / "executed").exists()


def _expecting(columns: dict[str, Any]) -> tuple[str, bytes]:
    return "expectations.json", canonical_json({"columns": columns})


@pytest.mark.parametrize("type_", ["\x1b]0;mine\x07", "[/red]", ""])
def test_words_that_a_terminal_would_obey_do_not_arrive(
    exported: _Exported, home: Home, tmp_path: Path, type_: str
) -> None:
    """A package that names itself in control characters, or in markup that breaks every table, is refused."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    origins = {"origins": unpack_archive(exported.file, folder)["origins"]}
    (folder / "package" / "signature.json").unlink()
    card = folder / "package" / "model_metadata.json"
    card.write_bytes(canonical_json({**json.loads(card.read_bytes()), "model_type": type_}))
    write_manifest(folder / "package")
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    write_archive(tmp_path / "forged.tar", origins, {n: p for n, p in files.items() if n != "orita-model.json"})
    assert "the package in" in refused(home, tmp_path / "forged.tar")


def test_names_of_any_language_and_long_tags_travel(exported: _Exported, home: Home, tmp_path: Path) -> None:
    """What MLflow keeps of a run, an archive takes along: letters beyond ASCII, tags of 8,000 characters."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    origins = {"origins": unpack_archive(exported.file, folder)["origins"]}
    whole = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    run = json.loads(whole["run.json"])
    run["tags"] |= {"équipe": "x" * 8000}
    run["metrics"] |= {"précision": [[0, 0.5]]}
    file = tmp_path / "long.tar"
    write_archive(file, origins, {**whole, "run.json": canonical_json(run)})
    found = Catalogue(home).runs.get(taken(home, file).entry.run_id)
    assert (found.tags["équipe"], found.metrics["précision"]) == ("x" * 8000, 0.5)


_IMPORT = """
import sys
from pathlib import Path
from tests.registry.test_transfer import taken
from orita.core.home import Home
print("ready", flush=True)
taken(Home(Path(sys.argv[1]), "acme"), Path(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [0, 60, 150, 300, 500, 800, 1200, 2000])
def test_a_killed_import_leaves_no_version_or_the_whole(exported: _Exported, home: Home, milliseconds: int) -> None:
    """Killed at any moment, there is no version or a whole one; the same import again ends with exactly one."""
    process = subprocess.Popen(
        [sys.executable, "-c", _IMPORT, str(home.root), str(exported.file)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    try:
        process.wait(milliseconds / 1000)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()
    versions = Catalogue(home).versions("small")
    assert len(versions) <= 1
    for entry in versions:
        load_package(entry.package).check_sample()
    assert taken(home, exported.file).new == (not versions)
    assert len(Catalogue(home).versions("small")) == 1
    assert list(home.root.rglob(".partial-*")) == []


def test_a_killed_import_is_done_whole_the_second_time(
    exported: _Exported, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped once the run is there and the version is not, the next import makes one version of that run."""

    def killed(*_: object, **__: object) -> ModelVersion:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "register", killed)
        with pytest.raises(KeyboardInterrupt):
            taken(home, exported.file)
    assert Catalogue(home).versions("small") == []
    made = taken(home, exported.file)
    assert made.new
    tag = made.entry.tags["orita.origin.package"]
    assert Catalogue(home).runs.finished("small", "orita.origin.package", tag) == made.entry.run_id


def test_two_imports_at_once_make_one_version(exported: _Exported, home: Home) -> None:
    """The second waits for the first, and finds what that registered."""
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: taken(home, exported.file), range(2)))
    assert sorted(each.new for each in made) == [False, True]
    assert len(Catalogue(home).versions("small")) == 1


def test_a_changed_package_is_not_exported(exported: _Exported, tmp_path: Path) -> None:
    """A file that is not what the manifest says keeps the archive from being written at all."""
    copy = tmp_path / "package"
    shutil.copytree(exported.entry.package, copy)
    (copy / "model_card.md").write_text("# Another")
    with pytest.raises(UserError, match=r"model_card\.md"):
        export_model(exported.workspace.catalogue(), replace(exported.entry, package=copy), tmp_path / "model.tar")
    assert not (tmp_path / "model.tar").exists()
