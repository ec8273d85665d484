"""Configuration: typed, frozen, from YAML; each value knows where it came from.

A section is a `Section` subclass beside the code that owns it. A file is read into a section by `load`, which puts
file, environment (``ORITA_<SECTION>__<KEY>``, ``ORITA_<KEY>`` for a key outside sections) and overrides
(``section.key=value``) over the defaults, in this order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from pydantic_core import ErrorDetails

from orita.core.errors import UserError, closest

__all__ = ["ENVIRONMENT_PREFIX", "Loaded", "Section", "Setting", "load", "read_yaml"]

ENVIRONMENT_PREFIX = "ORITA_"
_NESTED = "__"


class Section(BaseModel):
    """A part of the configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())
    _known: Mapping[str, Any] | None = PrivateAttr(default=None)

    @property
    def known(self) -> Mapping[str, Any] | None:
        """What its values were judged by beside their types (pydantic's context); who judges others gives it again."""
        return self._known

    def model_post_init(self, context: Any, /) -> None:
        """Keep what the values were judged by."""
        self._known = context


S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective value: its dotted key, and the file, variable or option it came from."""

    key: str
    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A section with the origin of each of its values."""

    value: S
    settings: tuple[Setting, ...]


def load(
    section: type[S],
    file: Path | None = None,
    *,
    overrides: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    known: Mapping[str, Any] | None = None,
) -> Loaded[S]:
    """Read *section* from *file*, the environment and *overrides*; the later wins.

    Args:
        section: the typed root of the file.
        file: a YAML file; None or an absent file means defaults only.
        overrides: ``dotted.key=value`` items, values in YAML; only those whose first key is this section's are used.
        environment: variables to read, by default those of the process.
        known: what validators of the section need beside a value, such as the types that a system declares.

    Raises:
        UserError: a key is unknown or a value is not allowed; the sentence names key, origin and what is allowed.
    """
    tree: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None and file.exists():
        _merge(tree, read_yaml(file), str(file), origins)
    for key, value, origin in _assignments(section, overrides, os.environ if environment is None else environment):
        _assign(tree, key, value, lambda above: _origin(above, origins) or str(file))
        for told in [name for name in origins if name == key or name.startswith(f"{key}.")]:
            del origins[told]
        _merge({}, _nested(key, value), origin, origins)
    _drop_empty_sections(section, tree)
    try:
        value = section.model_validate(tree, context=known)
    except ValidationError as error:
        raise UserError(_explain(error, section, origins, file)) from None
    return Loaded(value, tuple(_settings(value, origins)))


def read_yaml(file: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds, empty where it holds nothing.

    Raises:
        UserError: it cannot be read, has a key twice, or holds something else.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not valid YAML: {error}; save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; it must be a file that you may read.") from None
    content = _parse(text, str(file))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{file} holds a {type(content).__name__}, expected keys and values such as 'key: value'.")
    return content


class _Loader(yaml.SafeLoader):
    """Reads YAML, and refuses a mapping that has a key twice: the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return the mapping that *node* describes; each key occurs once."""
        seen: set[tuple[str, object]] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            known = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else (key.tag, id(key))
            if known in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark
                )
            seen.add(known)
        return super().construct_mapping(node, deep)


def _parse(text: str, origin: str) -> Any:
    """Return the value of the YAML *text*, which *origin* gave."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{origin} is not valid YAML: {what}{where}.") from None
    except RecursionError:
        raise UserError(f"{origin} is not valid YAML: its brackets are too deep.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that does not exist
        raise UserError(f"{origin} is not valid YAML: {' '.join(str(error).split())}.") from None


def _drop_empty_sections(section: type[Section], tree: dict[str, Any]) -> None:
    """Remove sections without a value from *tree*: a heading with nothing below it means the defaults."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if name not in tree or not (isinstance(kind, type) and issubclass(kind, Section)):
            continue
        if tree[name] is None:
            del tree[name]
        elif isinstance(tree[name], dict):
            _drop_empty_sections(kind, tree[name])


