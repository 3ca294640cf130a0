"""Tables of Parquet: their files, their columns, and what their values are.

Three kinds of values are not what they seem. A time of the old type INT96 has no zone in the file: Spark and Hive write
the instant in UTC, all others the time on the wall. A number of 32 or 16 bits keeps 7 or 3 digits: a longer id is
another one. A time may lie outside the years that Python has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from streams.errors import ConfigError
from streams.replay.sources.parquet_footer import Footer, footer_of
from streams.wire.mapping import flat
from streams.wire.typed_numbers import Read, coarse_number, in_elements, in_members

if TYPE_CHECKING:
    import polars as pl

BATCH = 20_000
"""Rows of a Parquet file held at a time."""

_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""Days since 1970 from the year 1 to the year 9999."""

_TICKS: Final[dict[str, int]] = {"days": 1, "ms": 86_400_000, "us": 86_400_000_000}
_AS_INSTANTS: Final = "parquet-mr"
"""The library of Spark and Hive, as a file names its writer."""


def parquet_rows(table: pl.LazyFrame, instants: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The flat rows; ``instants`` are columns whose times are in UTC though the schema does not say so.

    A time outside the years 1 to 9999 is a text that says so.

    Raises:
        PolarsError, OSError, PanicException: where the file is damaged, or has a value that Python cannot have.
    """
    coarse: dict[str, Read] | None = None
    for batch in table.collect_batches(chunk_size=BATCH, maintain_order=True):
        if coarse is None:
            coarse = {name: read for name, kind in batch.schema.items() if (read := _coarse(kind)) is not None}
        batch, beyond = _within_the_calendar(batch)
        for number, row in enumerate(batch.iter_rows(named=True)):
            for name, read in coarse.items():
                row[name] = read(row[name])
            for name, found in beyond.items():
                if number in found:
                    row[name] = found[number]
            cells = flat(row)
            for name in instants:
                if isinstance(at := cells.get(name), datetime):
                    cells[name] = at.replace(tzinfo=UTC)
            yield cells


def _coarse(kind: Any) -> Read | None:
    """How values of that type are read, if there are numbers of 32 or 16 bits in it."""
    import polars as pl

    if kind in (pl.Float32(), pl.Float16()):
        return coarse_number(24 if kind == pl.Float32() else 11)
    if isinstance(kind, pl.Struct):
        return in_members({field.name: _coarse(field.dtype) for field in kind.fields})
    return in_elements(_coarse(kind.inner)) if isinstance(kind, pl.List | pl.Array) else None


def _within_the_calendar(batch: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, dict[int, str]]]:
    """The rows without the times that Python cannot have, and these as texts by column and row."""
    import polars as pl

    beyond: dict[str, dict[int, str]] = {}
    for name, kind in batch.schema.items():
        unit, margin = "days", 0
        if isinstance(kind, pl.Datetime):
            unit, margin = kind.time_unit, kind.time_zone not in (None, "UTC")  # a day for the zone's offset
        elif not isinstance(kind, pl.Date):
            continue
        ticks = _TICKS.get(unit)
        if ticks is None:  # no time in nanoseconds is outside
            continue
        number = batch[name].to_physical().cast(pl.Int64)
        outside = (number < (_FIRST_DAY + margin) * ticks) | (number >= (_LAST_DAY + 1 - margin) * ticks)
        if outside.any():
            beyond[name] = {
                place: f"a time outside the years 1 to 9999 ({number[place]} {unit} since 1970)"
                for place in outside.arg_true()
            }
            batch = batch.with_columns(pl.when(~outside).then(pl.col(name)).alias(name))
    return batch, beyond


def instants_of(files: Sequence[str]) -> frozenset[str]:
    """The columns with times of the type INT96 that are instants in UTC; members of structs by dots.

    Raises:
        ConfigError: where one of the files has them in UTC and another on the wall.
    """
    found: dict[str, tuple[bool, str]] = {}
    for name in files:
        footer: Footer = footer_of(name)
        for column in footer.int96:
            are_instants = footer.writer.startswith(_AS_INSTANTS)
            before, other = found.setdefault(column, (are_instants, name))
            if before != are_instants:
                raise ConfigError(
                    f"column {column!r} has times of the type INT96, and so has {other}, but another program wrote it: "
                    "one means UTC and one the time on the wall; write both as TIMESTAMP",
                    path=name,
                )
    return frozenset(column for column, (are_instants, _) in found.items() if are_instants)


def partitions_of(name: str) -> Mapping[str, bool] | None:
    """The columns that directories ``column=value`` of a table give, each with whether all its values are dates.

    ``None`` for a file.

    Raises:
        ConfigError: where there are no files.
    """
    if not Path(name).is_dir():
        return None
    values: dict[str, set[str]] = {}
    for part in {part for one in parquet_files(name) for part in Path(one).parent.parts if part.count("=") == 1}:
        column, value = part.split("=")
        values.setdefault(column, set()).add(value)
    return {column: all(map(_is_date, found)) for column, found in values.items()}


def parquet_table(files: list[str], partitions: Mapping[str, bool] | None) -> pl.LazyFrame:
    """The rows of a Parquet file, or of some files of a directory.

    A directory ``column=value`` is a column of that text, because a number would lose its leading zeros. Where all
    values are dates it is one of dates, which fit any ``time`` of a mapping and have that text too.
    """
    import polars as pl  # half a second, not needed for other sources

    if partitions is None:
        return pl.scan_parquet(files)
    schema = dict.fromkeys(partitions, pl.String())
    table = pl.scan_parquet(files, hive_partitioning=True, hive_schema=schema, try_parse_hive_dates=False)
    dates = [column for column, are_dates in partitions.items() if are_dates]
    return table.with_columns(pl.col(dates).str.to_date("%Y-%m-%d"))


def _is_date(text: str) -> bool:
    try:
        return text == _NULL or date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def parquet_files(name: str) -> list[str]:
    """The files of a Parquet table, in the order of their names.

    Raises:
        ConfigError: where there are none.
    """
    path = Path(name)
    if path.is_file():
        return [name]
    if not path.is_dir():
        raise ConfigError("cannot be read: no such file", path=name)
    hidden = (".", "_")
    found = [
        str(one)
        for one in sorted(path.rglob("*"))
        if one.suffix in (".parquet", ".pq")
        and not any(part.startswith(hidden) for part in one.relative_to(path).parts)
    ]
    if not found:
        raise ConfigError("has no .parquet file in it", path=name)
    return found


def columns_of(members: Any, prefix: str = "") -> Iterator[str]:
    """The columns of a schema, those of structs named by dots."""
    import polars as pl

    for name, kind in members.items():
        if isinstance(kind, pl.Struct):
            yield from columns_of({field.name: field.dtype for field in kind.fields}, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
