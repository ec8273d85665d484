"""All that can be checked of a package, as a list: what ``orita models verify`` shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from orita.core.errors import UserError
from orita.models.package.files import REQUIREMENTS_FILE
from orita.models.package.load import load_package
from orita.models.package.loaded import SAMPLE_TOLERANCE, Package
from orita.models.package.manifest import Contents, read_contents
from orita.models.package.requirements import read_requirements
from orita.models.package.signing import Trust, check_signature_form

__all__ = ["Check", "Opened", "Opener", "verify_package"]

Outcome = Literal["right", "wrong", "note", "not reached"]
_NAMES = ("files", "signature", "form", "sample", "requirements")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``note`` is worth reading and keeps nobody from serving the package."""

    name: str
    outcome: Outcome
    finding: str


class Opened(Protocol):
    """A package of another kind than a ranker's, whose files and form were checked."""

    @property
    def form(self) -> str:
        """What it is, in a few words."""
        ...

    def check_sample(self) -> None:
        """Raise `UserError` where it answers its own sample otherwise than when it was written."""
        ...


Opener = Callable[[Path, Trust], Opened]
_NO_OTHERS: Mapping[str, Opener] = MappingProxyType({})


def verify_package(folder: Path, trust: Trust, others: Mapping[str, Opener] = _NO_OTHERS) -> list[Check]:
    """Check the package at *folder*: its files, signature, form, sample and requirements, in this order.

    The first check that is wrong is the last that is made: the later ones would read what the earlier one refused.

    Args:
        folder: the package.
        trust: whose packages are loaded.
        others: how packages of other kinds than rankers are opened, by the file that declares them.
    """
    checks: list[Check] = []
    try:
        for check in _checks(folder, trust, others):
            checks.append(check)  # noqa: PERF402 - those before a refusal are kept
    except UserError as error:
        checks.append(Check(_NAMES[len(checks)], "wrong", str(error)))
    return checks + [Check(name, "not reached", "") for name in _NAMES[len(checks) :]]


def _checks(folder: Path, trust: Trust, others: Mapping[str, Opener]) -> Iterator[Check]:
    contents = read_contents(folder)
    total = sum(contents.sizes.values())
    yield Check("files", "right", f"{len(contents.files)} files, {total:,} bytes, as the manifest says")
    yield _signature(contents, trust)
    opened = _opened(folder, contents, trust, others)
    yield Check("form", "right", _form(opened) if isinstance(opened, Package) else opened.form)
    opened.check_sample()
    within = f", within {SAMPLE_TOLERANCE:g}" if isinstance(opened, Package) else ""  # other kinds have their own
    yield Check("sample", "right", f"answers as when it was written{within}")
    yield _requirements(contents)


def _opened(folder: Path, contents: Contents, trust: Trust, others: Mapping[str, Opener]) -> Package | Opened:
    for declaration, opener in others.items():
        if declaration in contents.files:
            return opener(folder, trust)
    return load_package(folder, trust=trust)


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
        f"{len(described.graphs)} graph(s), {max(len(described.heads), 1)} head(s), {steps} declared step(s)"
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
