"""Which public data sets Orita knows: what they are, where they come from, under which licence, and how to get one."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orita.core.errors import NotFound, UserError, closest
from orita.core.files import atomic_directory
from orita.core.progress import SILENT, Bar, Progress
from orita.events.sources.movielens import find_movielens

__all__ = ["DATASETS", "Dataset", "fetch", "recognise"]

_TIMEOUT_SECONDS = 30
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Dataset:
    """A public data set.

    Attributes:
        name: what it is called in commands.
        title: its full name.
        description: one sentence.
        rows: about how many interactions or records it has.
        licence: under which terms it may be used, in short.
        page: where it is described.
        url: the archive that `fetch` downloads; empty where it must be fetched by hand.
        system: the shipped system that uses it.
        adapter: whether `ingest` can read it.
        most_bytes: `fetch` refuses a larger archive, or one that unpacks to more than ten times as much.
        found: tells whether a path is this data set.
    """

    name: str
    title: str
    description: str
    rows: int
    licence: str
    page: str
    url: str
    system: str
    adapter: bool
    most_bytes: int
    found: Callable[[Path], bool]


def _is_movielens(path: Path) -> bool:
    return "interactions" in find_movielens(path)


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda path: path.is_dir() and all((path / name).exists() for name in names)


_KNOWN = (
    Dataset(
        name="movielens-100k",
        title="MovieLens 100K",
        description="100,000 ratings of 1,682 films by 943 people, with attributes of both.",
        rows=100_000,
        licence="research use; no redistribution without permission (GroupLens)",
        page="https://grouplens.org/datasets/movielens/100k/",
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        system="movielens",
        adapter=True,
        most_bytes=20_000_000,
        found=_is_movielens,
    ),
    Dataset(
        name="fraud-handbook",
        title="Simulated card transactions of the Fraud Detection Handbook",
        description="Card transactions of simulated customers and terminals, with labelled fraud.",
        rows=1_754_155,
        licence="GPL-3.0 (code), CC BY-SA 4.0 (text)",
        page="https://github.com/Fraud-Detection-Handbook/simulated-data-raw",
        url="",
        system="fraud",
        adapter=False,
        most_bytes=0,
        found=_has("transactions.parquet"),
    ),
    Dataset(
        name="open-bandit",
        title="Open Bandit Dataset",
        description="Logged recommendations of a fashion shop under two policies, with propensities and clicks.",
        rows=26_000_000,
        licence="CC BY 4.0",
        page="https://research.zozo.com/data.html",
        url="",
        system="bandit",
        adapter=False,
        most_bytes=0,
        found=_has("random", "bts"),
    ),
    Dataset(
        name="afrisenti",
        title="AfriSenti",
        description="Posts in Hausa, Igbo, Nigerian Pidgin and Yorùbá with their sentiment.",
        rows=63_000,
        licence="CC BY 4.0",
        page="https://github.com/afrisenti-semeval/afrisent-semeval-2023",
        url="",
        system="moderation",
        adapter=False,
        most_bytes=0,
        found=_has("afrisenti-yor-train.tsv"),
    ),
    Dataset(
        name="davidson",
        title="Hate Speech and Offensive Language (Davidson et al., 2017)",
        description="Posts in English, labelled as hateful, offensive or neither.",
        rows=24_783,
        licence="MIT",
        page="https://github.com/t-davidson/hate-speech-and-offensive-language",
        url="",
        system="moderation",
        adapter=False,
        most_bytes=0,
        found=_has("hate-offensive-davidson.csv"),
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _KNOWN}
"""The known data sets by name."""


def recognise(path: Path, name: str | None = None) -> str | None:
    """Return the name of the data set that *path* is, or None.

    Args:
        path: a file or folder.
        name: the data set that it must be; None: any.

    Raises:
        UserError: *name* is not known, has no adapter, or is not what *path* is.
    """
    if name is None:
        return next((known.name for known in _KNOWN if known.adapter and path.exists() and known.found(path)), None)
    dataset = _named(name)
    if not dataset.adapter:
        raise UserError(f"data set {name!r} is listed but cannot be ingested yet; those that can: {_adapted()}.")
    if path.exists() and not dataset.found(path):
        raise UserError(f"{path} is not {dataset.title}: name its folder, or leave the data set out.")
    return name


def fetch(name: str, folder: Path, progress: Progress = SILENT) -> Path:
    """Download the data set *name* into *folder*, which appears whole or not at all; return *folder*.

    A folder that already is the data set is left as it is.

    Raises:
        UserError: the data set cannot be fetched, there is no network, or the archive is not what was expected.
    """
    dataset = _named(name)
    if dataset.found(folder):
        return folder
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty and is not {dataset.title}: name a new folder.")
    if not dataset.url:
        raise UserError(f"data set {name!r} cannot be fetched by a command: get it from {dataset.page}.")
    with atomic_directory(folder) as partial:
        archive = partial / "archive.zip"
        with progress.bar(f"Fetch {name}") as bar:
            _download(dataset, archive, bar)
        _unpack(dataset, archive, partial)
        archive.unlink()
        if not dataset.found(partial):
            raise UserError(f"{dataset.url} holds another data set than {dataset.title}: get it from {dataset.page}.")
    return folder


def _named(name: str) -> Dataset:
    if name not in DATASETS:
        raise NotFound(f"data set {name!r} is not known. {closest(name, DATASETS)}")
    return DATASETS[name]


def _adapted() -> str:
    return ", ".join(dataset.name for dataset in _KNOWN if dataset.adapter)


def _download(dataset: Dataset, archive: Path, bar: Bar) -> None:
    try:
        with _opened(dataset.url) as chunks, archive.open("wb") as out:
            size = 0
            for chunk in chunks:
                size += len(chunk)
                if size > dataset.most_bytes:
                    raise UserError(
                        f"{dataset.url} is larger than {dataset.most_bytes:,} bytes: it is not {dataset.title}."
                    )
                out.write(chunk)
                bar.advance(len(chunk))
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{dataset.url} cannot be reached ({reason}): check the network, or get {dataset.title} from "
            f"{dataset.page} on another machine and ingest its folder."
        ) from None


@contextmanager
def _opened(url: str) -> Iterator[Iterator[bytes]]:
    if not url.startswith("https://"):
        raise UserError(f"{url} is not fetched: only https addresses are.")
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - https only, checked above
        yield iter(lambda: answer.read(_CHUNK), b"")


def _unpack(dataset: Dataset, archive: Path, folder: Path) -> None:
    """Unpack the files of *archive* flat into *folder*; nothing can be written elsewhere."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            if sum(member.file_size for member in members) > 10 * dataset.most_bytes:
                raise UserError(
                    f"{dataset.url} unpacks to more than {10 * dataset.most_bytes:,} bytes: it was refused."
                )
            for member in members:
                parts = PurePosixPath(member.filename).parts
                if ".." in parts or member.filename.startswith("/"):
                    raise UserError(
                        f"{dataset.url} holds the path {member.filename!r}, which leaves its folder: refused."
                    )
                with opened.open(member) as source, (folder / parts[-1]).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except zipfile.BadZipFile:
        raise UserError(f"{dataset.url} is no whole zip archive: fetch it again.") from None
