"""What is trained: a network, its id tables, and their optimisers; one step, and scores.

Legend: N rows, B rows of a batch, R distinct ids of a batch, E columns of an id table, D dense inputs, C categories,
H heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from orita.features.schema import Side
from orita.models.config import ModelSection, TrainingSection
from orita.models.dropout import Masks
from orita.models.flat_adam import FlatAdam
from orita.models.perceptron import Perceptron
from orita.models.preparation import Preparation, PreparedValues
from orita.models.rows import RowAdam, add_up, distinct, id_table
from orita.models.training.batches import Rows, seed_for
from orita.models.training.hardware import Hardware
from orita.models.training.processes import Processes

__all__ = ["Learner", "Network", "NetworkType"]

_SCORING_ROWS = 16_384
_MOST_CELLS = 1 << 24  # of a mask: a pool of two is 128 MiB
_ONE: Mapping[str, float] = MappingProxyType({"label": 1.0})


class Network(Protocol):
    """What is trained: it is handed the id rows it needs, so that only they are touched.

    Attributes:
        bias: added to every row of logits, one number a head.
        shares_user: whether its graph takes one user for all rows.
        rounded_sides: whose numbers it reads rounded (`orita.models.rounding`): of those that are prepared ahead.
    """

    bias: nn.Parameter
    shares_user: bool
    rounded_sides: ClassVar[tuple[Side, ...]]

    def __call__(self, users_BE: Tensor, items_BE: Tensor, dense_BD: Tensor, categories_BC: Tensor) -> Tensor:
        """Return ``logits_BH``."""
        ...

    def compose(self, users: str, items: str, prepared: PreparedValues) -> str:
        """Add the network to the graph of *prepared*; return the name of the logits, [N, H], or [N] of one head.

        *users* and *items* are rows of the tables of ids, [N, E].
        """
        ...


class NetworkType(Protocol):
    """A class of networks."""

    @property
    def rounded_sides(self) -> tuple[Side, ...]:
        """See `Network`."""
        ...

    def __call__(self, preparation: Preparation, section: ModelSection, heads: int, /) -> Network:
        """Return a network with *heads* heads."""
        ...


class Learner:
    """A network, its id tables, and the state of their optimisers, on one device.

    Args:
        network: a `Network` that is also a ``torch.nn.Module``.
        users, items: how many ids each table knows.
        width: columns of an id's embedding.
        section: learning rates and penalties.
        hardware: where and in which precision.
        seed: of the tables and of dropout.
        heads: what the loss of each of the network's heads weighs, by name, the label's first.
    """

    def __init__(
        self,
        network: Any,
        users: int,
        items: int,
        width: int,
        section: TrainingSection,
        hardware: Hardware,
        seed: int,
        heads: Mapping[str, float] = _ONE,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.hardware = hardware
        self.network = network.to(hardware.device)
        self.users, self.items = (
            RowAdam(
                id_table(count, width, generator, len(heads)).to(hardware.device), weight_decay=section.id_weight_decay
            )
            for count in (users, items)
        )
        self.heads = dict(heads)
        self._weights_H = torch.tensor(list(heads.values())).to(hardware.device)
        self.dense = FlatAdam(self.network, section.weight_decay)
        self._run = torch.compile(network, dynamic=True) if hardware.compiled else network
        self._seed = seed
        eager = hardware.device.type == "cpu" and not hardware.compiled
        self._masks = _masks_of(network, section.batch_size, seed) if eager else None

    def step(self, batch: Rows, number: int, learning_rate: float, processes: Processes) -> Tensor:
        """Learn from one batch, of which this process takes its share.

        Args:
            batch: the same in every process.
            number: of the step, over all epochs.
            learning_rate: of this step.
            processes: who else learns from this batch.

        Returns:
            The mean loss of the batch's rows, each the sum over the heads of which it says something.
        """
        start, stop = processes.share(len(batch))
        own = batch.part(start, stop)
        if self._masks:
            self._masks.begin(number, len(batch), start)
        else:
            torch.manual_seed(seed_for(self._seed, f"dropout {processes.rank}", number))
        met = [distinct(ids_B) for ids_B in (own.users_N, own.items_N)]
        values = [table.read(rows_R) for table, (rows_R, _) in zip((self.users, self.items), met, strict=True)]
        ids = [values_RE.index_select(0, at_B) for values_RE, (_, at_B) in zip(values, met, strict=True)]
        with self.hardware.arithmetic():
            logits_BH = self._run(*ids, own.dense_ND, own.categories_NC)
        loss = self._loss(logits_BH.float(), own.y_NH) / len(batch)
        *dense, user_RE, item_RE = torch.autograd.grad(loss, [*self.dense.parameters, *values])
        whole = torch.cat([loss.detach().view(1), *(gradient.reshape(-1) for gradient in dense)])
        processes.add_up(whole)
        self.dense.step(whole[1:], learning_rate)
        for table, (rows_R, _), gradient_RE in ((self.users, met[0], user_RE), (self.items, met[1], item_RE)):
            table.step(*_together(rows_R, gradient_RE, processes), learning_rate)
        return whole[0]

    def _loss(self, logits_BH: Tensor, y_BH: Tensor) -> Tensor:
        """Return the sum of the losses of all rows and heads; a target that is not known has none, and no gradient."""
        if len(self.heads) == 1:
            return nn.functional.binary_cross_entropy_with_logits(logits_BH, y_BH, reduction="sum")
        weights_BH = self._weights_H * ~torch.isnan(y_BH)
        y_BH = torch.nan_to_num(y_BH)
        return nn.functional.binary_cross_entropy_with_logits(logits_BH, y_BH, weights_BH, reduction="sum")

    @torch.inference_mode()
    def score(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Return ``p_NH``: chances of flags, and shares of their cap for amounts."""
        self.network.eval()
        p_NH = torch.empty(len(rows), len(self.heads))
        for start in range(0, len(rows), _SCORING_ROWS):
            part = rows.part(start, start + _SCORING_ROWS).to(self.hardware.device)
            ids = (self.users.table_VE.index_select(0, part.users_N), self.items.table_VE.index_select(0, part.items_N))
            logits_BH = self.network(*ids, part.dense_ND, part.categories_NC)
            p_NH[start : start + _SCORING_ROWS] = logits_BH.sigmoid_().cpu()
        self.network.train()
        return p_NH.numpy()

    def weights(self) -> dict[str, Tensor]:
        """Return what scores depend on, as it is now, by name."""
        found = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        return {**found, "users.table": self.users.table_VE, "items.table": self.items.table_VE}

    def moments(self) -> dict[str, Tensor]:
        """Return the optimisers' state, by name."""
        parts = (("users", self.users), ("items", self.items), ("dense", self.dense))
        return {f"{part}.{name}": tensor for part, optimiser in parts for name, tensor in optimiser.moments().items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over weights, and moments where *tensors* has them."""
        for name, tensor in self.weights().items():
            tensor.copy_(tensors[name])
        for name, tensor in self.moments().items():
            if name in tensors:
                tensor.copy_(tensors[name])


def _together(rows_R: Tensor, gradient_RE: Tensor, processes: Processes) -> tuple[Tensor, Tensor]:
    """Return the distinct rows that any process met, and the sums of their gradients."""
    if processes.size == 1:
        return rows_R, gradient_RE
    every, gradients = processes.gather(rows_R, gradient_RE)
    all_R, position = distinct(every)
    return all_R, add_up(gradients, position, len(all_R))


def _masks_of(network: nn.Module, batch_size: int, seed: int) -> Masks | None:
    """Give all layers of *network* one pool of masks, unless its masks would be too large to keep a pool."""
    layers = [module for module in network.modules() if isinstance(module, Perceptron)]
    cells = batch_size * max((max(layer.dims, default=1) for layer in layers), default=0)
    if not 0 < cells <= _MOST_CELLS:
        return None
    masks = Masks(cells, seed)
    for layer in layers:
        layer.masks = masks
    return masks
