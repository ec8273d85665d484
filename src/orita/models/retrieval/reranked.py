"""Candidates of one scorer, put in order by trees that weigh the scores of several.

Legend: Q queries, U users, I items, C candidates of a query, N rows (queries × candidates), F features, M members.

The members learn from a part of each user's history, and LambdaMART (Burges, "From RankNet to LambdaRank to
LambdaMART", 2010; LightGBM) learns from what was held out which of their candidates were taken. Then the members learn
from all. This is stacking (Wolpert, "Stacked generalization", 1992): no score that the trees learn from has seen the
row it is judged by. The trees are kept as an ONNX graph, so what is judged is what serves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from scipy import sparse

from orita.core.errors import UserError
from orita.core.extras import require
from orita.models.compose import Composer
from orita.models.graph import OUTPUT, open_graph, run_graph
from orita.models.package.manifest import Contents
from orita.models.package.strict_json import canonical_json
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.config import RerankSection
from orita.models.retrieval.evidence import Evidence
from orita.models.retrieval.members import read_scorer
from orita.models.retrieval.scorer import Floats, Queries, Scorer
from orita.models.trees import add_trees

__all__ = ["Reranked", "hold_out"]

_BEHIND = np.float32(1000.0)  # puts what is no candidate behind all candidates
_BLOCK_CELLS = 2_000_000  # scores of each member held at once, 8 MB
_EVIDENCE = 3  # features of a candidate beside the scores of the members
_MOST_MEMBERS = 16
_TREE_SCORES = 1_000_000  # rows given to the graph at once


class Reranked:
    """The scorer of ``type: reranked``.

    Args:
        members: scorers, not yet fitted; the first one chooses the candidates. At most 16.
        section: how many candidates, hold-outs and trees.
    """

    type = "reranked"

    def __init__(self, members: Sequence[Scorer], section: RerankSection) -> None:
        self._members, self._section = tuple(members), section
        self._evidence: Evidence | None = None
        self._graph: bytes = b""
        self._session: Any = None

    def fit(self, catalogue: Catalogue, seed: int) -> dict[str, object]:
        """Learn the trees from held-out parts of histories, then the members from all."""
        lightgbm = require("lightgbm", extra="train")
        random = np.random.default_rng(seed)
        parts = [self._judged(catalogue, random) for _ in range(self._section.holdouts)]
        x_NF, y_N = np.concatenate([x_NF for x_NF, _, _ in parts]), np.concatenate([y_N for _, y_N, _ in parts])
        sizes = np.concatenate([sizes for _, _, sizes in parts])
        trees = []
        for bag in range(self._section.bags):
            data = lightgbm.Dataset(x_NF, y_N, group=sizes)
            booster = lightgbm.train(self._parameters(seed * 1_000 + bag), data, self._section.trees)
            trees += booster.dump_model()["tree_info"]
        self._graph = _graph_of(trees, x_NF.shape[1])
        self._session = open_graph(Path("trees.onnx"), self._graph)
        self._fit_members(catalogue, seed)
        return self._section.model_dump(mode="json") | {"members": ",".join(m.type for m in self._members)}

    def scores(self, queries: Queries) -> Floats:
        """Return ``scores_QI``: the trees' for candidates; all others, and the history, come after them."""
        assert self._evidence is not None
        scores_MQI = [member.scores(queries) for member in self._members]
        found_QI, at_QC, x_NF = self._evidence.of(queries, scores_MQI, self._section.candidates)
        found_QI -= _BEHIND
        blocks = range(0, len(x_NF), _TREE_SCORES)
        trees_N = [run_graph(self._session, {"features": x_NF[at : at + _TREE_SCORES]}) for at in blocks]
        if trees_N:
            np.put_along_axis(found_QI, at_QC, np.concatenate(trees_N).reshape(at_QC.shape), 1)
        return found_QI

    def write(self, folder: Path, stem: str) -> None:
        """Write the trees, the members, and which they are."""
        assert self._evidence is not None
        (folder / f"{stem}.onnx").write_bytes(self._graph)
        self._evidence.write(folder / f"{stem}.npz")
        kept = {"members": [m.type for m in self._members], "settings": self._section.model_dump(mode="json")}
        (folder / f"{stem}.json").write_bytes(canonical_json(kept))
        for number, member in enumerate(self._members):
            member.write(folder, f"{stem}-{number}")

    @classmethod
    def read(cls, contents: Contents, stem: str, catalogue: Catalogue) -> Self:
        """Read what `write` wrote, of the verified bytes of a package.

        Raises:
            UserError: a file is damaged, names an unknown member, or the trees are of other members.
        """
        section, types = _read_kept(contents, f"{stem}.json")
        members = [read_scorer(type_, contents, f"{stem}-{n}", catalogue) for n, type_ in enumerate(types)]
        scorer, file = cls(members, section), f"{stem}.onnx"
        scorer._evidence = Evidence.read(contents, f"{stem}.npz", catalogue)
        scorer._graph = contents.content(file)
        scorer._session = open_graph(contents.folder / file, scorer._graph)
        inputs = {given.name: list(given.shape) for given in scorer._session.get_inputs()}
        outputs = {given.name: given.type for given in scorer._session.get_outputs()}
        width = len(members) + _EVIDENCE
        if inputs != {"features": ["N", width]} or outputs != {OUTPUT: "tensor(float)"}:
            raise UserError(f"{contents.where(file)} does not weigh {width} features; export the model again.")
        return scorer

    def _judged(
        self, catalogue: Catalogue, random: np.random.Generator
    ) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return ``x_NF``, ``y_N`` and the rows a query, of users with something held out."""
        known, held_UI = hold_out(catalogue, self._section.held_out, random)
        self._fit_members(known, int(random.integers(1 << 31)))
        user_Q = np.flatnonzero(np.diff(held_UI.indptr))
        if len(user_Q) == 0:
            raise UserError(
                f"no history is long enough to hold out {self._section.held_out:.0%} of it; give longer histories, "
                "raise held_out, or use the type ease."
            )
        if len(user_Q) > self._section.max_users:
            user_Q = np.sort(random.choice(user_Q, self._section.max_users, replace=False))
        step = max(1, _BLOCK_CELLS // len(known.items))
        blocks = [user_Q[start : start + step] for start in range(0, len(user_Q), step)]
        parts = [self._judged_block(Queries(known.seen_UI[user_B], user_B), held_UI[user_B]) for user_B in blocks]
        x_NF, y_N = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return x_NF, y_N, np.full(len(user_Q), len(y_N) // len(user_Q))

    def _judged_block(self, queries: Queries, held_BI: Any) -> tuple[Floats, npt.NDArray[np.int64]]:
        assert self._evidence is not None
        scores_MBI = [member.scores(queries) for member in self._members]
        _, at_BC, x_NF = self._evidence.of(queries, scores_MBI, self._section.candidates)
        taken_BC = np.take_along_axis(held_BI.toarray() > 0, at_BC, 1)
        return x_NF, taken_BC.ravel().astype(np.int64)

    def _fit_members(self, catalogue: Catalogue, seed: int) -> None:
        for member in self._members:
            member.fit(catalogue, seed)
        self._evidence = Evidence.of_catalogue(catalogue)

    def _parameters(self, seed: int) -> dict[str, object]:
        section = self._section
        return {
            "objective": "lambdarank",
            "lambdarank_truncation_level": section.truncation,
            "learning_rate": section.learning_rate,
            "num_leaves": section.leaves,
            "min_data_in_leaf": section.min_rows_in_leaf,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "lambda_l2": section.lambda_l2,
            "num_threads": section.threads,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }


def hold_out(catalogue: Catalogue, share: float, random: np.random.Generator) -> tuple[Catalogue, Any]:
    """Return *catalogue* less a random *share* of every user's history, rounded, and ``held_UI``, what was taken away.

    A user of few items may keep all.
    """
    seen_UI = catalogue.seen_UI
    size_U = np.diff(seen_UI.indptr)
    user_N = np.repeat(np.arange(len(size_U)), size_U)
    order_N = np.lexsort((random.random(len(user_N)), user_N))
    place_N = np.empty(len(user_N), np.int64)
    place_N[order_N] = np.arange(len(user_N)) - np.repeat(np.cumsum(size_U) - size_U, size_U)
    held_N = place_N < np.round(share * size_U)[user_N]
    kept_UI, held_UI = (
        sparse.csr_array((seen_UI.data[some_N], (user_N[some_N], seen_UI.indices[some_N])), shape=seen_UI.shape)
        for some_N in (~held_N, held_N)
    )
    takers_I = np.bincount(kept_UI.indices, minlength=len(catalogue.items)).astype(np.float32)
    return Catalogue(catalogue.items, catalogue.users, kept_UI, takers_I), held_UI


def _read_kept(contents: Contents, name: str) -> tuple[RerankSection, list[str]]:
    kept = contents.json(name)
    try:
        section = RerankSection.model_validate(kept["settings"])
    except (KeyError, ValidationError) as error:
        raise UserError(
            f"{contents.where(name)} has no settings of trees: {ascii(error)[:200]}; export it again."
        ) from None
    types = kept.get("members")
    if (
        not isinstance(types, list)
        or not 1 <= len(types) <= _MOST_MEMBERS
        or not all(isinstance(t, str) for t in types)
    ):
        raise UserError(
            f"{contents.where(name)} has the members {ascii(types)[:80]}, expected 1 … {_MOST_MEMBERS} types."
        )
    return section, types


def _graph_of(trees: Sequence[Any], width: int) -> bytes:
    graph = Composer()
    scores = add_trees(graph, graph.features(width), trees)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trees.onnx"
        graph.write(file, scores)
        return file.read_bytes()
