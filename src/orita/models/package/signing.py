"""Who vouches for a package: an Ed25519 signature over the bytes of its manifest, and so over every file.

``signature.json`` names the key and holds the signature. The signature is over the plain bytes of ``manifest.json``, so
that other tools can check it (``openssl pkeyutl -verify -rawin``).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.models.package.files import SIGNATURE_FILE
from orita.models.package.keys import PublicKey, SigningKey, from_base64, read_public_keys
from orita.models.package.manifest import Contents, read_contents
from orita.models.package.strict_json import canonical_json, read_object

__all__ = ["Trust", "check_signature_form", "sign_package"]

_ALGORITHM = "ed25519"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose packages are loaded.

    Attributes:
        keys: the trusted keys by id.
        required: refuse what none of them signed. Otherwise a package may have no signature, or one of a key that is
            not known; one of a known key has to be right.
    """

    keys: Mapping[str, PublicKey] = field(default_factory=dict)
    required: bool = True

    @classmethod
    def of(cls, keys: Iterable[PublicKey], *, required: bool = True) -> Trust:
        """Return the trust in *keys*."""
        return cls({key.id: key for key in keys}, required)

    @classmethod
    def read(cls, folder: Path, *, required: bool = True) -> Trust:
        """Return the trust in the public keys of a folder.

        Raises:
            UserError: a signature is required and there is no key, so nothing could ever be loaded; or a file in the
                folder is no public key.
        """
        keys = read_public_keys(folder)
        if required and not keys:
            raise UserError(
                f"a signature is required, and {folder} has no trusted key: 'orita models keys create NAME' makes "
                "one, 'orita models keys trust FILE' takes somebody's up."
            )
        return cls.of(keys, required=required)

    def signer(self, contents: Contents) -> PublicKey | None:
        """Return who signed a package, None where nobody known did.

        Raises:
            UserError: the signature of a known key is wrong; or a signature is required, and there is none or one of
                an unknown key.
        """
        if contents.signature is None:
            if self.required:
                raise UserError(
                    f"{contents.folder} is not signed, and a signature is required: 'orita models sign' makes one."
                )
            return None
        key_id, signature = _read_signature(contents.signature, contents.where(SIGNATURE_FILE))
        key = self.keys.get(key_id)
        if key is None:
            if self.required:
                known = ", ".join(f"{k.id} ({k.name})" for k in self.keys.values()) or "none"
                raise UserError(f"{contents.folder} is signed by the unknown key {key_id}; trusted are: {known}.")
            return None
        if not _is_right(key, signature, contents.manifest):
            raise UserError(
                f"{contents.folder} has a wrong signature: {key.name} ({key.id}) did not sign this manifest; "
                "fetch the package again, and find out who changed it."
            )
        return key


def check_signature_form(contents: Contents) -> None:
    """Refuse a signature that is none, where nobody asks whose it is.

    Raises:
        UserError: ``signature.json`` is not a signature.
    """
    if contents.signature is not None:
        _read_signature(contents.signature, contents.where(SIGNATURE_FILE))


def sign_package(folder: Path, key: SigningKey) -> None:
    """Sign the package at *folder*, after all its checksums agreed; an earlier signature is replaced.

    Raises:
        UserError: a file of the package is not what its manifest says.
    """
    manifest = read_contents(folder).manifest
    content = {
        "algorithm": _ALGORITHM,
        "key_id": key.public.id,
        "signature": base64.b64encode(key.sign(manifest)).decode(),
    }
    with atomic_file(folder / SIGNATURE_FILE) as partial:
        partial.write_bytes(canonical_json(content))


def _read_signature(content: bytes, where: str) -> tuple[str, bytes]:
    found = read_object(content, where)
    match found:
        case {"algorithm": "ed25519", "key_id": str(key_id), "signature": str(text)} if content == canonical_json(
            found
        ):
            return key_id, from_base64(text, f"{where}: signature")
    raise UserError(f"{where} is not a signature: expected {{'algorithm': 'ed25519', 'key_id': …, 'signature': …}}.")


def _is_right(key: PublicKey, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except InvalidSignature:
        return False
    return True
