"""The query language of the catalogue: ``auc > 0.75 and type = 'lightgbm' and tag.team = 'ads'``.

Conditions are joined by ``and``. A condition is a name, a comparison and a value::

    query     = condition { "and" condition }
    condition = name ( "=" | "!=" | ">" | ">=" | "<" | "<=" ) number | moment
              | name ( "=" | "!=" | "like" | "ilike" ) text
              | name "is" [ "not" ] "null"
    name      = [ ( "metric" | "param" | "tag" ) "." ] word | "`" anything "`"
    text      = "'" anything "'" | '"' anything '"'          moment = a text such as '2026-01-31' (UTC)

A bare name is one of the words of what is searched (``status``, ``started``, …), otherwise a metric. In ``like`` and
``ilike`` (which ignores the case of letters) ``%`` stands for anything and ``_`` for one character. A condition on
what a run does not have is false, also with ``!=``, as in MLflow's own searches; ``is null`` asks for just that.
A query becomes values, never text of another language: it cannot be made to say more than it does here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from orita.core.errors import UserError
from orita.registry.query import Comparison, Condition, Kind, Order, Query, Word

__all__ = ["parse_order", "parse_query"]

_ORDERED, _TEXTUAL = ("=", "!=", ">", ">=", "<", "<="), ("=", "!=", "like", "ilike")
_LONGEST = 4000
_KINDS = {"metric": "metric", "metrics": "metric", "param": "param", "params": "param", "tag": "tag", "tags": "tag"}
_TOKEN = re.compile(
    r"""\s*(?:(?P<compare>!=|>=|<=|=|>|<)
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    |(?P<text>'[^'\\]*'|"[^"\\]*")
    |(?P<name>(?:[A-Za-z]+\.)?`[^`'"\\]+`|[A-Za-z_]\w*(?:\.\w+)*))""",
    re.VERBOSE,
)


def parse_query(text: str, words: Mapping[str, Word]) -> Query:
    """Return the query that *text* writes; *words* are the bare names that are no metrics.

    Raises:
        UserError: it is none; the sentence says what stands where, and what is expected.
    """
    return _Reader(text, words).query()


def parse_order(text: str, words: Mapping[str, Word]) -> Order:
    """Return the order that *text* writes: a metric or a number or moment among *words*, then ``asc`` or ``desc``.

    Raises:
        UserError: it is none.
    """
    return _Reader(text, words, field="order").order()


class _Reader:
    """Reads a text from left to right."""

    def __init__(self, text: str, words: Mapping[str, Word], field: str = "query") -> None:
        if len(text) > _LONGEST:
            raise UserError(f"{field} has {len(text):,} characters, allowed are {_LONGEST:,}.")
        self._text, self._words, self._field = text, words, field
        self._tokens = list(self._read())

    def _read(self) -> list[tuple[str, str, int]]:
        tokens, at, end = [], 0, len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                raise self._error(self._text[at:].split()[0], at, self._advice(at))
            assert found.lastgroup is not None
            tokens.append((found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
            at = found.end()
        return tokens

    def _advice(self, at: int) -> str:
        if self._text[at] in "'\"`":
            return "a text within one pair of quotes, without a backslash (names in backquotes without quotes too)"
        return "names, comparisons, numbers and texts in quotes"

    def _error(self, shown: str, at: int, expected: str) -> UserError:
        where = f"has {shown!r} at character {at + 1}" if shown else "ends too early"
        return UserError(
            f"{self._field} {where}, expected {expected}. An example: "
            + ("auc > 0.75 and type = 'lightgbm' and tag.team = 'ads'" if self._field == "query" else "log_loss asc")
        )

    def _next(self, expected: str, *groups: str) -> str:
        if not self._tokens:
            raise self._error("", len(self._text), expected)
        group, token, at = self._tokens[0]
        if group not in groups:
            raise self._error(token, at, expected)
        del self._tokens[0]
        return token

    def _keyword(self, expected: str, *allowed: str) -> str:
        at = self._tokens[0][2] if self._tokens else 0
        word = self._next(expected, "name", "compare")
        if word.lower() not in allowed:
            raise self._error(word, at, expected)
        return word.lower()

    def query(self) -> Query:
        conditions: list[Condition] = []
        while self._tokens or conditions:
            conditions.append(self._condition())
            if not self._tokens:
                break
            self._keyword("'and' between two conditions", "and")
        return Query(tuple(conditions))

    def order(self) -> Order:
        written = self._next("the name of a metric", "name")
        word = self._word(written)
        if word is None or word.type == "text":
            ordered = [name for name, known in self._words.items() if known.type != "text"]
            raise UserError(f"order has {written!r}, which is a text; allowed are metrics and {', '.join(ordered)}.")
        descending = not self._tokens or self._keyword("'asc' or 'desc'", "asc", "desc") == "desc"
        if self._tokens:
            raise self._error(self._tokens[0][1], self._tokens[0][2], "nothing more")
        return Order(word.kind, word.name, descending)

    def _condition(self) -> Condition:
        at = self._tokens[0][2] if self._tokens else len(self._text)
        written = self._next("a name, such as auc, type or tag.team", "name")
        if written.lower() in ("and", "or", "not", "is", "like", "ilike", "null", "in"):
            raise self._error(written, at, "a name, such as auc, type or tag.team")
        comparison = self._comparison(written)
        if comparison in ("is null", "is not null"):
            return self._presence(written, comparison)
        return self._compared(written, comparison)

    def _comparison(self, written: str) -> Comparison:
        allowed = (*_ORDERED, "like", "ilike", "is")
        found = self._keyword(f"a comparison after {written}: one of {', '.join(_ORDERED)}, like, ilike, is", *allowed)
        if found == "is":
            negated = self._keyword("'null' or 'not null' after is", "null", "not") == "not"
            if negated:
                self._keyword("'null' after is not", "null")
            found = "is not null" if negated else "is null"
        return cast(Comparison, found)

    def _presence(self, written: str, comparison: Comparison) -> Condition:
        word = self._word(written)
        if word is None or not (word.nullable or word.kind in ("param", "tag")):
            raise UserError(f"query asks whether {written} is null, which only tags and params may be asked.")
        return Condition(word.kind, word.name, comparison, None)

    def _compared(self, written: str, comparison: Comparison) -> Condition:
        at = self._tokens[0][2] if self._tokens else len(self._text)
        token = self._next(f"a number or a text in quotes after {comparison}", "number", "text")
        word = self._word(written)
        if word is None:
            raise UserError(
                f"query compares {written}, of an unknown kind; allowed are metric.NAME, param.NAME, tag.NAME and "
                f"{', '.join(self._words)}."
            )
        is_text = token[0] in "'\""
        if is_text and word.kind == "metric":
            hint = (
                f" A tag or a param is written tag.{word.name} or param.{word.name}; words: {', '.join(self._words)}."
            )
            raise UserError(f"query compares {written} with the text {token}, but metrics are numbers.{hint}")
        if word.type == "text" and not is_text:
            raise UserError(f"query compares {written} with the number {token}, but it is a text: write '{token}'.")
        allowed = _TEXTUAL if word.type == "text" else _ORDERED
        if comparison not in allowed:
            raise UserError(f"query compares {written} by {comparison!r}, allowed are {', '.join(allowed)}.")
        return Condition(word.kind, word.name, comparison, self._value(word, token, at))

    def _value(self, word: Word, token: str, at: int) -> float | str:
        if word.type == "number":
            if token[0] in "'\"":
                raise self._error(token, at, "a number")
            if not math.isfinite(float(token)):
                raise self._error(token, at, "a number that a float64 holds")
            return float(token)
        if word.type == "moment":
            return _milliseconds(token)
        value = token[1:-1]
        if "\0" in value:
            raise self._error(token, at, "a text without NUL characters")
        if word.allowed and value not in word.allowed:
            raise UserError(f"query has the value {value!r}, allowed are {', '.join(word.allowed)}.")
        return value

    def _word(self, written: str) -> Word | None:
        prefix, dot, rest = written.partition(".")
        if dot and "`" not in prefix:
            kind = _KINDS.get(prefix.lower())
            return _word_of(cast(Kind, kind), rest.strip("`")) if kind else None
        return self._words.get(written) or _word_of("metric", written.strip("`"))


def _word_of(kind: Kind, name: str) -> Word:
    return Word(kind, name, "number" if kind == "metric" else "text")


def _milliseconds(token: str) -> float:
    try:
        moment = datetime.fromisoformat(token.strip("'\""))
    except ValueError:
        raise UserError(
            f"query has the moment {token}, expected one such as '2026-01-31' or '2026-01-31T08:00' (UTC)."
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return float(math.floor(moment.timestamp() * 1000))
