"""The networks of the neural rankers, by their type in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from orita.models.cross_network import CrossNetwork
from orita.models.deep_mlp import DeepMlp
from orita.models.linear import Linear
from orita.models.training import NetworkType
from orita.models.two_tower import TwoTower

__all__ = ["NETWORKS"]

NETWORKS: Mapping[str, NetworkType] = MappingProxyType(
    {"two_tower": TwoTower, "deep_mlp": DeepMlp, "dcn_v2": CrossNetwork, "linear": Linear}
)