def _assignments(
    section: type[Section], overrides: Iterable[str], environment: Mapping[str, str]
) -> list[tuple[str, Any, str]]:
    found: list[tuple[str, Any, str]] = []
    for name, text in sorted(environment.items()):
        key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace(_NESTED, ".")
        if name.startswith(ENVIRONMENT_PREFIX) and key.partition(".")[0] in section.model_fields:
            origin = f"environment {name}"
            found.append((key, _parse(text, origin), origin))
    for item in overrides:
        key, separator, text = item.partition("=")
        if not separator:
            raise UserError(f"override {item!r} has no value: write key=value, such as training.epochs=5.")
        key = key.strip()
        if key.partition(".")[0] in section.model_fields:
            origin = f"option --set {key}"
            found.append((key, _parse(text, origin), origin))
    return found


def _nested(key: str, value: object) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def _merge(into: dict[str, Any], new: Mapping[str, Any], origin: str, origins: dict[str, str], at: str = "") -> None:
    for key, value in new.items():
        path = f"{at}{key}"
        if isinstance(value, Mapping) and value:
            branch = into.setdefault(key, {})
            _merge(branch, value, origin, origins, f"{path}.")
        else:
            into[key] = value
            origins[path] = origin


def _assign(tree: dict[str, Any], key: str, value: object, origin_of: Callable[[str], str]) -> None:
    """Set a key of *tree*; what an earlier origin set above it must have keys, or be null."""
    *branches, leaf = key.split(".")
    for depth, branch in enumerate(branches, 1):
        child = tree.get(branch)
        if child is None:
            child = tree[branch] = {}
        if not isinstance(child, dict):
            above = ".".join(branches[:depth])
            raise UserError(
                f"{above!r} in {origin_of(above)} has the value {child!r}, expected keys and values: {key!r} is one."
            )
        tree = child
    tree[leaf] = value


def _settings(value: Section, origins: Mapping[str, str], at: str = "") -> Iterable[Setting]:
    for name in type(value).model_fields:
        path, child = f"{at}{name}", getattr(value, name)
        if isinstance(child, Section):
            yield from _settings(child, origins, f"{path}.")
            continue
        shown = _shown(child)
        origin = origins.get(path) or next((o for key, o in origins.items() if key.startswith(f"{path}.")), "default")
        yield Setting(path, shown, origin)


def _shown(value: Any) -> Any:
    if isinstance(value, Section):
        return value.model_dump()
    if isinstance(value, tuple):
        return [_shown(each) for each in value]
    return {key: _shown(each) for key, each in value.items()} if isinstance(value, dict) else value


def _explain(error: ValidationError, section: type[Section], origins: Mapping[str, str], file: Path | None) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    origin = _origin(key, origins) or (str(file) if file else "the configuration")
    if first["type"] == "extra_forbidden":
        return f"{key!r} in {origin} is not a known key. {closest(key.rpartition('.')[2], _siblings(section, first))}"
    sentence = _EXPECTED.get(first["type"]) or str(first["msg"]).removeprefix("Value error, ")
    sentence = sentence[:1].lower() + sentence[1:]
    end = "" if sentence.endswith((".", "?")) else "."
    # A validator of ours that was given many keys names the one that it means.
    many = first["type"] == "value_error" and isinstance(first["input"], Mapping)
    value = "" if many else f" has the value {first['input']!r}"
    return f"{key!r} in {origin}{value}: {sentence}{end}"


_EXPECTED = {
    "model_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
    "dict_type": "expected keys and values",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
}


def _origin(key: str, origins: Mapping[str, str]) -> str | None:
    if key in origins:
        return origins[key]
    return next(
        (o for known, o in origins.items() if known.startswith(f"{key}.") or key.startswith(f"{known}.")),
        None,
    )


def _siblings(section: type[Section], error: ErrorDetails) -> list[str]:
    here: type[Section] = section
    for part in error["loc"][:-1]:
        field = here.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, Section)):
            break
        here = annotation
    return list(here.model_fields)
