"""The public data sets that Orita knows."""

from __future__ import annotations

import io
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from orita.core.errors import NotFound, UserError
from orita.events.datasets import DATASETS, fetch, recognise


def _archive(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return out.getvalue()


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the network answers; an empty list means there is none."""
    content: list[bytes] = []

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        assert url.startswith("https://")
        assert timeout > 0
        if not content:
            raise urllib.error.URLError("no route to host")
        return io.BytesIO(content[0])

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return content


def test_every_known_set_says_where_it_comes_from() -> None:
    """Each data set has a page, a licence and a count of rows, and one that can be fetched is fetched by https."""
    assert {"movielens-100k", "fraud-handbook", "open-bandit", "afrisenti", "davidson"} <= set(DATASETS)
    for dataset in DATASETS.values():
        assert dataset.page.startswith("https://")
        assert dataset.licence
        assert dataset.rows > 0
        assert dataset.url == "" or dataset.url.startswith("https://")


def test_a_folder_is_recognised_by_its_files(tmp_path: Path) -> None:
    """A folder with the files of a set is that set; to name another one for it is refused."""
    assert recognise(tmp_path) is None
    (tmp_path / "u.data").write_text("1\t1\t1\t1\n")
    assert recognise(tmp_path) == "movielens-100k"
    assert recognise(tmp_path, "movielens-100k") == "movielens-100k"
    with pytest.raises(NotFound, match="Did you mean 'movielens-100k'"):
        recognise(tmp_path, "movielens-10k")
    with pytest.raises(UserError, match="'open-bandit' is listed but cannot be ingested yet"):
        recognise(tmp_path, "open-bandit")


def test_fetch_unpacks_whole_or_not_at_all(tmp_path: Path, answer: list[bytes]) -> None:
    """A fetched set lies flat in its folder, and a second fetch needs no network."""
    answer.append(_archive(**{"ml-100k__u_dot_data": "1\t1\t1\t1\n"}))
    folder = fetch("movielens-100k", tmp_path / "ml")
    assert [path.name for path in folder.iterdir()] == ["u.data"]
    answer.clear()
    assert fetch("movielens-100k", tmp_path / "ml") == folder


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"cannot be reached \(no route to host\): check the network"),
        (b"<html>", "is no whole zip archive"),
        (_archive(**{"readme": "hello"}), "holds another data set"),
        (_archive(**{".._ _".replace(" ", "") + "evil": "x"}), "which leaves its folder"),
        (b"x" * 30_000_000, "is larger than 20,000,000 bytes"),
    ],
    ids=["no network", "no archive", "other content", "path outside", "too large"],
)
def test_a_failed_fetch_is_one_sentence_and_leaves_nothing(
    content: bytes | None, sentence: str, tmp_path: Path, answer: list[bytes]
) -> None:
    """Whatever goes wrong, the folder is not there afterwards and the sentence says why."""
    if content is not None:
        answer.append(content)
    with pytest.raises(UserError, match=sentence):
        fetch("movielens-100k", tmp_path / "ml")
    assert list(tmp_path.iterdir()) == []


def test_a_set_without_address_names_its_page(tmp_path: Path) -> None:
    """What cannot be fetched by a command says where to get it; a folder in use is not touched."""
    with pytest.raises(UserError, match=r"get it from https://research\.zozo\.com"):
        fetch("open-bandit", tmp_path / "ob")
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UserError, match="is not empty"):
        fetch("movielens-100k", tmp_path)
