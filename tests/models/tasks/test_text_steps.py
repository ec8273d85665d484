"""How texts are read: each named step does what its line says."""

from __future__ import annotations

import pytest

from orita.models.tasks.text_recipe import STANDARD_STEPS
from orita.models.tasks.text_steps import read_texts


@pytest.mark.parametrize(
    ("step", "given", "expected"),
    [
        ("nfc", "o\u0323\u0301", "ọ\u0301"),
        ("lower", "Ɗan ẸGBẸ́", "ɗan ẹgbẹ́"),
        ("urls", "see https://t.co/x?y now", "see  http  now"),
        ("urls", "www.orita.ng", " http "),
        ("mentions", "@Ada_1 hi", " @user  hi"),
        ("elongations", "sooooo good!!!", "soo good!!"),
        ("joiners", "❤\ufe0f👩\u200d🌾", "❤👩🌾"),
        ("tokens", "don't stop, 24h 😂😂 #naija_1", "don't stop , 24 h 😂 😂 # naija 1"),
        ("tokens", "ẹ\u0301gbọ\u0301n", "ẹ\u0301gbọ\u0301n"),
        ("unmarked", "ọmọ́ ńlá ɓarna ɗaki ƙasa ƴanci it’s", "omo nla barna daki kasa yanci it's"),
    ],
)
def test_a_step_does_what_it_says(step: str, given: str, expected: str) -> None:
    """Marks, addresses, mentions, elongated letters, emoji and signs are read as declared."""
    assert read_texts([given], [step], longest=100) == [expected]


def test_the_standard_steps_give_words_parted_by_single_spaces() -> None:
    """Together the steps turn a tweet into clean words, which the n-grams rely on."""
    tweet = "@Someone  Ọmọ yìí dáraaaa!!!!\n👍🏽 https://t.co/abc _x_"
    assert read_texts([tweet], STANDARD_STEPS, longest=100) == ["@user omo yii daraa ! ! 👍 🏽 http x"]


def test_only_the_first_characters_are_read() -> None:
    """A text beyond the declared length is cut, not refused."""
    assert read_texts(["abcdef"], ["lower"], longest=3) == ["abc"]
