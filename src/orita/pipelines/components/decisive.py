"""Which configuration decides a model: changing anything else does not train it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orita.models.source_digest import source_digest
from orita.pipelines.workspace import Workspace

__all__ = ["decisive_settings"]

_TREES = frozenset({"lightgbm", "lambdamart"})
_TOWERS, _HIDDEN = frozenset({"two_tower"}), frozenset({"deep_mlp", "dcn_v2"})
_NETWORKS = _TOWERS | _HIDDEN | {"linear"}
_READ_BY: Mapping[str, frozenset[str]] = {
    "lightgbm": _TREES,
    "factors": frozenset({"factor_blend"}),
    "popularity": frozenset({"popularity"}),
    "user_tower_dims": _TOWERS,
    "item_tower_dims": _TOWERS,
    "embedding_dim": _TOWERS,
    "hidden_dims": _HIDDEN,
    "crosses": frozenset({"dcn_v2"}),
    "cross_rank": frozenset({"dcn_v2"}),
    "id_embedding_dim": _NETWORKS,
    "dropout": _NETWORKS,
    "id_dropout": _NETWORKS,
}
"""Keys of ``model`` that some types alone read, beside the blend, whose members may be any. A key that is not listed
decides every type: forgetting one here costs a training, not a wrong model."""
_NEVER = frozenset({"type", "calibration", "objective", "parameters"})
"""Keys of ``model`` that decide no training: the type is the component's, calibration and objective are the packager's.
Parameters are told apart, of the type's own alone."""
_ONLY_TOLD = frozenset({"log_every", "checkpoint_steps", "checkpoint_seconds"})
"""Keys of ``training`` that change what is told or kept on the way, and not the model."""


def decisive_settings(type_: str, workspace: Workspace) -> dict[str, Any]:
    """Return, as plain values, what of the configuration decides a model of *type_*; of a user's own also its source.

    Raises:
        UserError: that cannot be read.
    """
    model = workspace.model.model.model_dump(mode="json")
    blend = type_ == "factor_blend"
    read = {
        key: value
        for key, value in model.items()
        if key not in _NEVER and (blend or type_ in _READ_BY.get(key, frozenset({type_})))
    }
    settings = {"model": read, "seed": workspace.model.seed}
    if maker := workspace.system.own_rankers.get(type_):
        settings |= {"parameters": model["parameters"].get(type_, {}), "source": source_digest(type_, maker)}
    if blend or type_ in _NETWORKS:
        training = workspace.model.training.model_dump(mode="json", exclude=set(_ONLY_TOLD))
        settings["training"] = training
    return settings
