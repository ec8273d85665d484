"""Are the documents true? Links, anchors, commands, keys, files and alerts that they name must exist.

python docs/check.py      # one line a fault; exit code 1 if there is one
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

__all__ = ["Document", "Fault", "command_faults", "commands", "find_faults", "read_documents"]

_FENCE = re.compile(r"^\s*(```|~~~)\s*(\w*)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$")
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")
_HTML_ID = re.compile(r"<\w+[^>]*\s(?:id|name)=\"([^\"]+)\"")
_FILE = re.compile(r"(?:src|docs|systems|tests|benchmarks)/[\w./-]*\w")
_MODULE = re.compile(r"[a-z]+/[\w/]+\.py")
_KEY = re.compile(r"[a-z_]+(?:\.[a-z_]+)+")
_ENDINGS = (".py", ".onnx", ".parquet", ".json", ".jsonl", ".yaml", ".csv", ".db", ".lock")
_ALERT = re.compile(r"[A-Z]{2,}(?:_[A-Z]+)+")
_FAILURES = {"failure", "log_failure"}
_ANYWHERE = frozenset({"--help", "-h"})


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a document says and that is not so."""

    file: Path
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Document:
    """A Markdown file, parted into what is prose and what is code.

    Attributes:
        path: where it is.
        prose: by line number, text without its code spans.
        spans: line number and text of every code span.
        shell: line number and text of every line in a shell block.
        anchors: what a link may name after ``#``.
    """

    path: Path
    prose: Mapping[int, str]
    spans: tuple[tuple[int, str], ...]
    shell: tuple[tuple[int, str], ...]
    anchors: frozenset[str]


def read_documents(root: Path) -> list[Document]:
    """Return README, changelog and everything below ``docs`` in the repository at *root*."""
    files = [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))]
    return [_read(file) for file in files if file.exists()]


def _read(path: Path) -> Document:
    prose: dict[int, str] = {}
    spans: list[tuple[int, str]] = []
    shell: list[tuple[int, str]] = []
    anchors: list[str] = []
    block: str | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if fence:
            block = (fence[2] or "text") if block is None else None
        elif block is not None:
            shell += [(number, line)] if block in ("sh", "bash", "console") else []
        else:
            spans += [(number, span) for span in _SPAN.findall(line)]
            prose[number] = _SPAN.sub("", line)
            anchors += _HTML_ID.findall(line)
            if heading := _HEADING.match(line):
                anchors.append(_free(_slug(heading[1]), anchors))
    return Document(path, prose, tuple(spans), tuple(shell), frozenset(anchors))


def _slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def _free(slug: str, taken: list[str]) -> str:
    return next(name for n in range(len(taken) + 1) if (name := f"{slug}-{n}" if n else slug) not in taken)


@cache
def commands() -> dict[tuple[str, ...], frozenset[str]]:
    """Return the options of every command of the program by its words; the program itself is ``()``."""
    import typer

    import orita.cli
    from orita.cli.app import app

    for module in pkgutil.iter_modules(orita.cli.__path__):
        importlib.import_module(f"orita.cli.{module.name}")
    return dict(_walk(typer.main.get_command(app), ()))


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    options = [name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)]
    yield words, frozenset(name for name in options if name.startswith("-"))
    for name, inner in getattr(command, "commands", {}).items():
        yield from _walk(inner, (*words, name))


def command_faults(text: str, known: Mapping[tuple[str, ...], frozenset[str]]) -> list[str]:
    """Return what is wrong with the calls of ``orita`` in *text*, a line of shell or a code span."""
    faults = []
    for part in re.split(r"&&|\|\|?|;", re.sub(r"(^|\s)#.*", "", text)):
        try:
            words = shlex.split(part.strip().removeprefix("$ "))
        except ValueError:
            continue  # a quotation that goes on in the next line holds no call of ours
        while words and re.fullmatch(r"\w+=\S*", words[0]):
            words = words[1:]
        if words and Path(words[0]).name == "orita" and (fault := _call_fault(words[1:], known)):
            faults.append(fault)
    return faults


def _call_fault(words: list[str], known: Mapping[tuple[str, ...], frozenset[str]]) -> str | None:
    at: tuple[str, ...] = ()
    values = {"--project", "-p", "--home", "--system", "--set"}
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-") and word != "-":
            option = word.partition("=")[0]
            if option not in known[at] | _ANYWHERE:
                return f"'{' '.join(('orita', *at))}' has no option {option!r}."
            skip = not at and option in values and "=" not in word
        elif (*at, word) in known:
            at = (*at, word)
        elif any(other[: len(at)] == at and len(other) > len(at) for other in known):
            return f"'{' '.join(('orita', *at))}' has no command {word!r}."
    return None


