"""Top-10 recommendation on MovieLens-100K, by the protocol of the Microsoft recommenders repository: mean nDCG@10.

``make bench B=movielens_top10 DATA=folder``; the last line is one JSON object.

Protocol. 75 % of each user's ratings, drawn at random and rounded, are training rows, the others test rows. All ratings
are positives, whatever their stars; nDCG is binary. Each user is answered with 10 out of all items of which there is no
training row of theirs; test items that nobody rated in training cannot be found and count as missed. Three seeds, the
mean of their nDCG@10.

The rule of choice, set before any test row was looked at: each candidate is fitted on 75 % of each user's training rows
and judged on the other 25 %; the best of a seed is fitted on all training rows of that seed and judged on its test
rows. Seeds choose apart, as validation rows of one are in part test rows of another. The test figures of the others are
printed, and decide nothing. On validation rows every test positive is a miss, since it cannot be known, so those
figures are much lower than the test's; they only compare candidates.

Legend: N ratings, U users, I items, G groups.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.csv as pacsv

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.ranker import FitContext
from orita.models.retrieval.build import build_reranked, build_retriever
from orita.models.retrieval.config import EaseSection, RetrieverSection
from orita.models.retrieval.interactions import Interactions
from orita.models.retrieval.retriever import Retriever
from orita.models.retrieval.traits import Traits
from orita.stats.metrics import ndcg_at_k, rank_groups

__all__ = ["measure"]

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "movielens-100k"
_SEEDS = (0, 1, 2)
_K = 10
_TRAINING_SHARE = 0.75
_WEIGHTS = np.array([0.5, 0.5, 0.9, 1.3, 1.3], np.float32)  # of 1 … 5 stars: what was liked says more
_AGES = (18, 25, 30, 35, 45, 55)

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Data:
    """All ratings, groups of users and kinds of items."""

    ratings: Interactions
    groups: dict[str, Traits]
    kinds: dict[str, Traits]


def measure(data: Path) -> float:
    """Print the protocol and each candidate's figures, and return the chosen one's mean test nDCG@10.

    Args:
        data: the folder of MovieLens-100K in RecBole's atomic files.
    """
    started = time.perf_counter()
    known = _read(data)
    candidates = _candidates(known)
    print(
        f"protocol: {_TRAINING_SHARE:.0%} of each user's ratings, at random, for training; seeds {_SEEDS}; {_K} of all"
    )
    print(
        "  unseen items, every rating a positive, binary nDCG; the choice is made on validation rows, 25 % of training"
    )
    val = {name: [_validation(make, known.ratings, seed) for seed in _SEEDS] for name, make in candidates.items()}
    of_seeds = zip(*val.values(), strict=True)  # the figures of all candidates, seed by seed
    chosen = [max(zip(of_seed, val, strict=True))[1] for of_seed in of_seeds]
    test = {name: [_test(make, known.ratings, seed) for seed in _SEEDS] for name, make in candidates.items()}
    for seed, best in zip(_SEEDS, chosen, strict=True):
        train, held = _split(known.ratings, seed)
        print(
            f"  seed {seed}: {len(train):,} training rows, of which {len(_split(train, seed)[1]):,} for validation;",
            end=" ",
        )
        print(f"{len(held):,} test rows; chosen on validation: {best}")
    for name in candidates:
        figures = [" ".join(f"{value:.4f}" for value in part[name]) for part in (val, test)]
        print(f"  {name:>9}: validation {figures[0]} mean {np.mean(val[name]):.4f}", end=" · ")
        print(f"test {figures[1]} mean {np.mean(test[name]):.4f}")
    print(f"  seconds: {time.perf_counter() - started:.0f}")
    return float(np.mean([test[best][at] for at, best in enumerate(chosen)]))


def _candidates(known: _Data) -> Mapping[str, Callable[[], Retriever]]:
    """Return what is compared: the plain model, its denoising form, ratings as weights, and trees on top of several."""
    section = RetrieverSection()
    plain = EaseSection(l2=300.0, input_dropout=0.0, user_weight_power=0.0, use_weights=False)
    denoised = EaseSection(use_weights=False)
    return {
        "popular": lambda: build_retriever(section.model_copy(update={"type": "popularity"})),
        "ease": lambda: build_retriever(section.model_copy(update={"ease": plain})),
        "denoised": lambda: build_retriever(section.model_copy(update={"ease": denoised})),
        "weighted": lambda: build_retriever(section),
        "factors": lambda: build_retriever(section.model_copy(update={"type": "factors"})),
        "reranked": lambda: build_reranked(section, known.groups, known.kinds),
    }


def _validation(make: Callable[[], Retriever], ratings: Interactions, seed: int) -> float:
    train, _ = _split(ratings, seed)
    return _judge(make, *_split(train, seed), seed)


def _test(make: Callable[[], Retriever], ratings: Interactions, seed: int) -> float:
    return _judge(make, *_split(ratings, seed), seed)


def _judge(make: Callable[[], Retriever], train: Interactions, held: Interactions, seed: int) -> float:
    """Return the mean over users with a held-out row of nDCG@10."""
    retriever = make()
    retriever.fit(train, FitContext(SILENT, seed=seed))
    users_U: Any = np.unique(held.users_N)
    found = retriever.retrieve(users_U, _K)
    held_pairs = _pairs(held.users_N, held.items_N)
    found_pairs = _pairs(np.repeat(users_U, _K), found.items_QK.ravel())
    missed = np.setdiff1d(held_pairs, found_pairs)
    # Lists of ten in their order, then all positives that are not in them: they count in the best possible list alone.
    y = np.concatenate([np.isin(found_pairs, held_pairs), np.ones(len(missed), bool)])
    scores = np.concatenate([np.tile(np.arange(_K, 0, -1.0), len(users_U)), np.zeros(len(missed))])
    users = np.concatenate([np.repeat(users_U, _K), missed >> 32])
    return ndcg_at_k(rank_groups(y, scores, users), _K)


def _pairs(users: Any, items: Any) -> Rows:
    pairs: Rows = (users.astype(np.int64) << 32) + items.astype(np.int64)
    return pairs


def _split(rows: Interactions, seed: int) -> tuple[Interactions, Interactions]:
    """Part each user's rows at random, 75 % of them, rounded, into the first part."""
    key_N = np.random.default_rng(seed).random(len(rows))
    order_N = np.lexsort((key_N, rows.users_N))
    _, start_U, count_U = np.unique(rows.users_N[order_N], return_index=True, return_counts=True)
    place_N = np.arange(len(rows)) - np.repeat(start_U, count_U)
    first_N = np.empty(len(rows), bool)
    first_N[order_N] = place_N < np.repeat(np.round(_TRAINING_SHARE * count_U), count_U)
    return rows.take(first_N), rows.take(~first_N)


