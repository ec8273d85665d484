"""MovieLens-100K as interactions, users and items: the files that GroupLens ships, and the atomic files of RecBole.

A rating is an interaction: click = rating at least 4. It has no key of its own, so user, item and time are it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from orita.core.errors import UserError
from orita.core.sql import literal, quoted
from orita.events.schema import INTERACTION, Column, TableSchema, entity_schema
from orita.events.sources.delimited import Dialect, read_header, stage_rows
from orita.events.sources.opened import FAULT, ROW, TEXT, Opened
from orita.events.sources.probe import probe_text

__all__ = ["CLICK_RATING", "MOVIELENS_SCHEMAS", "find_movielens", "open_movielens"]

CLICK_RATING = 4
"""The lowest rating that counts as a click."""

MOVIELENS_SCHEMAS: dict[str, TableSchema] = {
    "interactions": replace(
        INTERACTION.with_columns(Column("rating", "float", description="stars, 1 to 5")),
        natural_key=("user_id", "item_id", "timestamp"),
    ),
    "users": entity_schema(
        "users", key="user_id", attributes={"age": "float", "gender": "category", "occupation": "category"}
    ),
    "items": entity_schema("items", key="item_id", attributes={"title": "str", "year": "float", "genres": "list"}),
}

_GENRES = tuple(
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror "  # noqa: SIM905
    "Musical Mystery Romance Sci-Fi Thriller War Western".split()
)
_CLICK = f"CASE WHEN TRY_CAST(rating AS DOUBLE) >= {CLICK_RATING} THEN '1' WHEN rating IS NOT NULL THEN '0' END"


@dataclass(frozen=True, slots=True)
class _Layout:
    """One shipped file: its name, its table, how it is read, and the SQL of each of the table's columns."""

    file: str
    table: str
    delimiter: str
    select: dict[str, str]
    names: tuple[str, ...] = ()
    encoding: str = "utf-8"


_RATING = {"user_id": "user_id", "item_id": "item_id", "timestamp": '"timestamp"', "click": _CLICK, "rating": "rating"}
_PERSON = {"user_id": "user_id", "age": "age", "gender": "gender", "occupation": "occupation"}

_LAYOUTS = (
    _Layout("ml-100k.inter", "interactions", "\t", _RATING),
    _Layout("ml-100k.user", "users", "\t", _PERSON),
    _Layout(
        "ml-100k.item",
        "items",
        "\t",
        {
            "item_id": "item_id",
            "title": "movie_title",
            # The files write "unkonwn" where the year is not known.
            "year": "CASE WHEN regexp_full_match(release_year, '[0-9]{4}') THEN release_year END",
            "genres": "replace(\"class\", ' ', '|')",
        },
    ),
    _Layout("u.data", "interactions", "\t", _RATING, ("user_id", "item_id", "rating", "timestamp")),
    _Layout("u.user", "users", "|", _PERSON, ("user_id", "age", "gender", "occupation", "zip_code")),
    _Layout(
        "u.item",
        "items",
        "|",
        {
            "item_id": "item_id",
            "title": r"trim(regexp_replace(title, '\s*\([0-9]{4}\)\s*$', ''))",
            "year": r"nullif(regexp_extract(title, '\(([0-9]{4})\)\s*$', 1), '')",
            "genres": "nullif(concat_ws('|', "
            + ", ".join(f"CASE WHEN g{i} = '1' THEN {literal(name)} END" for i, name in enumerate(_GENRES))
            + "), '')",
        },
        ("item_id", "title", "released", "video_released", "url", *(f"g{i}" for i in range(len(_GENRES)))),
        "latin-1",
    ),
)


def find_movielens(path: Path) -> dict[str, Path]:
    """Return the MovieLens files of a folder by table, or the one file *path* is; empty where it is not MovieLens."""
    if path.is_file():
        return {layout.table: path for layout in _LAYOUTS if layout.file == path.name}
    found = {layout.table: path / layout.file for layout in reversed(_LAYOUTS) if (path / layout.file).is_file()}
    return {table: found[table] for table in MOVIELENS_SCHEMAS if table in found}


def open_movielens(file: Path, folder: Path, max_line_bytes: int, schema: TableSchema | None = None) -> Opened:
    """Stage a MovieLens file in *folder* and return it as its table's source.

    Raises:
        UserError: the file is broken, or is not what its name says.
    """
    layout = next(layout for layout in _LAYOUTS if layout.file == file.name)
    own = MOVIELENS_SCHEMAS[layout.table]
    # A rating has no key in these files, whoever declares the table.
    declared = replace(schema, natural_key=schema.natural_key or own.natural_key) if schema else own
    text = file if layout.encoding == "utf-8" else _in_utf8(file, folder, layout.encoding)
    digest = probe_text(text, max_line_bytes)
    names = list(layout.names) or _typed_names(file, layout, max_line_bytes)
    target = folder / f"{layout.table}.parquet"
    staged = stage_rows(text, names, target, Dialect(layout.delimiter, quoted=False), header=not layout.names)
    columns = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in layout.select.items())
    return Opened(
        table=layout.table,
        file=file,
        digest=digest,
        sql=f"(SELECT {ROW}, {FAULT}, {TEXT}, {columns} FROM {staged})",
        columns=dict.fromkeys(layout.select, "VARCHAR"),
        schema=declared,
        timestamps="epoch_seconds",
    )


def _typed_names(file: Path, layout: _Layout, max_line_bytes: int) -> list[str]:
    """Return the names of a header such as ``user_id:token``."""
    names = [name.partition(":")[0] for name in read_header(file, layout.delimiter, max_line_bytes)]
    needed = {"interactions": "rating", "users": "occupation", "items": "movie_title"}[layout.table]
    if needed not in names:
        raise UserError(
            f"{file} has no column {needed!r}, which MovieLens-100K has; it has {', '.join(names)}: "
            "download the data set again."
        )
    return names


def _in_utf8(file: Path, folder: Path, encoding: str) -> Path:
    target = folder / f"{file.name}.utf8"
    target.write_text(file.read_text(encoding=encoding), encoding="utf-8")
    return target
