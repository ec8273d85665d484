"""What a Python function does, as a short digest: it changes with the code that the function runs.

Read are its own source, what it takes from outside by name, and in turn the source of the functions among that.
Functions and classes of other installed packages count by name. Layout, comments, annotations, docstrings and the name
of a function do not count.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

from orita.core.errors import UserError

__all__ = ["Wrapper", "fingerprint"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))


class Wrapper:
    """Stands for a function that is told in its place."""

    __slots__ = ()

    function: Any


def fingerprint(function: FunctionType) -> str:
    """Return 12 hexadecimal digits that change when anything does that *function* runs or reads by name.

    Raises:
        UserError: it reads something from outside that is neither data nor code, so that a change would go unseen.
    """
    told = _Told(function).of(function)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


class _Told:
    """Tells values as plain ones, each function once."""

    def __init__(self, function: FunctionType) -> None:
        self._name = function.__name__
        self._own = _package(function.__module__)
        self._seen: dict[CodeType, int] = {}

    def of(self, value: Any, where: str = "") -> object:
        """Return what *value* is, found under the name *where*."""
        if isinstance(value, _PLAIN) or type(value).__module__ == "datetime":
            return repr(value)
        match value:
            case Wrapper():
                return self.of(value.function, where)
            case ModuleType():
                return "module", value.__name__
            case Mapping():
                return "mapping", sorted((repr(self.of(k, where)), self.of(v, where)) for k, v in value.items())
            case set() | frozenset():
                return "set", sorted(repr(self.of(each, where)) for each in value)
            case list() | tuple():
                return type(value).__name__, [self.of(each, where) for each in value]
            case _ if hasattr(value, "tobytes") and hasattr(value, "dtype") and not value.dtype.hasobject:
                return "array", str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()
            case _ if callable(value):
                return self._callable(value, where)
        raise self._refusal(value, where)

    def _callable(self, value: Any, where: str) -> object:
        module = getattr(value, "__module__", None) or type(value).__module__
        if self._is_library(module):
            return "library", module, getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
        if isinstance(value, FunctionType):
            return self._function(value)
        if hasattr(value, "__wrapped__"):  # compiled, cached
            return self.of(value.__wrapped__, where)
        raise self._refusal(value, where)

    def _refusal(self, value: object, where: str) -> UserError:
        return UserError(
            f"function {self._name!r} reads {where!r}, a {type(value).__name__}, from outside: what it reads may be "
            "numbers, texts, arrays, lists and dicts of them, functions and modules, as a change of others is not seen."
        )

    def _function(self, function: FunctionType) -> object:
        code = function.__code__
        if code in self._seen:
            return "again", self._seen[code]
        self._seen[code] = len(self._seen)
        defaults = [self.of(each, "a default") for each in (function.__defaults__ or ())]
        named = self.of(function.__kwdefaults__ or {}, "a default")
        outside = [(name, self.of(value, name)) for name, value in sorted(self._outside(function).items())]
        return (
            "function",
            _source(code) or [self._instructions(each) for each in _codes(code)],
            defaults,
            named,
            outside,
        )

    def _outside(self, function: FunctionType) -> dict[str, object]:
        """Return what *function* reads by name: globals, what encloses it, and functions of modules of its own."""
        found: dict[str, object] = {}
        for name in _global_names(function.__code__):
            if name in function.__globals__:
                found[name] = function.__globals__[name]
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            found[name] = cell.cell_contents
        for name, module in list(found.items()):
            if isinstance(module, ModuleType) and not self._is_library(module.__name__):
                for attribute in sorted({each for code in _codes(function.__code__) for each in code.co_names}):
                    if isinstance(vars(module).get(attribute), (FunctionType, Wrapper)):
                        found[f"{name}.{attribute}"] = vars(module)[attribute]
        return found

    def _instructions(self, code: CodeType) -> object:
        constants = [self.of(each) for each in code.co_consts if not isinstance(each, CodeType)]
        return code.co_code.hex(), constants, code.co_names, code.co_varnames

    def _is_library(self, module: str) -> bool:
        """Return whether *module* is of an installed package, other than the one whose function is told."""
        import sysconfig
        from pathlib import Path

        package = _package(module)
        if package in sys.stdlib_module_names and package != "__main__":
            return True
        file = getattr(sys.modules.get(package), "__file__", None)
        if package == self._own or file is None:
            return False
        paths = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")]
        return any(Path(file).resolve().is_relative_to(path) for path in paths)


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _global_names(code: CodeType) -> set[str]:
    steps = (step for each in _codes(code) for step in dis.get_instructions(each))
    return {str(step.argval) for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def _source(code: CodeType) -> str | None:
    """Return the source without what does not run; None where there is none, or where it is part of a line."""
    import textwrap

    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError):
        return None
    defined = tree.body[0]
    if not isinstance(defined, ast.FunctionDef):
        return None
    defined.name, defined.decorator_list = "_", []
    return ast.unparse(_Bare().visit(tree))


class _Bare(ast.NodeTransformer):
    """Takes away annotations and docstrings, which change nothing."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        if node.value is None:
            return ast.Pass()
        return ast.copy_location(ast.Assign([node.target], node.value), node)