def find_faults(root: Path) -> list[Fault]:
    """Return everything that the documents of the repository at *root* say and that is not so."""
    documents = read_documents(root)
    known, keys = commands(), _keys()
    targets = frozenset(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    faults = [fault for document in documents for fault in _link_faults(document, documents, root)]
    for document in documents:
        for number, text in (*document.spans, *document.shell):
            sentences = [*command_faults(text, known), *_name_faults(text, root, keys, targets)]
            faults += [Fault(document.path.relative_to(root), number, sentence) for sentence in sentences]
    by_name = {document.path.relative_to(root).as_posix(): document for document in documents}
    return [*faults, *_runbook_faults(root, by_name), *_dependency_faults(root, by_name)]


def _link_faults(document: Document, documents: list[Document], root: Path) -> Iterator[Fault]:
    anchors = {other.path.resolve(): other.anchors for other in documents}
    for number, line in document.prose.items():
        for target in (first or second for first, second in _LINK.findall(line)):
            if re.match(r"[a-z][a-z+.-]*:", target):
                continue
            name, _, anchor = unquote(target).partition("#")
            file = (document.path.parent / name).resolve() if name else document.path.resolve()
            here = document.path.relative_to(root)
            if not file.exists():
                yield Fault(here, number, f"the link {target!r} leads to no file.")
            elif anchor and anchor not in anchors.get(file, frozenset({anchor})):
                yield Fault(here, number, f"the link {target!r} leads to no heading.")


@cache
def _keys() -> frozenset[str]:
    """Return every configuration key, and every section, as it is written with dots."""
    from orita.core.config import load
    from orita.monitoring.config import MonitoringConfig
    from orita.pipelines.config import DataConfig, ModelConfig
    from orita.project import OritaConfig

    leaves = [s.key for kind in (OritaConfig, DataConfig, ModelConfig, MonitoringConfig) for s in load(kind).settings]
    return frozenset(key.rsplit(".", n)[0] for key in leaves for n in range(key.count(".") + 1))


def _name_faults(text: str, root: Path, keys: frozenset[str], targets: frozenset[str]) -> Iterator[str]:
    bare = text.split("=", maxsplit=1)[0].split(": ", maxsplit=1)[0].strip()
    if _FILE.fullmatch(text) and not (root / text).exists():
        yield f"the file {text!r} does not exist."
    elif _MODULE.fullmatch(text) and not (root / text).exists() and not (root / "src/orita" / text).exists():
        yield f"the module {text!r} does not exist."
    elif _KEY.fullmatch(bare) and bare.partition(".")[0] in keys and not bare.endswith(_ENDINGS) and bare not in keys:
        yield f"the key {bare!r} does not exist."
    elif (call := re.match(r"make ([a-z-]+)", text)) and call[1] not in targets:
        yield f"the Makefile has no target {call[1]!r}."


def _runbook_faults(root: Path, documents: Mapping[str, Document]) -> Iterator[Fault]:
    name = "docs/runbook.md"
    runbook = documents.get(name)
    anchors = runbook.anchors if runbook else frozenset()
    mentioned = {span for _, span in runbook.spans} if runbook else set()
    for file in sorted((root / "src" / "orita").rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        linked = re.findall(r"runbook\.md#([a-z0-9-]+)", source)
        if file.name == "alerts.py":
            linked += [alert.lower().replace("_", "-") for alert in _alert_names(source)]
        for anchor in sorted(set(linked) - anchors):
            yield Fault(Path(name), 1, f"{file.relative_to(root)} links to #{anchor}, and there is no such heading.")
        if file.name == "alert_rules.py":
            for alert in sorted(_alert_names(source) - mentioned):
                yield Fault(Path(name), 1, f"{file.relative_to(root)} has the alert {alert!r}, and no entry names it.")
        for event in sorted(_alerting_events(source) - mentioned):
            yield Fault(Path(name), 1, f"{file.relative_to(root)} logs the alert {event!r}, and no entry names it.")


def _alert_names(source: str) -> set[str]:
    texts = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return {text for text in texts if isinstance(text, str) and _ALERT.fullmatch(text)}


def _alerting_events(source: str) -> set[str]:
    """Return the names of log events with ``alert=True``, also of those that a function is handed to log so.

    What a `ToldOnce` (`orita.serving.background.told_once`) is handed, as ``_told``, is an alert unless it says that
    it is not; what the functions of `orita.serving.http.failure` are handed is one.
    """
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    alerting = [call for call in calls if any(_is_alert(keyword) for keyword in call.keywords)]
    tellers = {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and any(call in alerting for call in ast.walk(function))
        if any(isinstance(call.args[0], ast.Name) for call in ast.walk(function) if call in alerting)
    }
    quiet = [call for call in calls if any(keyword.arg == "alert" for keyword in call.keywords)]
    alerting += [
        call
        for call in calls
        if call not in quiet
        if getattr(call.func, "attr", getattr(call.func, "id", "")) in tellers | _FAILURES
        or ast.unparse(call.func).endswith("_told.tell")
    ]
    firsts = [call.args[0] for call in alerting]
    return {first.value for first in firsts if isinstance(first, ast.Constant) and isinstance(first.value, str)}


def _is_alert(keyword: ast.keyword) -> bool:
    return keyword.arg == "alert" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True


def _dependency_faults(root: Path, documents: Mapping[str, Document]) -> Iterator[Fault]:
    name = "docs/decisions/0009-dependencies.md"
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = [*project["dependencies"], *(d for some in project["optional-dependencies"].values() for d in some)]
    wanted = {re.split(r"[^\w-]", line)[0] for line in stated}
    document = documents.get(name)
    rows = document.path.read_text(encoding="utf-8").splitlines() if document else []
    listed = {match[1] for row in rows if (match := re.match(r"\| `([\w-]+)` \|", row))}
    for library in sorted(wanted ^ listed):
        where = "pyproject.toml" if library in listed else "the table"
        yield Fault(Path(name), 1, f"{library!r} is missing in {where}.")


def main() -> int:
    """Print every fault of this repository, one a line; return the exit code."""
    faults = find_faults(Path(__file__).resolve().parents[1])
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    sys.stdout.write(f"{len(faults)} faults in the documents.\n" if faults else "The documents hold.\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
