"""Training of two towers for retrieval: in-batch sampled softmax with log-Q correction (PyTorch).

Legend: B pairs of a batch, N pairs, M items of the batch's histories, I items, E embedding width.

Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations" (2019): each pair (user,
item) of a batch is told from the items of the batch's other pairs. An item stands there as often as it is taken, which
would punish what many take; the logarithm of that frequency is subtracted from its logits. Here all pairs are at hand,
so the frequency is counted, not estimated from a stream.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from orita.models.ranker import FitContext
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.config import TwoTowerRetrievalSection
from orita.models.retrieval.towers import Towers

__all__ = ["train_towers"]

_MASKED = -1e9


class _Network(nn.Module):
    """A user tower over the mean of a history, and an item tower over the item's own embedding."""

    def __init__(self, items: int, section: TwoTowerRetrievalSection) -> None:
        super().__init__()
        width, hidden = section.embedding_dim, section.hidden_dim
        self.inputs = nn.Embedding(items, width)
        self.items = nn.Embedding(items, width)
        nn.init.normal_(self.inputs.weight, std=0.1)
        nn.init.normal_(self.items.weight, std=0.1)
        self.hidden, self.out = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.item_hidden, self.item_out = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(section.dropout)

    def user_tower(self, mean_BE: Tensor) -> Tensor:
        """Return ``users_BE``, of length 1."""
        return nn.functional.normalize(self.out(self.dropout(torch.relu(self.hidden(mean_BE)))))

    def item_tower(self, rows_B: Tensor) -> Tensor:
        """Return ``items_BE``, of length 1; the embedding is added again, so that the layers learn a correction."""
        own_BE = self.items(rows_B)
        return nn.functional.normalize(own_BE + self.item_out(torch.relu(self.item_hidden(own_BE))))


def train_towers(
    catalogue: Catalogue, section: TwoTowerRetrievalSection, context: FitContext
) -> tuple[Towers, list[dict[str, float]]]:
    """Return trained towers and one dict an epoch: ``epoch``, ``train_loss``, ``seconds``.

    The caller's random state is kept as it was. A fit is short: it takes no checkpoints, and starts anew after a kill.
    """
    pairs = _Pairs(catalogue)
    history = []
    with torch.random.fork_rng(devices=[]), context.progress.bar(context.title, section.epochs * len(pairs)) as bar:
        torch.manual_seed(context.seed)
        network = _Network(len(catalogue.items), section)
        adam = torch.optim.AdamW(network.parameters(), section.learning_rate, weight_decay=section.weight_decay)
        random = np.random.default_rng(context.seed)
        for epoch in range(section.epochs):
            started, total = time.perf_counter(), 0.0
            for batch in pairs.batches(section.batch_size, section.dropout, random):
                loss = _loss(network, batch, pairs.log_frequency_I, section.temperature)
                adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                adam.step()
                total += float(loss.detach()) * len(batch["item_B"])
                bar.advance(len(batch["item_B"]))
            seconds = time.perf_counter() - started
            history.append({"epoch": epoch + 1.0, "train_loss": total / len(pairs), "seconds": seconds})
            bar.describe(f"epoch {epoch + 1}/{section.epochs} · loss {total / len(pairs):.4f}")
        return _towers(network), history


def _loss(network: _Network, batch: dict[str, Tensor], log_frequency_I: Tensor, temperature: float) -> Tensor:
    mean_BE = nn.functional.embedding_bag(
        batch["history_M"], network.inputs.weight, batch["starts_B"], mode="sum", per_sample_weights=batch["weight_M"]
    )
    items_BE = network.item_tower(batch["item_B"])
    logits_BB = network.user_tower(mean_BE) @ items_BE.T / temperature - log_frequency_I[batch["item_B"]]
    same_BB = batch["item_B"][:, None] == batch["item_B"][None, :]
    same_BB.fill_diagonal_(False)  # the same item in another pair is no wrong answer
    return nn.functional.cross_entropy(logits_BB.masked_fill(same_BB, _MASKED), torch.arange(len(items_BE)))


class _Pairs:
    """All (user, item) pairs, and batches of them with the history each is to be foreseen from."""

    def __init__(self, catalogue: Catalogue) -> None:
        seen_UI = catalogue.seen_UI
        self._starts_U, self._item_N = seen_UI.indptr.astype(np.int64), seen_UI.indices.astype(np.int64)
        self._weight_N = seen_UI.data.astype(np.float32)
        self._user_N = np.repeat(np.arange(seen_UI.shape[0]), np.diff(self._starts_U))
        frequency_I = np.maximum(catalogue.takers_I, 1.0) / len(self._item_N)
        self.log_frequency_I = torch.from_numpy(np.log(frequency_I).astype(np.float32))

    def __len__(self) -> int:
        return len(self._item_N)

    def batches(self, size: int, dropout: float, random: np.random.Generator) -> Iterator[dict[str, Tensor]]:
        """Yield all pairs in a random order; each history lacks its own pair, and other items at random."""
        order_N = random.permutation(len(self))
        for start in range(0, len(order_N), size):
            yield self._batch(order_N[start : start + size], dropout, random)

    def _batch(self, pair_B: npt.NDArray[np.int64], dropout: float, random: np.random.Generator) -> dict[str, Tensor]:
        user_B = self._user_N[pair_B]
        size_B = self._starts_U[user_B + 1] - self._starts_U[user_B]
        row_M = np.repeat(np.arange(len(pair_B)), size_B)
        within_M = np.arange(len(row_M)) - np.repeat(np.cumsum(size_B) - size_B, size_B)
        pair_M = self._starts_U[user_B][row_M] + within_M
        kept_M = (pair_M != pair_B[row_M]) & (random.random(len(pair_M)) >= dropout)
        row_M, pair_M = row_M[kept_M], pair_M[kept_M]
        weight_M = self._weight_N[pair_M]
        total_B = np.bincount(row_M, weight_M, minlength=len(pair_B))
        starts_B = np.searchsorted(row_M, np.arange(len(pair_B)))
        arrays: dict[str, npt.NDArray[Any]] = {
            "item_B": self._item_N[pair_B],
            "history_M": self._item_N[pair_M],
            "weight_M": (weight_M / total_B[row_M]).astype(np.float32),
            "starts_B": starts_B.astype(np.int64),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


@torch.inference_mode()
def _towers(network: _Network) -> Towers:
    network.eval()
    weights = network.state_dict()
    items_IE = network.item_tower(torch.arange(network.items.num_embeddings))
    return Towers(
        inputs_IE=weights["inputs.weight"].numpy().copy(),
        hidden_EH=weights["hidden.weight"].numpy().T.copy(),
        hidden_bias_H=weights["hidden.bias"].numpy().copy(),
        out_HE=weights["out.weight"].numpy().T.copy(),
        out_bias_E=weights["out.bias"].numpy().copy(),
        items_IE=items_IE.numpy().copy(),
    )
