from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.delivery.assignment import fraction
from orita.delivery.flags import ErrorCode, Evaluation, Flag, FlagFile, FlagSet, Reason, read_flags, write_flags

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DOCUMENT = """
segments:
  staff: {is: ends_with, attribute: mail, values: ["@orita.dev"]}
flags:
  - key: plain
  - key: killed
    enabled: false
    rules: [{serve: "on"}]
  - key: colour
    kind: multivariate
    variants: {red: "#f00", green: "#0f0", blue: "#00f"}
    default: blue
    overrides: [{attribute: user_id, values: [7, bo], variant: green}]
    rules:
      - {name: insiders, when: {is: segment, name: staff}, serve: red}
      - name: nordic
        when: {is: in, attribute: country, values: [SE, DK]}
        serve: {by: [user_id, device_id], portions: [{variant: red, weight: 25}, {variant: green, weight: 75}]}
      - {name: some, rollout: {percent: 30, by: user_id, salt: shared}, serve: red}
  - key: needs-colour
    prerequisites: [{flag: colour, variants: [red, green]}]
    rules: [{serve: "on"}]
  - key: timed
    schedule: {from: 2026-03-01T00:00:00Z, until: 2026-04-01T00:00:00Z}
    rules:
      - {name: launch, schedule: {from: 2026-03-01T12:00:00Z}, when: {is: present, attribute: beta}, serve: "on"}
      - name: steps
        rollout:
          percent: 0
          steps: [{at: 2026-03-02T00:00:00Z, percent: 50}, {at: 2026-03-03T00:00:00Z, percent: 100}]
        serve: "on"
"""


def flags_of(text: str = DOCUMENT, **options: Any) -> FlagSet:
    """Return the set of a YAML document."""
    file = read_flags(text, "yaml")
    return FlagSet.of(file.flags, file.segments, **options)


@pytest.fixture(scope="module")
def flags() -> FlagSet:
    """The document, at noon."""
    return flags_of(clock=ManualClock(NOON))


def served(found: Evaluation) -> tuple[str | None, Reason, str]:
    """Return variant, reason and rule."""
    return found.variant, found.reason, found.rule


@pytest.mark.parametrize(
    ("key", "attributes", "expected"),
    [
        ("plain", {}, ("off", Reason.STATIC, "")),
        ("killed", {}, ("off", Reason.DISABLED, "")),
        ("colour", {}, ("blue", Reason.DEFAULT, "")),
        ("colour", {"user_id": "7"}, ("green", Reason.TARGETING_MATCH, "")),
        ("colour", {"user_id": 7}, ("green", Reason.TARGETING_MATCH, "")),
        ("colour", {"mail": "ann@orita.dev"}, ("red", Reason.TARGETING_MATCH, "insiders")),
        ("colour", {"country": "SE"}, ("blue", Reason.DEFAULT, "")),  # nobody to split
        ("colour", {"country": "SE", "user_id": ""}, ("blue", Reason.DEFAULT, "")),
        ("needs-colour", {"user_id": 7}, ("on", Reason.STATIC, "")),
        ("needs-colour", {}, ("off", Reason.DISABLED, "")),
        ("timed", {"beta": True}, ("on", Reason.TARGETING_MATCH, "launch")),
        ("timed", {"targetingKey": "ann"}, ("off", Reason.DEFAULT, "")),
    ],
)
def test_the_first_that_applies_decides(
    flags: FlagSet, key: str, attributes: dict[str, object], expected: tuple[str, Reason, str]
) -> None:
    """Kill switch, prerequisites, overrides, rules in order, then the default: each with its reason."""
    found = flags.evaluate(key, attributes)
    assert served(found) == expected
    assert found.flag == key
    assert found.error_code is None


def test_values_are_those_of_the_variants(flags: FlagSet) -> None:
    """A boolean flag serves booleans, a multivariate one what it declares."""
    assert flags.evaluate("plain", {}).value is False
    assert flags.evaluate("colour", {"user_id": 7}).value == "#0f0"


@pytest.mark.parametrize("unit", ["ann", "12", 12, 12.0, "é"])
def test_splits_and_rollouts_are_the_assignment(flags: FlagSet, unit: str | int | float) -> None:
    """A split lies by the salt KEY/split, a rollout by its own salt, both of the one hash; the fallback unit counts."""
    split = "red" if fraction("colour/split", unit) < 0.25 else "green"
    for name in ("user_id", "device_id"):
        assert served(flags.evaluate("colour", {"country": "SE", name: unit})) == (split, Reason.SPLIT, "nordic")
    expected = ("red", Reason.SPLIT, "some") if fraction("shared", unit) < 0.3 else ("blue", Reason.DEFAULT, "")
    assert served(flags.evaluate("colour", {"user_id": unit})) == expected


