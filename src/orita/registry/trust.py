"""Whose packages a project loads, and who signs its own."""

from __future__ import annotations

from pathlib import Path

from orita.core.home import Home
from orita.models.package import Trust, sign_package
from orita.registry.config import RegistryConfig

__all__ = ["sign_if_wanted", "trust_of", "trusted_folder"]


def trusted_folder(config: RegistryConfig, home: Home) -> Path:
    """Return the folder of trusted public keys."""
    return config.trusted_keys or home.trusted_keys


def trust_of(config: RegistryConfig, home: Home) -> Trust:
    """Return whose packages are loaded.

    Raises:
        UserError: a signature is required and no key is trusted, or a file among them is no key.
    """
    return Trust.read(trusted_folder(config, home), required=config.require_signature)


def sign_if_wanted(config: RegistryConfig, home: Home, folder: Path) -> None:
    """Sign the package in *folder* with the key that the configuration names, if it names one.

    Raises:
        UserError: there is no such key.
    """
    if config.sign_with is not None:
        from orita.models.package.keys import read_signing_key

        sign_package(folder, read_signing_key(config.sign_with, home.keys))
