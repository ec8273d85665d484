from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from orita.core.clock import ManualClock
from orita.delivery.flags import FlagSet, read_flags
from orita.delivery.flags.ofrep import evaluate_flag, evaluate_flags

TEXT = """
flags:
  - {key: lamp, rules: [{name: nordic, when: {is: in, attribute: country, values: [SE]}, serve: "on"}]}
  - {key: limit, kind: multivariate, variants: {low: 10, high: 20.5}, default: low}
  - key: theme
    kind: multivariate
    variants: {dark: {paper: black}, light: {paper: white}}
    default: light
    rules: [{rollout: {percent: 50}, serve: dark}]
  - {key: timed, rules: [{schedule: {from: 2026-03-01T00:00:00Z}, serve: "on"}]}
"""
FLAGS = FlagSet.of(read_flags(TEXT, "yaml").flags, clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))


def test_one_flag() -> None:
    """A success has key, value, variant, reason, and the rule as metadata where it has a name."""
    answer = evaluate_flag(FLAGS, "lamp", {"context": {"targetingKey": "ann", "country": "SE"}})
    assert answer.status == 200
    assert answer.document == {
        "key": "lamp",
        "value": True,
        "variant": "on",
        "reason": "TARGETING_MATCH",
        "metadata": {"rule": "nordic"},
    }
    limit = evaluate_flag(FLAGS, "limit", {"context": {}, "other": 1}).document
    assert limit == {"key": "limit", "value": 10, "variant": "low", "reason": "STATIC"}


def test_a_flag_that_is_not_there() -> None:
    """404, with the code of the protocol."""
    answer = evaluate_flag(FLAGS, "lmap", {"context": {}})
    assert answer.status == 404
    assert answer.document is not None
    assert (answer.document["key"], answer.document["errorCode"]) == ("lmap", "FLAG_NOT_FOUND")
    assert answer.document["errorDetails"] == "there is no flag 'lmap'."


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, "PARSE_ERROR"),
        ([], "PARSE_ERROR"),
        ({"context": 5}, "INVALID_CONTEXT"),
        ({"context": None}, "INVALID_CONTEXT"),
    ],
)
def test_a_request_that_is_wrong(body: object, code: str) -> None:
    """400, for one flag with its key and for all without."""
    one, all_ = evaluate_flag(FLAGS, "lamp", body), evaluate_flags(FLAGS, body)
    assert (one.status, all_.status) == (400, 400)
    assert one.document is not None
    assert all_.document is not None
    assert (one.document["key"], one.document["errorCode"]) == ("lamp", code)
    assert all_.document["errorCode"] == code
    assert "key" not in all_.document
    assert all_.etag is None


def test_all_flags() -> None:
    """Each flag is answered as alone, and the document is JSON."""
    body = {"context": {"targetingKey": "ann", "country": "SE"}}
    answer = evaluate_flags(FLAGS, body)
    assert answer.status == 200
    assert answer.document == {"flags": [evaluate_flag(FLAGS, key, body).document for key in sorted(FLAGS.flags)]}
    assert msgspec.json.decode(msgspec.json.encode(answer.document)) == answer.document


def test_a_request_without_a_context() -> None:
    """Has no attributes, which is no error."""
    assert evaluate_flags(FLAGS, {}).document == evaluate_flags(FLAGS, {"context": {}}).document


def test_what_the_caller_has_is_not_sent_again() -> None:
    """304 while the answer is the same: another context, other flags or another time are another answer."""
    body = {"context": {"targetingKey": "ann", "country": "SE"}}
    etag = evaluate_flags(FLAGS, body).etag
    assert etag is not None
    for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = evaluate_flags(FLAGS, body, header)
        assert (again.status, again.document, again.etag) == (304, None, etag)
    assert evaluate_flags(FLAGS, body, '"other"').status == 200
    assert evaluate_flags(FLAGS, {"context": {"country": "DK"}}, etag).status == 200
    assert evaluate_flags(FLAGS, body, etag, now=datetime(2026, 5, 1, tzinfo=UTC).timestamp()).status == 200
    fewer = FlagSet.of([flag for flag in FLAGS.flags.values() if flag.key != "limit"])
    assert evaluate_flags(fewer, body, etag).status == 200