def test_a_rollout_and_a_split_of_one_flag_are_independent() -> None:
    """Of those in a half, the variants have their shares."""
    portions = '[{"variant": "on", "weight": 50}, {"variant": "off", "weight": 50}]'
    rule = f'{{"rollout": {{"percent": 50}}, "serve": {{"portions": {portions}}}, "name": "r"}}'
    flags = flags_of(f'{{"flags": [{{"key": "f", "rules": [{rule}]}}]}}')
    found = [flags.evaluate("f", {"targetingKey": n}) for n in range(4000)]
    inside = [one for one in found if one.rule]
    assert abs(len(inside) / 4000 - 0.5) < 0.03
    assert abs(sum(one.value for one in inside) / len(inside) - 0.5) < 0.05


@settings(max_examples=40)
@given(st.floats(0, 100), st.floats(0, 100), st.text(min_size=1))
def test_who_is_in_a_rollout_stays(first: float, second: float, unit: str) -> None:
    """Whoever is in a share is in every larger one."""
    small, large = sorted((round(first, 4), round(second, 4)))
    on = [
        flags_of(f'{{"flags": [{{"key": "f", "rules": [{{"rollout": {{"percent": {percent}}}, "serve": "on"}}]}}]}}')
        .evaluate("f", {"targetingKey": unit})
        .value
        for percent in (small, large)
    ]
    assert on != [True, False]


def test_time_is_told_or_read(flags: FlagSet) -> None:
    """Schedules and steps go by the time that is told, and by the clock where none is."""

    def at(when: datetime, **attributes: object) -> Evaluation:
        return flags.evaluate("timed", {"targetingKey": "ann", **attributes}, now=when.timestamp())

    assert at(NOON - timedelta(seconds=1), beta=True).variant == "off"
    assert at(NOON, beta=True).variant == "on"
    assert at(NOON - timedelta(days=1)).reason is Reason.DISABLED
    assert at(datetime(2026, 4, 1, tzinfo=UTC), beta=True).reason is Reason.DISABLED
    half = [flags.evaluate("timed", {"targetingKey": n}, now=NOON.timestamp() + 86_400).value for n in range(1000)]
    whole = [flags.evaluate("timed", {"targetingKey": n}, now=NOON.timestamp() + 2 * 86_400).value for n in range(1000)]
    assert 400 < sum(half) < 600
    assert all(whole)


def test_the_clock_is_left_alone_where_no_schedule_asks() -> None:
    """A flag without times is evaluated without the clock; one with times asks it."""

    class NoClock(ManualClock):
        def now(self) -> datetime:
            raise AssertionError("the clock was read")

    flags = flags_of(clock=NoClock())
    flags.evaluate("colour", {"country": "SE", "user_id": "x"})
    FlagSet.of([flags.flags["colour"], flags.flags["plain"]], flags.segments, clock=NoClock()).evaluate_all({})
    with pytest.raises(AssertionError, match="the clock was read"):
        flags.evaluate_all({})
    flags.evaluate("timed", {"beta": True}, now=NOON.timestamp())
    with pytest.raises(AssertionError, match="the clock was read"):
        flags.evaluate("timed", {"beta": True})


def test_what_is_not_there_is_the_callers_default(flags: FlagSet) -> None:
    """An unknown flag answers the default and says so; looking for the nearest would cost milliseconds."""
    found = flags.evaluate("coluor", {}, "mauve")
    assert (found.value, found.variant, found.reason) == ("mauve", None, Reason.ERROR)
    assert found.error_code is ErrorCode.FLAG_NOT_FOUND
    assert found.error_message == "there is no flag 'coluor'."


def test_a_stale_set_says_so(flags: FlagSet) -> None:
    """Flags that may be out of date serve the same, with the reason STALE."""
    stale = flags.as_stale()
    assert served(stale.evaluate("colour", {"user_id": 7})) == ("green", Reason.STALE, "")
    assert stale.etag == flags.etag
    assert stale.evaluate("ghost", {}).reason is Reason.ERROR


def test_all_at_once_are_one_by_one(flags: FlagSet) -> None:
    """Every flag is there once, by key in order, and answers as alone."""
    attributes = {"user_id": 3, "targetingKey": 3, "country": "DK"}
    found = flags.evaluate_all(attributes)
    assert [one.flag for one in found] == sorted(flags.flags)
    assert found == [flags.evaluate(key, attributes) for key in sorted(flags.flags)]