def _read(folder: Path) -> _Data:
    ratings, users, items = (_table(folder / f"ml-100k.{part}") for part in ("inter", "user", "item"))
    stars_N = ratings["rating"].astype(np.int64)
    rows = Interactions(
        ratings["user_id"].astype(np.int64),
        ratings["item_id"].astype(np.int64),
        ratings["timestamp"].astype(np.int64) * 1_000_000,
        _WEIGHTS[stars_N - 1],
    )
    user_U, item_I = users["user_id"].astype(np.int64), items["item_id"].astype(np.int64)
    ages_U = np.digitize(users["age"].astype(np.int64), _AGES)
    groups = {"age": ages_U, "gender": users["gender"], "occupation": users["occupation"]}
    year_I = np.array([int(year) if year.isdigit() else 0 for year in items["release_year"]])
    kinds = {"genres": _traits(item_I, items["class"]), "period": _traits(item_I, np.vectorize(_period)(year_I))}
    return _Data(rows, {name: _traits(user_U, values) for name, values in groups.items()}, kinds)


def _period(year: int) -> str:
    """Return the decade, from 1990 on half of it."""
    step = 5 if year >= 1990 else 10
    return str(max(year // step * step, 1940)) if year else ""


def _traits(ids_N: Any, values_N: npt.NDArray[Any]) -> Traits:
    """Return a column for each word that occurs in the values."""
    words_N = [str(value).split() for value in values_N]
    words = {word: at for at, word in enumerate(sorted({word for some in words_N for word in some}))}
    has_NG = np.zeros((len(ids_N), len(words)), np.float32)
    for row, some in enumerate(words_N):
        has_NG[row, [words[word] for word in some]] = 1.0
    return Traits(ids_N, has_NG)


def _table(file: Path) -> dict[str, npt.NDArray[Any]]:
    if not file.is_file():
        raise UserError(f"{file} is missing: give the folder of MovieLens-100K in RecBole's atomic files.")
    names = file.read_text(encoding="utf-8").split("\n", 1)[0].split("\t")
    types = pacsv.ConvertOptions(column_types=dict.fromkeys(names, "string"), strings_can_be_null=False)
    parse = pacsv.ParseOptions(delimiter="\t", quote_char=False)
    table = pacsv.read_csv(file, parse_options=parse, convert_options=types)
    return {name.partition(":")[0]: np.array(table[name].to_pylist()) for name in names}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path(os.environ.get("DATA") or _DEFAULT))
    found = measure(parser.parse_args().data)
    print(json.dumps({"ndcg_at_10": round(found, 4)}))


if __name__ == "__main__":
    main()
