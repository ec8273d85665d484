"""Sentiment of tweets in four Nigerian languages (AfriSenti): weighted F1 on the given test files.

``make bench B=text DATA=folder``. No pretrained weights. One recipe for Hausa, Igbo, Yorùbá and Nigerian Pidgin: hashed
n-grams and the mean of two linear learners. The dev file of a language chooses among the declared settings; training
rows whose text is also in it are left out. The model then learns again from training and dev rows, and meets the test
file once. ``--only`` measures some of the languages. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import unicodedata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.ranker import FitContext
from orita.models.tasks.build import build_text_predictor
from orita.models.tasks.config import TaskSection
from orita.models.tasks.predictor import TextRows
from orita.stats.classification import f1_by_class, weighted_f1

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "moderation"
LANGUAGES = {"hau": "Hausa", "ibo": "Igbo", "yor": "Yorùbá", "pcm": "Nigerian Pidgin"}
CLASSES = ("negative", "neutral", "positive")
SECTION = TaskSection(task="text", classes=CLASSES)
SEED = 0


def read_tweets(folder: Path, language: str, part: str) -> TextRows:
    """Return the rows of one file: a tweet, a tab and its label a line, under a header."""
    file = folder / f"afrisenti-{language}-{part}.tsv"
    lines = file.read_text(encoding="utf-8").split("\n")[1:]
    pairs = [line.rstrip("\r").rpartition("\t") for line in lines if line.strip()]
    for number, (_, _, label) in enumerate(pairs, start=2):
        if label not in CLASSES:
            raise UserError(f"{file}, line {number}: the label is {label!r}, allowed are {', '.join(CLASSES)}.")
    labels_N = np.array([CLASSES.index(label) for _, _, label in pairs], np.int64)
    return TextRows([text for text, _, _ in pairs], labels_N)


def take(rows: TextRows, keep_N: npt.NDArray[np.bool_]) -> TextRows:
    """Return the rows to keep."""
    return TextRows([text for text, keep in zip(rows.texts, keep_N, strict=True) if keep], rows.y_N[keep_N])


def unseen(rows: TextRows, *others: TextRows) -> npt.NDArray[np.bool_]:
    """Return which rows have a text that no other row has, but for case and spaces."""
    seen = {_plain(text) for other in others for text in other.texts}
    return np.array([_plain(text) not in seen for text in rows.texts], np.bool_)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def measure(folder: Path, language: str) -> float:
    """Choose, learn, and print the figures of one language; return the weighted F1 on its test file."""
    train, dev, test = (read_tweets(folder, language, part) for part in ("train", "dev", "test"))
    fresh_N = unseen(test, train, dev)
    learn = take(train, unseen(train, dev))
    print(
        f"{LANGUAGES[language]}: {len(train)} train ({len(train) - len(learn)} left out: their text is in dev), "
        f"{len(dev)} dev, {len(test)} test ({len(test) - int(fresh_N.sum())} of them with a text of train or dev)"
    )
    started = time.perf_counter()
    predictor = build_text_predictor(SECTION)
    report = predictor.fit(learn, dev, FitContext(SILENT, seed=SEED))
    best = max(report.history, key=lambda row: row["val_f1"])
    print(
        f"  dev: weighted F1 {best['val_f1']:.4f}, log loss {best['val_log_loss']:.3f}; settings: {len(report.history)}"
    )
    print(f"  chosen: {report.params}, {time.perf_counter() - started:.0f} s")
    answers_N = predictor.predict(test).argmax(axis=1)
    figures = {"all": np.ones(len(test), np.bool_), "with a text of their own": fresh_N}
    for name, part_N in figures.items():
        y_N, found_N = test.y_N[part_N], answers_N[part_N]
        each = zip(CLASSES, f1_by_class(y_N, found_N, len(CLASSES)), np.bincount(y_N, minlength=3), strict=True)
        table = ", ".join(f"{label} {f1:.3f} of {rows}" for label, f1, rows in each)
        print(f"  test rows, {name}: weighted F1 {weighted_f1(y_N, found_N, len(CLASSES)):.4f}; {table}", flush=True)
    return weighted_f1(test.y_N, answers_N, len(CLASSES))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path(os.environ.get("DATA") or _DEFAULT))
    parser.add_argument("--only", choices=tuple(LANGUAGES), nargs="+", default=tuple(LANGUAGES), metavar="LANGUAGE")
    arguments = parser.parse_args()
    folder: Path = arguments.data
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder that holds afrisenti-<language>-<part>.tsv.")
    print(f"protocol: settings chosen on dev, learnt again from train and dev, test once; seed {SEED}; {SECTION.text}")
    print(json.dumps({language: round(measure(folder, language), 4) for language in arguments.only}))


if __name__ == "__main__":
    main()
