"""Keys are kept from others, and a signature says who vouches for a package."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.models.packaged import fitted, package_of

from orita.core.errors import NotFound, UserError
from orita.models.package import Trust, load_package, sign_package
from orita.models.package.keys import PublicKey, SigningKey, create_key, read_public_keys, read_signing_key


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package that nobody signed."""
    return package_of(tmp_path_factory.mktemp("package") / "v1.2.3", *fitted()).folder


@pytest.fixture
def package(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of the package, to be signed."""
    folder = tmp_path / "v1.2.3"
    folder.mkdir()
    for file in whole.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    """Return a key that is trusted in the folder ``trusted``."""
    create_key("release", tmp_path / "keys", tmp_path / "trusted")
    return read_signing_key("release", tmp_path / "keys")


def test_a_signed_package_tells_its_signer(package: Path, key: SigningKey, tmp_path: Path) -> None:
    """A package signed by a trusted key loads, and says by whom; without trust nobody is asked."""
    sign_package(package, key)
    loaded = load_package(package, trust=Trust.read(tmp_path / "trusted"))
    assert loaded.signer == key.public
    assert load_package(package).signer is None


def test_unsigned_unknown_and_wrong_are_refused_by_name(package: Path, key: SigningKey, tmp_path: Path) -> None:
    """Where a signature is required, none, one of another key, and one over another manifest are three sentences."""
    trust = Trust.read(tmp_path / "trusted")
    with pytest.raises(UserError, match=r"v1\.2\.3 is not signed"):
        load_package(package, trust=trust)
    create_key("stranger", tmp_path / "theirs", tmp_path / "theirs")
    sign_package(package, stranger := read_signing_key("stranger", tmp_path / "theirs"))
    with pytest.raises(UserError, match=rf"signed by the unknown key {stranger.public.id}; trusted are: .*release"):
        load_package(package, trust=trust)
    signature = json.loads((package / "signature.json").read_text())
    signature["key_id"] = key.public.id
    (package / "signature.json").write_text(json.dumps(signature, indent=2, sort_keys=True) + "\n")
    with pytest.raises(UserError, match=rf"wrong signature: release \({key.public.id}\) did not sign"):
        load_package(package, trust=trust)
    with pytest.raises(UserError, match="wrong signature"):
        load_package(package, trust=Trust.of([key.public], required=False))


def test_where_no_signature_is_required_strangers_are_not_judged(
    package: Path, key: SigningKey, tmp_path: Path
) -> None:
    """Without the requirement, no signature and a stranger's both load, with no signer."""
    trust = Trust.of([key.public], required=False)
    assert load_package(package, trust=trust).signer is None
    create_key("stranger", tmp_path / "theirs", tmp_path / "theirs")
    sign_package(package, read_signing_key("stranger", tmp_path / "theirs"))
    assert load_package(package, trust=trust).signer is None


def test_a_package_that_is_changed_is_not_signed(package: Path, key: SigningKey) -> None:
    """A signature is over what the manifest says, so it is made only of a package that is what it says."""
    (package / "schema.json").write_text("{}")
    with pytest.raises(UserError, match=r"schema\.json is changed"):
        sign_package(package, key)
    assert not (package / "signature.json").exists()


def test_a_private_key_is_its_owner_s_alone(key: SigningKey, tmp_path: Path) -> None:
    """The file and its folder are closed to others, and a key that was opened to them is not used."""
    file = tmp_path / "keys" / "release.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o640)
    with pytest.raises(UserError, match="read by others than its owner"):
        read_signing_key("release", file.parent)


def test_a_key_is_not_replaced_and_an_absent_one_is_named(key: SigningKey, tmp_path: Path) -> None:
    """A name that is taken, one that is none, one that is not there: each is one sentence."""
    with pytest.raises(UserError, match="exists: take another name"):
        create_key("release", tmp_path / "keys", tmp_path / "trusted")
    with pytest.raises(UserError, match="is not a name"):
        create_key("../release", tmp_path / "keys", tmp_path / "trusted")
    with pytest.raises(NotFound, match="Did you mean 'release'"):
        read_signing_key("releas", tmp_path / "keys")
    (tmp_path / "keys" / "broken.pem").write_text("-----BEGIN PRIVATE KEY-----")
    (tmp_path / "keys" / "broken.pem").chmod(0o600)
    with pytest.raises(UserError, match="not a private key without a password"):
        read_signing_key("broken", tmp_path / "keys")


def test_a_key_that_could_not_be_made_whole_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever half fails to be written, neither is there afterwards, and the name is free."""
    folder, trusted = tmp_path / "keys", tmp_path / "trusted"
    for place in ("orita.models.package.keys.Path.hardlink_to", "orita.models.package.keys.atomic_file"):
        with monkeypatch.context() as patched:
            patched.setattr(place, _no_room)
            with pytest.raises(OSError, match="no room"):
                create_key("release", folder, trusted)
        assert [*folder.iterdir(), *read_public_keys(trusted)] == []
    assert create_key("release", folder, trusted) == read_public_keys(trusted)[0]


def _no_room(*_: object, **__: object) -> None:
    raise OSError("no room")


def test_public_keys_are_read_as_they_were_written(key: SigningKey, tmp_path: Path) -> None:
    """A folder of trusted keys gives back its keys; its names are those of their digests."""
    assert read_public_keys(tmp_path / "trusted") == [key.public]
    assert [file.name for file in (tmp_path / "trusted").iterdir()] == [f"{key.public.id}.json"]
    assert read_public_keys(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        json.dumps({"algorithm": "rsa", "key": base64.b64encode(b"k" * 32).decode(), "name": "a"}),
        json.dumps({"algorithm": "ed25519", "key": base64.b64encode(b"short").decode(), "name": "a"}),
        json.dumps({"algorithm": "ed25519", "key": "k" * 42 + "l=", "name": "a"}),
        json.dumps({"algorithm": "ed25519", "key": base64.b64encode(b"k" * 32).decode(), "name": "a\x1b[2J"}),
    ],
)
def test_what_is_no_public_key_is_refused(content: str, tmp_path: Path) -> None:
    """A file in the folder of trusted keys that is no key is an error, not a key less."""
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError):
        Trust.read(tmp_path)


def test_a_public_key_may_have_any_name(key: SigningKey, tmp_path: Path) -> None:
    """A key that came by mail under another name is the same key; one that did not come is told."""
    (file := tmp_path / "Release Key.txt").write_bytes((tmp_path / "trusted" / f"{key.public.id}.json").read_bytes())
    assert PublicKey.read(file) == key.public
    with pytest.raises(UserError, match=r"none\.json is missing"):
        PublicKey.read(tmp_path / "none.json")


def test_a_requirement_that_nothing_can_meet_is_refused(tmp_path: Path) -> None:
    """Requiring a signature without trusting anybody would refuse every package: that is said at the start."""
    with pytest.raises(UserError, match="'orita models keys create NAME' makes one"):
        Trust.read(tmp_path / "empty")
    assert Trust.read(tmp_path / "empty", required=False).keys == {}


def test_loading_without_trust_does_not_load_cryptography(package: Path, key: SigningKey) -> None:
    """A server that asks for no signature does not pay for a library that checks them."""
    sign_package(package, key)
    program = (
        "import sys, pathlib\n"
        "from orita.models.package import load_package\n"
        f"load_package(pathlib.Path({str(package)!r}))\n"
        "print('cryptography' in sys.modules)\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
