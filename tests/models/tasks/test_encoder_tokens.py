"""A tokenizer of a package is data: what it cannot do is one sentence, and no text makes it fail."""

from __future__ import annotations

import json

import pytest

from orita.core.errors import UserError
from orita.models.tasks.encoder_tokens import Tokenizer

tokenizers = pytest.importorskip("tokenizers", reason="tokenizers, which reads tokenizers, is not installed")

_WORDS = {"[UNK]": 0, "[CLS]": 1, "good": 2}


def _content() -> bytes:
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(_WORDS, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    words.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", _WORDS["[CLS]"])]
    )
    return bytes(words.to_str().encode())


def test_half_a_surrogate_pair_is_read_as_another_unknown_word() -> None:
    """JSON can bring such a text; it does not spoil the answers of those beside it."""
    found = Tokenizer.of(_content(), 8, "tokenizer.json").encode(["good", "\ud800 good"])
    assert [tokens.tolist() for tokens in found] == [[1, 2], [1, 0, 2]]


@pytest.mark.parametrize(
    ("old", "new"),
    [('"unk_token": "[UNK]"', '"unk_token": "gone"'), ('"id": "[CLS]", "type_id"', '"id": "X", "type_id"')],
)
def test_a_tokenizer_that_cannot_cut_a_text_is_one_sentence(old: str, new: str) -> None:
    """The library raises plain exceptions, and one that is none where it panics: both become a refusal by name."""
    content = json.dumps(json.loads(_content()))
    assert old in content
    broken = Tokenizer.of(content.replace(old, new).encode(), 8, "tokenizer.json")
    with pytest.raises(UserError, match=r"tokenizer\.json cannot cut texts"):
        broken.encode(["bad"])
