"""The component that generates the synthetic world."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orita.core.home import Home
from orita.events.world.config import WorldConfig
from orita.events.world.generation import generate
from orita.pipelines.components.artifact import Made
from orita.pipelines.components.component import Call
from orita.pipelines.workspace import Workspace

__all__ = ["WorldGenerator", "generated_folder", "world_name"]


def world_name(config: WorldConfig) -> str:
    """Return a short name that stands for a world's configuration, and so for its bytes."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]


def generated_folder(home: Home, config: WorldConfig) -> Path:
    """Return where the world of *config* is generated; another configuration has another folder."""
    return home.generated / world_name(config)


class WorldGenerator:
    """Generates the world of the configuration: the same configuration gives the same bytes."""

    name = "world_generator"
    version = 1
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {"source": "Source"}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return the configuration of the world."""
        return workspace.data.data_generation.model_dump(mode="json")

    def run(self, call: Call) -> Mapping[str, Made]:
        """Generate it into a folder of its own, in the place of what is there."""
        config = call.workspace.data.data_generation
        folder = generated_folder(call.workspace.home, config)
        shutil.rmtree(folder, ignore_errors=True)  # it is damaged, or nobody knows whether it is
        generate(config, folder, progress=call.workspace.progress)
        facts = {"rows": config.num_interactions, "world": world_name(config)}
        return {"source": Made(folder, facts=facts)}
