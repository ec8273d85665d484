"""Writes a world down: interactions, users, items, and apart from them the truth that models must not see."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from orita.core.errors import NotFound, UserError
from orita.core.files import atomic_directory
from orita.core.progress import SILENT, Progress
from orita.events.world.arrays import Floats
from orita.events.world.config import WorldConfig
from orita.events.world.history import INTERACTION_COLUMNS, blocks
from orita.events.world.tablefiles import TableFormat, open_table, table_format
from orita.events.world.world import World

__all__ = ["Generated", "generate", "load_world"]

_TRUTH = pa.schema([("interaction_id", pa.string()), ("p", pa.float32())])
_CONFIG_FILE = "world.json"


@dataclass(frozen=True, slots=True)
class Generated:
    """What was written.

    Attributes:
        paths: by name: ``interactions``, ``users``, ``items`` (inputs), ``truth`` (a folder that is no input).
        rows: number of interactions.
        seconds: how long it took, building the world and syncing the files included.
    """

    paths: dict[str, Path]
    rows: int
    seconds: float


def generate(
    config: WorldConfig,
    folder: Path,
    *,
    format: str = "parquet",  # noqa: A002
    progress: Progress = SILENT,
) -> Generated:
    """Write the world of *config* into *folder*, which appears whole or not at all and replaces an earlier one.

    The same configuration gives the same bytes. Memory holds the users, the items, a few blocks of 131,072 rows, and
    24 bytes a page view, whatever ``num_interactions``.

    Args:
        config: size, time and nature of the world.
        folder: receives ``interactions``, ``users`` and ``items`` in *format*, and ``truth/`` in Parquet.
        format: ``parquet``, ``csv`` or ``jsonl``.
        progress: where to draw progress.

    Raises:
        UserError: *format* is not known, or *folder* holds something else than a generated world.
    """
    form, began = table_format(format), time.monotonic()
    _check_replaceable(folder)
    world = World.build(config)
    with atomic_directory(folder) as partial:
        truth = partial / "truth"
        truth.mkdir()
        _write_history(world, partial / f"interactions.{form}", truth, form, progress)
        _write(world.users(), partial / f"users.{form}", form)
        _write(world.items(), partial / f"items.{form}", form)
        _write_truth(world, truth)
    names = ("interactions", "users", "items")
    paths = {name: folder / f"{name}.{form}" for name in names} | {"truth": folder / "truth"}
    return Generated(paths, config.num_interactions, time.monotonic() - began)


def load_world(folder: Path) -> World:
    """Return the world that `generate` wrote into *folder*.

    Raises:
        NotFound: *folder* was not generated.
    """
    file = folder / "truth" / _CONFIG_FILE
    if not file.is_file():
        raise NotFound(
            f"{folder} holds no generated world ({file.relative_to(folder)} is missing): generate one first."
        )
    return World.build(WorldConfig.model_validate_json(file.read_text(encoding="utf-8")))


def _check_replaceable(folder: Path) -> None:
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not (folder / "truth" / _CONFIG_FILE).is_file():
        raise UserError(
            f"{folder} exists and is no generated world, so it is not replaced: choose another folder or remove it."
        )


def _write_history(world: World, path: Path, truth: Path, form: TableFormat, progress: Progress) -> None:
    with ExitStack() as stack:
        rows = stack.enter_context(open_table(path, INTERACTION_COLUMNS, form))
        secret = stack.enter_context(open_table(truth / "click_probability.parquet", _TRUTH, "parquet"))
        for block in blocks(world, progress):
            rows.write_table(block.table)
            secret.write_table(pa.table([block.table["interaction_id"], pa.chunked_array([block.p_N])], schema=_TRUTH))


def _write_truth(world: World, folder: Path) -> None:
    people, items = world.people, world.catalogue
    tastes = {
        "user_id": np.arange(len(people.leaning_U)),
        "leaning": people.leaning_U,
        "taste": _vectors(people.taste_UK),
        "style": _vectors(people.style_US),
    }
    appeal = {
        "item_id": np.arange(len(items.quality_I)),
        "quality": items.quality_I,
        "pull": items.pull_I,
        "style": _vectors(items.style_IS),
    }
    _write(pa.table(tastes), folder / "tastes.parquet", "parquet")
    _write(pa.table(appeal), folder / "appeal.parquet", "parquet")
    text = world.config.model_dump_json(indent=2)
    (folder / _CONFIG_FILE).write_text(f"{text}\n", encoding="utf-8")


def _vectors(values_NK: Floats) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values_NK.ravel()), values_NK.shape[1])


def _write(table: pa.Table, path: Path, form: TableFormat) -> None:
    with open_table(path, table.schema, form) as writer:
        writer.write_table(table)
