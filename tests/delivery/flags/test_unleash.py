from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orita.core.errors import UserError
from orita.delivery.flags import Evaluation, FlagSet, read_flags, write_flags
from orita.delivery.flags.unleash import attributes_of, is_enabled, read_unleash, variant_of
from orita.delivery.flags.unleash.expressions import python_pattern

FILES = sorted((Path(__file__).parent / "unleash").glob("*.json"))


def flag_set(document: dict[str, Any] | str, **options: str) -> FlagSet:
    """Return the flags of a document."""
    file = read_unleash(document, **options)
    return FlagSet.of(file.flags, file.segments)


def evaluate(flags: FlagSet, case: dict[str, Any]) -> Evaluation:
    """Return what the flags answer to a case."""
    return flags.evaluate(case["feature"], attributes_of(case["context"]))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_case_of_the_specification(path: Path) -> None:
    """Each feature is on for whom Unleash has it on, and serves the variant that Unleash serves."""
    told = json.loads(path.read_text(encoding="utf-8"))
    flags = flag_set(told["document"])
    wrong: list[object] = []
    for case in told["cases"]:
        found = evaluate(flags, case)
        if is_enabled(found) != case["enabled"]:
            wrong.append((case, found))
        elif "variant" in case and variant_of(found) != case["variant"] | {"feature_enabled": case["enabled"]}:
            wrong.append((case, variant_of(found)))
    assert wrong == []


def test_there_are_cases_of_every_kind() -> None:
    """All files are found, and no kind has lost its cases."""
    counts = {path.stem: len(json.loads(path.read_text(encoding="utf-8"))["cases"]) for path in FILES}
    assert len(counts) == 21
    assert min(counts.values()) >= 4
    assert sum(counts.values()) >= 479


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_flags_that_were_read_can_be_kept(path: Path) -> None:
    """What was read of Unleash is written as Orita's own file and read back equal, with the same ETag."""
    file = read_unleash(json.loads(path.read_text(encoding="utf-8"))["document"])
    again = read_flags(write_flags(file))
    assert again == file
    assert FlagSet.of(again.flags, again.segments).etag == FlagSet.of(file.flags, file.segments).etag


def test_a_host_is_met_by_its_name() -> None:
    """The strategy applicationHostname means the machine that evaluates, whatever the case of its name."""
    strategy = {"name": "applicationHostname", "parameters": {"hostNames": "web-1, WEB-2"}}
    document = {"features": [{"name": "here", "enabled": True, "strategies": [strategy]}]}
    assert is_enabled(flag_set(document, hostname="web-2").evaluate("here", {}))
    assert not is_enabled(flag_set(document, hostname="web-3").evaluate("here", {}))
    assert not is_enabled(flag_set(document).evaluate("here", {}))


def test_whom_no_field_names_is_drawn_anew() -> None:
    """With the stickiness random, and with the default one for nobody, the dice are thrown at each evaluation."""
    shares = {"rollout": "30", "stickiness": "random", "groupId": "g"}
    document = {
        "features": [{"name": "f", "enabled": True, "strategies": [{"name": "flexibleRollout", "parameters": shares}]}]
    }
    file = read_unleash(document)
    drawn = iter([0.29, 0.31, 0.0, 0.999])
    flags = FlagSet.of(file.flags, draw=lambda: next(drawn))
    assert [is_enabled(flags.evaluate("f", {"userId": "1"})) for _ in range(4)] == [True, False, True, False]


def test_an_empty_user_is_nobody() -> None:
    """Unleash's engine hashes an empty id, which puts all who have none in one bucket; here it names nobody."""
    shares = {"rollout": "100", "stickiness": "userId", "groupId": "g"}
    document = {
        "features": [{"name": "f", "enabled": True, "strategies": [{"name": "flexibleRollout", "parameters": shares}]}]
    }
    assert not is_enabled(flag_set(document).evaluate("f", {"userId": ""}))


def test_variants_of_one_name_are_kept_apart() -> None:
    """Two variants named alike, or like a state of ours, keep their payloads."""
    named = [
        {"name": "on", "weight": 1, "payload": {"type": "string", "value": value}} for value in ("first", "second")
    ]
    strategies = [
        {"name": "userWithId", "parameters": {"userIds": "ann"}, "variants": [named[0]]},
        {"name": "default", "variants": [named[1]]},
    ]
    flags = flag_set({"features": [{"name": "f", "enabled": True, "strategies": strategies}]})
    served = [variant_of(flags.evaluate("f", {"userId": user})) for user in ("ann", "bo")]
    assert [(one["name"], one["payload"]["value"]) for one in served] == [("on", "first"), ("on", "second")]


def test_what_is_no_document_of_unleash_is_refused() -> None:
    """The sentence says that it is none."""
    for document in ("[]", "{}", "nonsense", '{"features": [{"enabled": true}]}'):
        with pytest.raises(UserError, match="no document of Unleash's client API"):
            read_unleash(document)


@pytest.mark.parametrize(
    "expression", ["a(?=b)", r"(a)\1", "a(b", "a)b", "[[:nonsense:]]", "(?P<n>a)(?P=n)", "*a", "(?i)a|b"]
)
def test_expressions_that_only_one_of_the_two_has(expression: str) -> None:
    """What RE2 has not, or Python cannot say, is no pattern."""
    assert python_pattern(expression) is None
