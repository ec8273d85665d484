"""The answers of one rollout, as the prediction log gets them: each once, whether its segment is Parquet by now or not.

Legend: R answers, N items of all of them, F features, K answers whose features are kept.

Only what is new is read: of a segment that is being written the frames behind the last reading, of a segment that
became Parquet the rows behind them. What servers of before the rollout wrote is not opened. Features are kept of a
sample of answers (`orita.delivery.rollouts.feature_sample`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orita.core.clock import to_micros
from orita.core.home import Home
from orita.core.ids import millis_of
from orita.delivery.rollouts.feature_sample import FeatureSample, rows_given
from orita.delivery.rollouts.hashing import hash_of
from orita.events.prediction_files import write_ahead_files
from orita.events.prediction_segment import ScoredRequest
from orita.events.prediction_tail import read_header, read_on

__all__ = ["Answers", "AnswersOfRollout"]

_COLUMNS = (
    "timestamp",
    "request_id",
    "user_id",
    "item_id",
    "variant",
    "system",
    "model_version",
    "rollout",
    "level",
    "latency_ms",
    "score",
    "rank",
)
_SPLIT = "split_since"
"""A column that older files lack."""
_BATCH_ROWS = 65_536
_UUID = 36
_CLOCKS = timedelta(seconds=60)
"""So much may the clocks of servers and of the file system differ."""
_LATE_MICROS = 60 * 1_000_000
"""So much older than its segment may an answer be: it waited for its commit."""
_SECOND = 1_000_000
_END = np.iinfo(np.int64).max

Objects = npt.NDArray[np.object_]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Answers, in the order in which they count.

    Attributes:
        at_R: microseconds since the Unix epoch.
        split_R: when the split began by which the answer was routed, likewise; −1 where the log does not say.
        counted_R: as of when it counts, likewise: `at_R`, and not before the first whole second of its split. What is
            older than the split that it was routed by is of a server whose clock is behind.
        user_R: id of the user, text.
        hash_R: hash of it.
        variant_R: place of the version among those of the rollout, −1 where it is none of them.
        failed_R: whether something stood in for the model, or another version for the one that the dice chose.
        latency_ms_R: of the request inside the server.
        score_R: of the item ranked first, NaN where something stood in.
        request_R: id of the request, text.
        list_R: place of the list of features in `AnswersOfRollout.features`, −1 where no features are kept.
        share_R: the share of answers whose features were kept at the time, 0 of those whose were not.
        given_R: features as float32 bytes, of the item ranked first, then of another one; None where none are kept.
        count_R: how many items it has.
        item_N, rank_N: ids as text and places from 1, answer by answer.
    """

    at_R: npt.NDArray[np.int64]
    split_R: npt.NDArray[np.int64]
    counted_R: npt.NDArray[np.int64]
    user_R: Objects
    hash_R: Hashes
    variant_R: npt.NDArray[np.int64]
    failed_R: npt.NDArray[np.bool_]
    latency_ms_R: npt.NDArray[np.float64]
    score_R: npt.NDArray[np.float64]
    request_R: Objects
    list_R: npt.NDArray[np.int64]
    share_R: npt.NDArray[np.float64]
    given_R: Objects
    count_R: npt.NDArray[np.int64]
    item_N: Objects
    rank_N: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.at_R)

    def take(self, index_K: npt.NDArray[np.intp]) -> Answers:
        """Return some of them, in the order of *index_K*."""
        rows_N = self.rows(index_K)
        return Answers(
            **{each.name: getattr(self, each.name)[index_K] for each in fields(self) if each.name.endswith("_R")},
            item_N=self.item_N[rows_N],
            rank_N=self.rank_N[rows_N],
        )

    def rows(self, index_K: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return the places of the items of some answers, answer by answer."""
        start_R = np.cumsum(self.count_R) - self.count_R
        count_K = self.count_R[index_K]
        within_N = np.arange(count_K.sum()) - np.repeat(np.cumsum(count_K) - count_K, count_K)
        return np.asarray(np.repeat(start_R[index_K], count_K) + within_N, np.int64)

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """Return all of them in the order in which they count; of two at one time, the smaller hash first."""
        whole = cls(**{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)})
        return whole.take(np.lexsort((whole.hash_R, whole.counted_R)))


class AnswersOfRollout:
    """Reads the answers that the dice of one rollout chose the version of.

    Args:
        home: whose prediction log.
        system: whose answers.
        rollout: its id.
        versions: that answers may be of: their places are those of `Answers.variant_R`.
        since: when it began.
        sampled: whether features of some answers are read.

    Attributes:
        features: lists of names that answers refer to.
        found: how many were read.
        outside: answers of the system since then, under a rollout, that no dice chose the version of.
    """

    def __init__(
        self,
        home: Home,
        system: str,
        rollout: str,
        versions: Sequence[str],
        since: datetime,
        *,
        sampled: bool = False,
    ) -> None:
        self._home, self._system, self._rollout = home, system, rollout
        self._places = {version: place for place, version in enumerate(versions)}
        self._since, self._start = since, to_micros(since)
        self._read: dict[str, tuple[int, int]] = {}  # by segment that is not done: rows and bytes
        self._version: dict[str, str] = {}  # by segment that is not done, too
        self._done: set[str] = set()
        self._listed: dict[Path, int] = {}
        self._sampled = sampled
        self._samples: dict[str, FeatureSample] = {}  # by segment that is not done, too
        self._lists: dict[tuple[str, ...], int] = {}
        self.found = self.outside = 0

    @property
    def features(self) -> Sequence[tuple[str, ...]]:
        """The lists of names of features that were met, by their places in `Answers.list_R`."""
        return tuple(self._lists)

    def new(self, reading: Callable[[], object] = lambda: None) -> Iterator[tuple[list[Answers], int]]:
        """Yield what was logged since the last time: pieces, and a time in microseconds before which all was yielded.

        Args:
            reading: called after every piece that is read.

        Raises:
            OSError: a file cannot be read.
        """
        # Segments first and Parquet second: what turns from one into the other between is found in the second.
        files = {path.stem: path for path in write_ahead_files(self._home) if path.stem not in self._done}
        files |= {path.stem: path for path in self._parquet()}
        ordered = sorted(files, key=_opened)
        for place, name in enumerate(ordered):
            path = files[name]
            pieces = self._of_file(path) if path.suffix == ".parquet" else self._of_segment(path)
            found = []
            for piece in pieces:
                found.append(piece)
                reading()
            later = _opened(ordered[place + 1]) - _LATE_MICROS if place + 1 < len(ordered) else _END
            yield found, later

    def _of_segment(self, path: Path) -> Iterator[Answers]:
        name = path.stem
        try:
            if name not in self._read:
                header = read_header(path)
                if header is None:
                    return
                if header[0].system != self._system:
                    self._done.add(name)
                    return
                self._read[name] = 0, header[1]
                self._version[name] = header[0].model_version
                self._sample(name, header[0].features)
            while (read := read_on(path, *self._read[name])).requests:
                ours = [each for each in read.requests if each.rollout == self._rollout]
                nobodys = (each for each in read.requests if each.rollout is None and each.variant is not None)
                self.found += len(ours)
                self.outside += sum(each.at_micros >= self._start for each in nobodys)
                self._read[name] = read.rows, read.position
                if ours:
                    yield self._answers(ours, self._version[name], self._samples.get(name))
        except FileNotFoundError:  # it became Parquet
            for parquet in self._home.predictions.glob(f"date=*/{name}.parquet"):
                yield from self._of_file(parquet)

    def _of_file(self, path: Path) -> Iterator[Answers]:
        yield from self._of_parquet(path)
        self._done.add(path.stem)
        self._read.pop(path.stem, None)
        self._version.pop(path.stem, None)
        self._samples.pop(path.stem, None)

    def _sample(self, segment: str, names: tuple[str, ...]) -> None:
        if self._sampled and names and segment not in self._samples:
            self._samples[segment] = FeatureSample(self._lists.setdefault(names, len(self._lists)), len(names))

    def _parquet(self) -> Iterator[Path]:
        """Yield the Parquet files that are not done, of folders that changed since they were listed."""
        first = f"date={(self._since - _CLOCKS).date().isoformat()}"
        oldest = (self._since - _CLOCKS).timestamp()
        for folder in sorted(self._home.predictions.glob("date=*")):
            changed = folder.stat().st_mtime_ns
            if folder.name < first or self._listed.get(folder) == changed:
                continue
            for path in folder.glob("[!.]*.parquet"):
                if path.stem in self._done:
                    continue
                if path.stat().st_mtime < oldest:
                    self._done.add(path.stem)
                else:
                    yield path
            self._listed[folder] = changed

    def _of_parquet(self, path: Path) -> Iterator[Answers]:
        rows = self._read.get(path.stem, (0, 0))[0]
        with pq.ParquetFile(path) as file:
            if "rollout" not in file.schema_arrow.names:
                return
            columns = [*_COLUMNS, *(_SPLIT,) * (_SPLIT in file.schema_arrow.names)]
            if self._sampled and "features" in file.schema_arrow.names:
                columns.append("features")
                self._sample(path.stem, tuple(field.name for field in file.schema_arrow.field("features").type))
            sample = self._samples.get(path.stem)
            held: pa.Table | None = None
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
                if rows >= len(batch):
                    rows -= len(batch)
                    continue
                table = pa.Table.from_batches([batch.slice(rows)])
                rows = 0
                table = table if held is None else pa.concat_tables([held, table])
                last = int(_starts(table)[-1])  # that answer may go on in the next batch
                yield from self._of_rows(table.slice(0, last), sample)
                held = table.slice(last)
            if held is not None:
                yield from self._of_rows(held, sample)

    def _of_rows(self, table: pa.Table, sample: FeatureSample | None) -> Iterator[Answers]:
        rollouts = table["rollout"].combine_chunks()
        self.outside += self._outside(table)
        table = table.filter(pc.fill_null(pc.equal(rollouts, self._rollout), False))
        if not len(table):
            return
        start_R = _starts(table)
        self.found += len(start_R)
        told = ["timestamp", "request_id", "user_id", "variant", "model_version", "level", "latency_ms"]
        firsts = table.select([*told, *(_SPLIT,) * (_SPLIT in table.column_names)]).take(start_R)
        at_R, requests = firsts["timestamp"].cast(pa.int64()).to_numpy(), firsts["request_id"].to_pylist()
        counts_R, ranks_N, failed_R = np.diff(np.append(start_R, len(table))), table["rank"].to_numpy(), _failed(firsts)
        given: list[bytes | None] = [None] * len(requests)
        share_R = np.zeros(len(requests))
        if sample is not None:
            share_R = sample.shares(at_R.tolist(), requests)
            kept = np.flatnonzero((share_R > 0) & ~failed_R)
            for place, of_two in zip(kept.tolist(), rows_given(table, kept, start_R, counts_R, ranks_N), strict=True):
                given[place] = of_two
        yield self._built(
            at=at_R,
            splits=_splits(firsts),
            users=firsts["user_id"].to_pylist(),
            variants=firsts["variant"].to_pylist(),
            failed=failed_R,
            latencies=firsts["latency_ms"].to_numpy(),
            requests=requests,
            counts=counts_R,
            items=table["item_id"].to_pylist(),
            scores_N=table["score"].to_numpy(),
            ranks_N=ranks_N,
            given=given,
            share_R=share_R,
            sample=sample,
        )

    def _outside(self, table: pa.Table) -> int:
        """Return how many answers of the system there are, since the rollout began, that no dice chose for."""
        of_nobody = pc.and_(pc.is_null(table["rollout"]), pc.is_valid(table["variant"]))
        firsts = pc.and_(pc.equal(table["rank"], 1), pc.equal(table["system"], self._system))
        since = pc.greater_equal(table["timestamp"].cast(pa.int64()), self._start)
        return int(pc.sum(pc.and_(of_nobody, pc.and_(firsts, since))).as_py() or 0)

    def _answers(self, requests: Sequence[ScoredRequest], version: str, sample: FeatureSample | None) -> Answers:
        at = [each.at_micros for each in requests]
        failed = [each.level > 1 or each.variant != version for each in requests]
        given: list[bytes | None] = [None] * len(requests)
        share_R = np.zeros(len(requests))
        if sample is not None:
            share_R = sample.shares(at, [each.request_id for each in requests])
            given = [
                sample.given(each) if share and not fails else None
                for each, share, fails in zip(requests, share_R.tolist(), failed, strict=True)
            ]
        return self._built(
            at=at,
            splits=[-1 if each.split_micros is None else each.split_micros for each in requests],
            users=[str(each.user_id) for each in requests],
            variants=[each.variant for each in requests],
            failed=failed,
            latencies=[each.latency_ms for each in requests],
            requests=[each.request_id for each in requests],
            counts=[len(each.item_ids) for each in requests],
            items=[str(item) for each in requests for item in each.item_ids],
            scores_N=np.frombuffer(b"".join(each.scores for each in requests), np.float32),
            ranks_N=np.frombuffer(b"".join(each.ranks for each in requests), np.int32),
            given=given,
            share_R=share_R,
            sample=sample,
        )

    def _built(self, *, at: Any, splits: Any, users: list[str], variants: list[str | None], failed: Any, latencies: Any,
               requests: list[str], counts: Any, items: list[str], scores_N: npt.NDArray[np.float32],
               ranks_N: npt.NDArray[np.int32], given: list[bytes | None],
               share_R: npt.NDArray[np.float64], sample: FeatureSample | None) -> Answers:  # fmt: skip
        failed_R = np.asarray(failed, bool)
        count_R = np.asarray(counts, np.int64)
        score_R = np.full(len(count_R), np.nan)
        firsts_N = np.flatnonzero(ranks_N == 1)
        answer_N = np.repeat(np.arange(len(count_R)), count_R)
        score_R[answer_N[firsts_N]] = scores_N[firsts_N]
        score_R[failed_R] = np.nan
        at_R, split_R = np.asarray(at, np.int64), np.asarray(splits, np.int64)
        return Answers(
            at_R=at_R,
            split_R=split_R,
            counted_R=np.maximum(at_R, self._start - (self._start - split_R) // _SECOND * _SECOND),
            user_R=_texts(users),
            hash_R=_hashes(users),
            variant_R=np.array([self._places.get(each or "", -1) for each in variants], np.int64),
            failed_R=failed_R,
            latency_ms_R=np.asarray(latencies, np.float32).astype(np.float64),
            score_R=score_R,
            request_R=_texts(requests),
            list_R=np.array([-1 if each is None or sample is None else sample.list for each in given], np.int64),
            share_R=share_R,
            given_R=_texts(given),
            count_R=count_R,
            item_N=_texts(items),
            rank_N=np.asarray(ranks_N, np.int32),
        )


def _hashes(texts: Sequence[str]) -> Hashes:
    known: Mapping[str, int] = {text: hash_of(text) for text in set(texts)}
    return np.array([known[text] for text in texts], np.uint64)


def _texts(values: Sequence[str | bytes | None]) -> Objects:
    texts: Objects = np.empty(len(values), object)
    texts[:] = values
    return texts


def _opened(name: str) -> int:
    """Return when a segment was opened, in microseconds: its name ends in a UUID of version 7."""
    return millis_of(name[-_UUID:]) * 1000


def _splits(firsts: pa.Table) -> npt.NDArray[np.int64]:
    """Return when the split of each answer began, −1 where the file does not say."""
    if _SPLIT not in firsts.column_names:
        return np.full(len(firsts), -1, np.int64)
    return np.asarray(pc.fill_null(firsts[_SPLIT].cast(pa.int64()), -1).to_numpy(), np.int64)


def _failed(firsts: pa.Table) -> npt.NDArray[np.bool_]:
    """Tell of which answers something stood in for the model, or another version for the one that was chosen."""
    stood_in = pc.or_kleene(pc.greater(firsts["level"], 1), pc.not_equal(firsts["model_version"], firsts["variant"]))
    return np.asarray(pc.fill_null(stood_in, True).to_numpy(), bool)


def _starts(table: pa.Table) -> npt.NDArray[np.int64]:
    """Return where answers begin: rows of one have the same request and time."""
    codes_M = table["request_id"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    at_M = table["timestamp"].cast(pa.int64()).to_numpy()
    changed = np.flatnonzero((codes_M[1:] != codes_M[:-1]) | (at_M[1:] != at_M[:-1])) + 1
    return np.concatenate([[0], changed]).astype(np.int64)
