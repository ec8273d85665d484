"""New values in a YAML file, with its comments, order and spelling left as they are.

The file is not written from what was read of it: the text of a value is replaced where it stands, or a line is added.
The result is read again, and is only given out if it says what was meant and lost no comment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from orita.core.errors import UserError

__all__ = ["edited_yaml", "yaml_lines"]


def edited_yaml(text: str, values: Mapping[str, Any]) -> str:
    """Return *text* with *values* at their dotted keys.

    Raises:
        UserError: it cannot be done without a loss, such as in a file with anchors; the sentence says at which key.
    """
    ending = "\r\n" if "\r\n" in text else "\n"
    edited, meant = text, _tree(text)
    for key, value in values.items():
        try:
            edited = _with_value(edited, key.split("."), _flow(value), ending)
            _assign(meant, key.split("."), value)
            safe = _tree(edited) == meant and _comments(edited) == _comments(text)
        except (_NoPlaceError, yaml.YAMLError):
            safe = False
        if not safe:
            raise UserError(f"{key} has no place where a value could be put without a loss.")
    return edited


def yaml_lines(values: Mapping[str, Any]) -> str:
    """Return *values* as YAML of their own, sections nested."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        _assign(tree, key.split("."), value)
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, allow_unicode=True)


class _NoPlaceError(Exception):
    """The text offers no place for a value."""


def _flow(value: Any) -> str:
    """Return a value in one line."""
    text = yaml.safe_dump(value, allow_unicode=True, width=1_000_000, default_flow_style=True)
    return text.removesuffix("...\n").rstrip("\n")


def _with_value(text: str, path: list[str], value: str, ending: str) -> str:
    root = yaml.compose(text, yaml.SafeLoader)
    if root is None:  # nothing but comments
        return _appended(text, _nested(path, value, "", ending), ending)
    node, indent = root, ""
    for depth, name in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            raise _NoPlaceError
        found = [(key, child) for key, child in node.value if key.value == name]
        if not found:
            return _added(text, node, path[depth:], value, indent, ending)
        key, child = found[0]
        indent = " " * key.start_mark.column
        if isinstance(child, yaml.ScalarNode) and child.value == "" and depth + 1 < len(path):  # a bare heading
            inner = ending + _nested(path[depth + 1 :], value, f"{indent}  ", ending).removesuffix(ending)
            return text[: key.end_mark.index + 1] + inner + text[key.end_mark.index + 1 :]
        node = child
    end = _end(node)
    if "#" in text[node.start_mark.index : end]:
        raise _NoPlaceError
    gap = " " if node.start_mark.index == end and text[end - 1 : end] == ":" else ""
    return text[: node.start_mark.index] + gap + value + text[end:]


def _end(node: yaml.Node) -> int:
    """Return where a value ends; a block ends with its last scalar, not with the comments below it."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _added(text: str, node: yaml.MappingNode, path: list[str], value: str, indent: str, ending: str) -> str:
    """Return *text* with a key that is not there yet, at the end of its section."""
    if node.flow_style:
        close = node.end_mark.index - 1
        inner = value
        for name in reversed(path[1:]):
            inner = f"{{{name}: {inner}}}"
        before = text[:close].rstrip()
        comma = "" if before.endswith("{") else ", "
        return f"{before}{comma}{path[0]}: {inner}{text[close:]}"
    indent = " " * node.value[0][0].start_mark.column
    lines = _nested(path, value, indent, ending)
    line_end = text.find("\n", _end(node))
    if line_end < 0:
        return _appended(text, lines, ending)
    return text[: line_end + 1] + lines + text[line_end + 1 :]


def _appended(text: str, lines: str, ending: str) -> str:
    return text + ("" if not text or text.endswith("\n") else ending) + lines


def _nested(path: list[str], value: str, indent: str, ending: str) -> str:
    *sections, leaf = path
    lines = [f"{indent}{'  ' * depth}{name}:" for depth, name in enumerate(sections)]
    return ending.join([*lines, f"{indent}{'  ' * len(sections)}{leaf}: {value}", ""])


def _tree(text: str) -> dict[str, Any]:
    found = _apart(yaml.safe_load(text))
    return found if isinstance(found, dict) else {}


def _apart(value: Any) -> Any:
    """Return a copy in which nothing is shared: an anchor and its alias are read as one object."""
    if isinstance(value, dict):
        return {key: _apart(inner) for key, inner in value.items()}
    return [_apart(inner) for inner in value] if isinstance(value, list) else value


def _assign(tree: dict[str, Any], path: list[str], value: Any) -> None:
    *branches, leaf = path
    for name in branches:
        child = tree.get(name)
        if not isinstance(child, dict):
            child = tree[name] = {}
        tree = child
    tree[leaf] = value


def _comments(text: str) -> list[str]:
    """Return the comments: what stands from a ``#`` to the end of a line, between the tokens of the text."""
    found, end = [], 0
    for token in yaml.scan(text, yaml.SafeLoader):
        between = text[end : token.start_mark.index]
        found += [line[line.index("#") :].strip() for line in between.splitlines() if "#" in line]
        end = max(end, token.end_mark.index)
    return found
