"""All that can be checked of a package, as a list: what ``orita models verify`` shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orita.core.errors import UserError
from orita.models.package.files import REQUIREMENTS_FILE
from orita.models.package.load import load_package
from orita.models.package.loaded import SAMPLE_TOLERANCE, Package
from orita.models.package.manifest import Contents, read_contents
from orita.models.package.requirements import read_requirements
from orita.models.package.signing import Trust, check_signature_form

__all__ = ["Check", "verify_package"]

Outcome = Literal["right", "wrong", "note", "not reached"]
_NAMES = ("files", "signature", "form", "sample", "requirements")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``note`` is worth reading and keeps nobody from serving the package."""

    name: str
    outcome: Outcome
    finding: str


def verify_package(folder: Path, trust: Trust) -> list[Check]:
    """Check the package at *folder*: its files, signature, form, sample and requirements, in this order.

    The first check that is wrong is the last that is made: the later ones would read what the earlier one refused.
    """
    checks: list[Check] = []
    try:
        for check in _checks(folder, trust):
            checks.append(check)  # noqa: PERF402 - those before a refusal are kept
    except UserError as error:
        checks.append(Check(_NAMES[len(checks)], "wrong", str(error)))
    return checks + [Check(name, "not reached", "") for name in _NAMES[len(checks) :]]


def _checks(folder: Path, trust: Trust) -> Iterator[Check]:
    contents = read_contents(folder)
    total = sum(contents.sizes.values())
    yield Check("files", "right", f"{len(contents.files)} files, {total:,} bytes, as the manifest says")
    yield _signature(contents, trust)
    package = load_package(folder, trust=trust)
    yield Check("form", "right", _form(package))
    package.check_sample()
    yield Check("sample", "right", f"scores as when it was written, within {SAMPLE_TOLERANCE:g}")
    yield _requirements(contents)


def _signature(contents: Contents, trust: Trust) -> Check:
    signer = trust.signer(contents)
    check_signature_form(contents)
    if signer:
        return Check("signature", "right", f"signed by {signer.name} ({signer.id})")
    what = "not signed" if contents.signature is None else "signed by a key that is not trusted here"
    return Check("signature", "note", f"{what}; none is required")


def _form(package: Package) -> str:
    described = package.description
    steps = len(described.pre) + len(described.post)
    return (
        f"{package.metadata.model_type} {package.version}, {len(package.schema)} features, "
        f"{len(described.graphs)} graph(s), {steps} declared step(s)"
    )


def _requirements(contents: Contents) -> Check:
    if REQUIREMENTS_FILE not in contents.files:
        return Check("requirements", "note", f"it has no {REQUIREMENTS_FILE}")
    found = read_requirements(contents.files[REQUIREMENTS_FILE], contents.where(REQUIREMENTS_FILE))
    scoring = [(each, each.installed) for each in found if each.serving]
    differing = [f"{r.name} {here or 'none'} here, {r.pinned} then" for r, here in scoring if here != r.pinned]
    if differing:
        return Check("requirements", "note", "; ".join(differing))
    return Check("requirements", "right", "what scores has the versions it was written with")
