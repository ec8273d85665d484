"""Python functions as features: what they are made of is known, and a changed function is another feature."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest

from orita import INTERACTION, Column, Entity, Source, system, track_lineage
from orita.core.errors import UserError
from orita.features.declaring.functions import Tracked
from orita.features.declaring.meaning import meaning
from orita.features.registry.written import written_expression

Floats = npt.NDArray[np.float64]

WAIT = timedelta(seconds=3)
SHOWN = Source("interactions", INTERACTION)
USER = Entity("user", "user_id", "users", [Column("age", "float"), Column("tags", "list", choices=("x", "y"))])
ITEM = Entity("item", "item_id")
COUNT = SHOWN.count().by(USER)
SPENT = SHOWN.sum("dwell_time").by(USER)


@track_lineage
def share(part: Floats, whole: Floats, least: float = 1.0) -> Floats:
    """Return part ÷ whole."""
    return part / np.maximum(whole, least)


@track_lineage(kind="flag")
def often(part: Floats, whole: Floats) -> Floats:
    """Return whether the share is above a half."""
    return (share(part, whole) > 0.5).astype(float)


def written(code: str, name: str = "made") -> ModuleType:
    """Return a module whose source stands in a file of its own, as a system's does."""
    import linecache

    text = "import numpy as np\nfrom orita import track_lineage\n\n" + textwrap.dedent(code)
    file = f"<{name}-{hash(text)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    module = ModuleType(name)
    exec(compile(text, file, "exec"), module.__dict__)
    return module


def version(code: str) -> str:
    """Return the version of the feature that function ``f`` of *code* makes."""
    return meaning(written(code).f(COUNT))


PLAIN = """
    LEAST = 1.0
    def helper(x):
        return x + LEAST
    @track_lineage
    def inner(x):
        return helper(x) * 2
    @track_lineage
    def f(x):
        return inner(x) + np.sum({"a": 1, "b": 2}["a"])
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("* 2", "* 3"),
        ("return x + LEAST", "return x - LEAST"),
        ("LEAST = 1.0", "LEAST = 1.5"),
        ('"a": 1', '"a": 2'),
        ("np.sum", "np.max"),
        ("def f(x):", "def f(x, y=3):"),
    ],
)
def test_a_changed_function_is_another_feature(before: str, after: str) -> None:
    """The version changes with the function, with what it reads by name, and with the functions that it calls."""
    assert before in PLAIN
    assert version(PLAIN.replace(before, after)) != version(PLAIN)


def test_what_does_not_run_changes_nothing() -> None:
    """Comments, layout, annotations, docstrings and things that the function does not read leave the version alone."""
    same = """
        LEAST = 1.0
        OTHER = 7

        def helper(x: float) -> float:
            '''Explain.'''
            return (x
                    + LEAST)  # why

        @track_lineage()
        def inner(x):
            return helper(x) * 2

        @track_lineage(kind="number")
        def f(x: "np.ndarray"):
            "Explain."
            return inner(x) + np.sum({"a": 1, "b": 2}["a"])
    """
    assert version(same) == version(PLAIN)
    named = written(PLAIN.replace("def f(", "def g("))
    assert meaning(named.g(COUNT)) == version(PLAIN)


def test_versions_do_not_depend_on_the_process() -> None:
    """Two processes with other hash seeds give one version, also for sets and where there is no source at all."""
    code = """
        import sys
        from orita import INTERACTION, Source, track_lineage
        from orita.features.declaring.meaning import meaning
        WORDS = {"a", "b", "c", "d"}
        text = "def f(x):\\n    return x if 'a' in {'p', 'q', 'r'} | WORDS else -x"
        exec(compile(text, "<nowhere>", "exec"))
        print(meaning(track_lineage(f)(Source("interactions", INTERACTION).count())))
    """
    told = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1 and len(told.pop()) == 13


def test_a_function_is_called_as_any_other() -> None:
    """With arrays it returns what it returns, so that it can be tested and called by others."""
    assert share(np.array([1.0, 4.0]), np.array([0.0, 8.0])).tolist() == [1, 0.5]
    assert share(np.array([1.0]), np.array([0.0]), least=2).tolist() == [0.5]
    assert often(np.array([1.0, 4.0]), np.array([0.0, 8.0])).tolist() == [1, 0]


def test_a_feature_computes_what_its_function_returns() -> None:
    """Inputs are of one length, options are passed by name, and what comes out is float64, a number a row."""
    made = share(SPENT, COUNT, least=4)
    assert made.inputs == (SPENT, COUNT)
    value_N = made.transform.apply(np.array([6.0, 8.0, np.nan]), np.array([2.0]))
    np.testing.assert_equal(value_N, [1.5, 2.0, np.nan])
    flag_N = often(SPENT, COUNT).transform.apply(np.array([6.0]), np.array([2.0]))
    assert (flag_N.dtype.name, flag_N.tolist(), often(SPENT, COUNT).transform.kind) == ("float64", [1], "flag")
    assert track_lineage(constant)(SPENT).transform.apply(np.zeros(3)).tolist() == [7]
    assert meaning(made) != meaning(share(SPENT, COUNT)) != meaning(share(COUNT, SPENT))


def constant(x: Floats) -> int:
    """Return one number for all rows."""
    return 7


def shorter(x: Floats) -> Floats:
    """Lose a row."""
    return x[1:]


def texts(x: Floats) -> Any:
    """Return no numbers."""
    return x.astype(str)


def greedy(x: Floats) -> Floats:
    """Write where one only reads."""
    x[0] = 1
    return x


def test_a_function_that_breaks_the_rules_is_stopped() -> None:
    """What is not a number a row is an error that says so, and an engine's arrays cannot be written to."""
    for function, says in ((shorter, r"returned float64 of shape \[2\] for \[3\] rows"), (texts, "returned <U")):
        with pytest.raises(UserError, match=says):
            track_lineage(function)(COUNT).transform.apply(np.zeros(3))
    with pytest.raises(ValueError, match="read-only"):
        track_lineage(greedy)(COUNT).transform.apply(np.zeros(3))
    with pytest.raises(UserError, match="function 'share' is Python"):
        share(SPENT, COUNT).transform.sql("a", "b")
    with pytest.raises(UserError, match="cannot be written down"):
        written_expression(share(SPENT, COUNT))


