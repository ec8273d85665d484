"""Checksums of a folder, for all that is kept as one: packages, retrievers."""

from __future__ import annotations

from orita.models.package.manifest import verify_manifest, write_manifest

__all__ = ["verify_manifest", "write_manifest"]
