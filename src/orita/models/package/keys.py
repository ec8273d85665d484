"""Keys that sign packages (Ed25519, RFC 8032): a private one to sign with, public ones to trust.

A private key is a PEM file that only its owner may read. A public key is a JSON file in a folder of trusted keys; to
trust somebody's packages is to put their public key there. A key is named by the digest of its public half.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orita.core.errors import NotFound, UserError, closest
from orita.core.files import atomic_file, sync_directory
from orita.core.names import check_name
from orita.models.package.manifest import read_file
from orita.models.package.strict_json import canonical_json, read_object

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["PublicKey", "SigningKey", "create_key", "from_base64", "read_public_keys", "read_signing_key"]

_ALGORITHM, _RAW_BYTES = "ed25519", 32


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that can check signatures: the name its owner gave it, and its 32 bytes."""

    name: str
    raw: bytes

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the key."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def write(self, folder: Path) -> Path:
        """Write the key into a folder of trusted keys and return its file."""
        content = {"algorithm": _ALGORITHM, "key": base64.b64encode(self.raw).decode(), "name": self.name}
        with atomic_file(file := folder / f"{self.id}.json") as partial:
            partial.write_bytes(canonical_json(content))
        return file

    @classmethod
    def read(cls, file: Path) -> PublicKey:
        """Read what `write` wrote.

        Raises:
            UserError: it is not a public key.
        """
        content = read_object(read_file(file.parent, file.name), str(file))
        match content:
            case {"algorithm": "ed25519", "key": str(text), "name": str(name)} if len(content) == 3:
                raw = from_base64(text, f"{file}: key")
                if len(raw) == _RAW_BYTES:
                    check_name("key", name)
                    return cls(name, raw)
        raise UserError(f"{file} is not a public key: expected {{'algorithm': 'ed25519', 'key': …, 'name': …}}.")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its public half."""

    public: PublicKey
    _private: Ed25519PrivateKey

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature of *message*."""
        return self._private.sign(message)


def create_key(name: str, folder: Path, trusted: Path) -> PublicKey:
    """Make a key: the private half in ``folder/name.pem``, readable by its owner only, the public half in *trusted*.

    Raises:
        UserError: there is a key of that name, or *name* is none.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    check_name("key", name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file, public = folder / f"{name}.pem", PublicKey(name, private.public_key().public_bytes_raw())
    _refuse_another(file)
    # The public half first: where this ends here, nothing was signed, and the same call makes a key. The other way
    # round there would be a key that signs what nobody here trusts, and its name would be taken.
    kept = public.write(trusted)
    try:
        _write_private(file, pem)
    except BaseException:
        kept.unlink()
        raise
    return public


def _refuse_another(file: Path) -> None:
    if file.exists():
        raise UserError(f"{file} exists: take another name, or move that key away first.")


def _write_private(file: Path, pem: bytes) -> None:
    """Write a private key as a new file, whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".partial-")  # at no moment may others read it
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as content:
            content.write(pem)
            content.flush()
            os.fsync(descriptor)
        _refuse_another(file)
        file.hardlink_to(partial)  # never takes the place of a key that came in between
    finally:
        partial.unlink()
    sync_directory(file.parent)


def read_signing_key(name: str, folder: Path) -> SigningKey:
    """Return the private key *name* of *folder*.

    Raises:
        NotFound: there is none; the sentence says which there are.
        UserError: others than its owner may read it, or it is not an Ed25519 key without a password.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    check_name("key", name)
    file = folder / f"{name}.pem"
    if not file.is_file():
        raise NotFound(f"there is no key {name!r} in {folder}. {closest(name, [f.stem for f in folder.glob('*.pem')])}")
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise UserError(f"{file} may be read by others than its owner: run 'chmod 600 {file}', and ask who read it.")
    try:
        private: Any = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UserError(f"{file} is not a private key without a password in PEM: {error}.") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise UserError(f"{file} holds another kind of key: packages are signed with Ed25519, make a new key.")
    return SigningKey(PublicKey(name, private.public_key().public_bytes_raw()), private)


def read_public_keys(folder: Path) -> list[PublicKey]:
    """Return the keys in a folder of trusted keys, none where there is no such folder.

    Raises:
        UserError: a file is not a public key.
    """
    return [PublicKey.read(file) for file in sorted(folder.glob("*.json"))]


def from_base64(text: str, what: str) -> bytes:
    """Return the bytes that *text* spells.

    Raises:
        UserError: it spells none, or spells them in another way than it should.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UserError(f"{what} is not base64: {error}.") from None
    if base64.b64encode(raw).decode() != text:
        raise UserError(f"{what} is not base64 as it is written; copy it again.")
    return raw