class Holder:
    """An object whose state nobody sees."""

    def method(self, x: Floats) -> Floats:
        """Return x."""
        return x


HOLDER = Holder()


def reads_an_object(x: Floats) -> Floats:
    """Depend on an object."""
    return HOLDER.method(x)


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: share(SPENT), r"share\(part, whole, least=1.0\) cannot be called so: missing a required"),
        (lambda: share(SPENT, COUNT, SPENT, COUNT), "too many positional"),
        (lambda: share(SPENT, COUNT, most=3), "unexpected keyword argument 'most'"),
        (lambda: share(SPENT, whole=COUNT), "by position, not by name"),  # type: ignore[call-overload]
        (lambda: share(SPENT, COUNT, least=float("nan")), "finite numbers and texts"),
        (lambda: share(SPENT, 3), r"share\(\) takes a value of the row, not int 3"),  # type: ignore[call-overload]
        (lambda: share(SPENT, USER["tags"]), "not attribute 'user_tags' of type 'list'"),
        (lambda: track_lineage(lambda x: x), "written with def"),
        (lambda: track_lineage(np.sqrt), "written with def"),
        (lambda: track_lineage(kind="category")(constant), "a cardinality of 2 or more"),
        (lambda: track_lineage(cardinality=3)(constant), "nothing else has one"),
        (lambda: track_lineage(kind="time")(constant), "a kind is one of number, count"),  # type: ignore[call-overload]
        (lambda: track_lineage(reads_an_object)(COUNT), "reads 'HOLDER', a Holder, from outside"),
    ],
)
def test_a_wrong_function_says_what_is_wrong(declare: Callable[[], Any], says: str) -> None:
    """Each mistake is refused when the feature is declared, with a sentence that says what is allowed."""
    with pytest.raises(UserError, match=says):
        declare()


def test_what_functions_may_read() -> None:
    """Arrays, nested data, library functions, cached and enclosed functions are read, and count."""

    def make(table: Any, least: float) -> Tracked:
        @cache
        def floor() -> float:
            return least

        def f(x: Floats) -> Floats:
            found = np.interp(x, table["at"], table["to"][0]) + floor()
            return np.asarray(np.where(found > WAIT.seconds, found, ast.literal_eval("0")))

        return track_lineage(f)

    first, second = np.array([0.0, 1.0]), np.array([0.0, 2.0])
    tables = [
        ({"at": first, "to": (second,)}, 0.0),
        ({"at": first, "to": (first,)}, 0.0),
        ({"at": first, "to": (first,)}, 1),
    ]
    assert len({meaning(make(*table)(COUNT)) for table in tables}) == 3
    assert meaning(make(*tables[0])(COUNT)) == meaning(make({"at": first.copy(), "to": (second,)}, 0.0)(COUNT))


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_a_feature_of_a_function_travels(pickler: Any) -> None:
    """A plan that holds tracked functions can be sent to another process, and keeps its meaning."""
    made = often(SPENT, COUNT)
    back = pickle.loads(pickler.dumps(made))
    assert back == made and meaning(back) == meaning(made)
    assert back.transform.apply(np.array([6.0]), np.array([2.0])).tolist() == [1]


def test_a_function_of_a_file_that_is_no_module_travels(tmp_path: Path) -> None:
    """Functions of a project's own file go to a worker that lacks the file, with the functions that they call."""
    made = written(PLAIN, "project_file").f(COUNT)
    sent = tmp_path / "plan"
    sent.write_bytes(cloudpickle.dumps(made))
    code = f"""
        import pickle, pathlib, numpy as np
        from orita.features.declaring.meaning import meaning
        made = pickle.loads(pathlib.Path({str(sent)!r}).read_bytes())
        print(made.transform.apply(np.array([1.0, 2.0])).tolist(), meaning(made))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"[5.0, 7.0] {meaning(made)}"


def test_a_function_is_a_column_of_its_kind() -> None:
    """A declared function has the kind that its decorator says, and belongs to the side of what it reads."""

    @track_lineage(kind="category", cardinality=3)
    def step(x: Floats, y: Floats) -> Floats:
        return np.clip(x + y, 0, 2)

    declared = system("s", label=SHOWN.click, rank=ITEM, for_=USER)
    declared.features(
        step=step(COUNT, SHOWN.count().by(ITEM)), pace=share(SPENT, COUNT), is_top=step(COUNT, COUNT).equals(2)
    )
    columns = [(c.name, c.side, c.kind, c.cardinality, c.arrow) for c in declared.schema().columns]
    assert columns == [
        ("step", "pair", "category", 3, "int16"),
        ("pace", "user", "number", 0, "float32"),
        ("is_top", "user", "flag", 0, "int8"),
    ]