def test_equal_flags_have_an_equal_etag() -> None:
    """The ETag is of what is declared: not of its order or form, but of any change."""
    file = read_flags(DOCUMENT, "yaml")
    etag = flags_of().etag
    assert FlagSet.of(file.flags[::-1], file.segments).etag == etag
    for form in ("json", "yaml"):
        again = read_flags(write_flags(file, form), form)
        assert again == file
        assert FlagSet.of(again.flags, again.segments).etag == etag
    assert flags_of(DOCUMENT.replace("weight: 25", "weight: 24").replace("weight: 75", "weight: 76")).etag != etag
    assert flags_of(DOCUMENT.replace("@orita.dev", "@orita.org")).etag != etag


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["user_id", "device_id", "targetingKey", "country", "mail", "beta"]), JUNK))
def test_no_attribute_raises(attributes: dict[str, object]) -> None:
    """Whatever a request holds, every flag answers one of its variants."""
    for found in SHARED.evaluate_all(attributes):
        assert found.variant is not None
        assert found.error_code is None


SHARED = flags_of(clock=ManualClock(NOON))


def test_a_long_chain_of_prerequisites() -> None:
    """A hundred flags, each the prerequisite of the next, are evaluated; declared in any order."""
    text = ", ".join(
        f'{{"key": "f{n}", "rules": [{{"serve": "on"}}]'
        + (f', "prerequisites": [{{"flag": "f{n - 1}", "variants": ["on"]}}]}}' if n else "}")
        for n in reversed(range(100))
    )
    assert flags_of(f'{{"flags": [{text}]}}').evaluate("f99", {}).value is True


def test_what_would_take_for_ever_is_refused() -> None:
    """Prerequisites and segments that double from one to the next, and conditions without end of depth."""
    wanted = '{{"flag": "f{0}", "variants": ["on"]}}'
    doubling = (f'"prerequisites": [{wanted.format(n)}, {wanted.format(n)}]' for n in range(40))
    flags = ['{"key": "f0"}', *(f'{{"key": "f{n}", {told}}}' for n, told in enumerate(doubling, 1))]
    with pytest.raises(UserError, match="flag 'f6' needs more than 100 evaluations"):
        flags_of(f'{{"flags": [{", ".join(flags)}]}}')
    segments = ['"s0": {"is": "all", "of": []}']
    for n in range(1, 60):
        asked = f'{{"is": "segment", "name": "s{n - 1}"}}'
        segments.append(f'"s{n}": {{"is": "any", "of": [{asked}, {asked}]}}')
    with pytest.raises(UserError, match="more than 10,000 others"):
        flags_of(f'{{"segments": {{{", ".join(segments)}}}}}')
    for depth in (150, 5000):
        deep = '{"is": "not", "of": ' * depth + '{"is": "present", "attribute": "a"}' + "}" * depth
        with pytest.raises(UserError, match=r"nested (too|more than 100) deep"):
            file = read_flags(f'{{"segments": {{"s": {deep}}}}}')
            FlagSet.of(file.flags, file.segments)


