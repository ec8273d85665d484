"""The text predictor on a pretrained encoder: tunes it, goes on after a stop, and is served without PyTorch.

The encoder of these tests is a tiny one with random weights: what is tested is the way, not the words it knows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.models.packaged import CARD
from tests.models.tasks.tasks_world import CONTEXT, MOODS, texts

from orita.core.errors import UserError
from orita.core.progress import SILENT, Bar
from orita.models.package.manifest import write_manifest
from orita.models.ranker import FitContext
from orita.models.tasks.build import build_text_predictor
from orita.models.tasks.config import TaskSection, TextSection
from orita.models.tasks.encoder_model import ENCODER_FILE, EncoderModel
from orita.models.tasks.encoder_section import EncoderSection
from orita.models.tasks.encoder_tokens import TOKENIZER_FILE
from orita.models.tasks.load import load_predictor
from orita.models.tasks.predictor import Predictor, TextRows
from orita.models.tasks.write import write_predictor
from orita.models.training.interruption import Interrupted
from orita.stats.classification import weighted_f1

transformers = pytest.importorskip("transformers", reason="transformers, which opens encoders, is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="tokenizers, which reads tokenizers, is not installed")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny encoder."""
    folder = tmp_path_factory.mktemp("encoder")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    trainer = tokenizers.trainers.WordLevelTrainer(special_tokens=["[PAD]", "[UNK]"])
    words.train_from_iterator(texts().texts, trainer)
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(
        folder
    )
    transformers.set_seed(0)
    config = transformers.BertConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


def predictor_of(encoder: Path, **keys: object) -> Predictor[TextRows]:
    """Return a predictor on *encoder*, not yet fitted."""
    section = {"folder": encoder, "max_tokens": 16, "epochs": 12, "batch_size": 16, "learning_rate": 0.01, **keys}
    text = TextSection(encoder=EncoderSection.model_validate(section))
    return build_text_predictor(TaskSection(task="text", classes=MOODS, text=text))


@pytest.fixture(scope="module")
def fitted(encoder: Path) -> Predictor[TextRows]:
    """Return a predictor that has learnt the small world."""
    predictor = predictor_of(encoder)
    predictor.fit(texts(), texts(60, seed=1), CONTEXT)
    return predictor


def test_it_learns_and_is_fixed_by_its_seed(fitted: Predictor[TextRows], encoder: Path) -> None:
    """It is far better than chance on rows it never saw, and a second fit gives the very same answers."""
    test = texts(200, seed=2)
    probabilities_NK = fitted.predict(test)
    assert weighted_f1(test.y_N, probabilities_NK.argmax(axis=1), 3) > 0.6
    again = predictor_of(encoder)
    report = again.fit(texts(), texts(60, seed=1), CONTEXT)
    assert np.array_equal(again.predict(test), probabilities_NK)
    assert [row["epoch"] for row in report.history] == list(range(1, 13))


def test_its_package_answers_as_it_does_without_pytorch(fitted: Predictor[TextRows], tmp_path: Path) -> None:
    """A fresh process answers within 1e-5 of the trainer, many texts as one by one, and imports no trainer."""
    pytest.importorskip("onnxscript", reason="onnxscript, which exports encoders, is not installed")
    some = texts(40, seed=3)
    package = write_predictor(tmp_path / "package", fitted, CARD, some)
    folder, served = package.folder, package.model
    assert isinstance(served, EncoderModel)
    probabilities_NK = served.predict(some.texts)
    assert probabilities_NK == pytest.approx(fitted.predict(some), abs=1e-5)
    one_by_one = np.concatenate([served.predict([text]) for text in some.texts])
    assert probabilities_NK == pytest.approx(one_by_one, abs=1e-5)
    assert served.predict([]).shape == (0, 3)
    assert np.isfinite(served.predict(["", "word " * 500])).all()
    program = (
        "import sys; from pathlib import Path; from orita.models.tasks.load import load_predictor\n"
        f"load_predictor(Path({str(folder)!r})).predict(['good'])\n"
        "print([name for name in ('sklearn', 'torch', 'transformers', 'onnx') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
    for name, content, sentence in (
        (TOKENIZER_FILE, "{}", r"tokenizer\.json is not a tokenizer"),
        (ENCODER_FILE, '{"classes": ["one"]}', r"encoder\.json does not declare a model of texts: classes has the"),
    ):
        (folder / name).write_text(content)
        write_manifest(folder)
        with pytest.raises(UserError, match=sentence):
            load_predictor(folder)


class _Terminating:
    """Progress that asks this process to stop at its n-th step."""

    def __init__(self, at: int) -> None:
        self._left = at

    @contextmanager
    def bar(self, title: str, total: float | None = None) -> Iterator[Bar]:
        yield self

    def advance(self, by: float = 1.0) -> None:
        self._left -= int(by)
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    def describe(self, text: str) -> None:
        pass


def test_a_stopped_tuning_ends_with_the_same_weights(
    fitted: Predictor[TextRows], encoder: Path, tmp_path: Path
) -> None:
    """Asked to stop in the middle of an epoch it leaves a checkpoint, and the next fit ends as an unbroken one."""
    stopped = predictor_of(encoder)
    with pytest.raises(Interrupted, match="asked to stop after 20 of 180 steps"):
        stopped.fit(texts(), texts(60, seed=1), FitContext(_Terminating(20), tmp_path, seed=0))
    resumed = predictor_of(encoder, checkpoint_steps=7)
    report = resumed.fit(texts(), texts(60, seed=1), FitContext(SILENT, tmp_path, seed=0))
    assert report.resumed_from == 1
    test = texts(50, seed=3)
    assert np.array_equal(resumed.predict(test), fitted.predict(test))


def test_a_folder_that_holds_no_encoder_is_refused(encoder: Path, tmp_path: Path) -> None:
    """Without its files, or with weights as a pickle only, the sentence says what a folder must hold."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match=r"has no tokenizer\.json and no model\.safetensors"):
        predictor_of(tmp_path).fit(texts(), texts(60, seed=1), CONTEXT)
    for name in (TOKENIZER_FILE, "model.safetensors"):
        (tmp_path / name).write_bytes((encoder / name).read_bytes())
    with pytest.raises(UserError, match="transformers cannot open as a classifier"):
        predictor_of(tmp_path).fit(texts(), texts(60, seed=1), CONTEXT)


def test_texts_that_an_encoder_cannot_read_are_refused_before_it_is_tuned(encoder: Path, tmp_path: Path) -> None:
    """More tokens than it has positions, or a tokenizer of another encoder, would fail at the first such text."""
    with pytest.raises(UserError, match=r"cannot read a text of .*max_tokens = 64 .* it knows 32 positions"):
        predictor_of(encoder, max_tokens=64).fit(texts(), texts(60, seed=1), CONTEXT)
    for file in encoder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    words = tokenizers.Tokenizer.from_file(str(tmp_path / TOKENIZER_FILE))
    words.add_tokens([f"more{number}" for number in range(100)])
    words.save(str(tmp_path / TOKENIZER_FILE))
    with pytest.raises(UserError, match=r"take the tokenizer that belongs to it"):
        predictor_of(tmp_path).fit(texts(), texts(60, seed=1), CONTEXT)