REFUSED = [
    ("flags: [{key: a, colour: red}]", "unknown field `colour`"),
    ("flags: [{key: a, enabled: yes please}]", "Expected `bool`, got `str`"),
    ("flags: [{description: x}]", "missing required field `key`"),
    ("flags: [{key: ''}]", "length >= 1"),
    ("flags: [{key: a}, {key: a}]", "two flags have the key 'a'"),
    ("flags: [{key: a, rules: [{serve: 'om'}]}]", "flag 'a': rule 1 names the variant 'om'. Known: off, on."),
    ("flags: [{key: a, default: maybe}]", "flag 'a': default names the variant 'maybe'. Known: off, on."),
    ("flags: [{key: a, off: maybe}]", "flag 'a': off names the variant 'maybe'"),
    ("flags: [{key: a, variants: {on: 1, off: 0}}]", "flag 'a' is boolean and its variants are not"),
    ("flags: [{key: a, kind: multivariate}]", "flag 'a' is multivariate and has no variants"),
    ("flags: [{key: a, kind: multivariate, variants: {x: 1}}]", "flag 'a' has no default"),
    ("flags: [{key: a, kind: multivariate, variants: {}, default: x}]", "of several types (none)"),
    ("flags: [{key: a, kind: multivariate, variants: {x: 1, y: z}, default: x}]", "of several types (number, text)"),
    ("flags: [{key: a, kind: multivariate, variants: {x: [1]}, default: x}]", "'x' is [1]: allowed are boolean, text"),
    ("flags: [{key: a, overrides: [{attribute: u, values: [1], variant: x}]}]", "an override names the variant 'x'"),
    (
        "flags: [{key: a, rules: [{serve: {portions: [{variant: 'on', weight: 99}]}}]}]",
        "flag 'a', rule 1: the weights sum to 99",
    ),
    ("flags: [{key: a, rules: [{serve: {portions: []}}]}]", "length >= 1"),
    ("flags: [{key: a, rules: [{serve: 'on', rollout: {percent: 101}}]}]", "<= 100"),
    ("flags: [{key: a, rules: [{serve: 'on', rollout: {percent: 0.00001}}]}]", "up to four decimals"),
    ("flags: [{key: a, rules: [{serve: 'on', rollout: {percent: 1, salt: ''}}]}]", "the salt '' is empty"),
    ("flags: [{key: a, rules: [{serve: 'on', rollout: {percent: 1, by: []}}]}]", "by names no attribute"),
    (
        "flags: [{key: a, rules: [{name: r, serve: 'on', when: {is: segment, name: s}}]}]",
        "flag 'a', rule r: the segment 's' is not declared",
    ),
    ("flags: [{key: a, rules: [{serve: 'on', when: {is: near, attribute: x}}]}]", "Invalid value 'near'"),
    (
        "flags: [{key: a, rules: [{serve: 'on', when: {is: version, attribute: x, op: '>', value: v1}}]}]",
        "flag 'a', rule 1: the version 'v1'",
    ),
    ("flags: [{key: a, schedule: {from: 2026-01-02T00:00:00Z, until: 2026-01-01T00:00:00Z}}]", "never holds"),
    ("flags: [{key: a, schedule: {from: '2026-01-02T00:00:00'}}]", "timezone"),
    ("flags: [{key: a, prerequisites: [{flag: b, variants: ['on']}]}]", "the prerequisite 'b', which is not declared"),
    (
        "flags: [{key: a, prerequisites: [{flag: b, variants: [x]}]}, {key: b}]",
        "the prerequisite 'b' names the variant 'x'",
    ),
    ("segments: {s: {is: segment, name: s}}", "segment 's': the segment 's' contains itself: s → s"),
    ("segments: {s: {is: network, attribute: x, values: [y]}}", "segment 's': 'y' for 'x' is no network"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_what_is_wrong_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    """Unknown keys, wrong types, undeclared variants, weights that do not add up: before anything is served."""
    with pytest.raises(UserError) as error:
        flags_of(text)
    assert sentence in str(error.value)


def test_yaml_reads_on_and_no_as_text() -> None:
    """The words that YAML 1.1 takes for booleans are text, quoted or not; true and false are booleans."""
    text = (
        "flags: [{key: a, enabled: true, rules: [{serve: on, when: {is: in, attribute: c, values: [NO, yes, true]}}]}]"
    )
    flags = flags_of(text)
    assert [flags.evaluate("a", {"c": value}).value for value in ("NO", "yes", True, "no")] == [True, True, True, False]
    with pytest.raises(UserError, match="Expected `bool`, got `str`"):
        flags_of("flags: [{key: a, enabled: on}]")


def test_cycles_are_refused() -> None:
    """Of itself, of two, and one further down, told as a path."""

    def ring(*keys: str) -> list[Flag]:
        pairs = zip(keys, [*keys[1:], keys[0]], strict=True)
        text = ", ".join(
            f'{{"key": "{key}", "prerequisites": [{{"flag": "{to}", "variants": ["on"]}}]}}' for key, to in pairs
        )
        return list(read_flags(f'{{"flags": [{text}]}}').flags)

    with pytest.raises(UserError, match="form a cycle: a → a"):
        FlagSet.of(ring("a"))
    with pytest.raises(UserError, match="form a cycle: a → b → c → a"):
        FlagSet.of(ring("a", "b", "c"))
    lead = read_flags('{"flags": [{"key": "lead", "prerequisites": [{"flag": "b", "variants": ["on"]}]}]}').flags
    with pytest.raises(UserError, match="form a cycle: b → c → a → b"):
        FlagSet.of([*lead, *ring("a", "b", "c")])


def test_a_file_that_is_no_file() -> None:
    """Neither JSON nor YAML, and text that is not UTF-8."""
    for text, form in ((b"{", "json"), (b"\xff", "json"), (b"a: [", "yaml"), (b"[]", "json")):
        with pytest.raises(UserError, match=f"cannot be read as {form.upper()}"):
            read_flags(text, form)  # type: ignore[arg-type]
    assert read_flags("{}") == FlagFile()
