"""Names of organisations from a rulebook directory: ``organisations.yaml`` or ``organisations.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from schemas.organisations import Organisation, OrganisationFile
from streams.errors import ConfigError
from streams.rulebooks.yaml_files import message_of, read_yaml

ORGANISATION_FILES: Final = ("organisations.yaml", "organisations.yml", "organisations.csv")
_COLUMNS: Final = ("code", "zh", "en", "parent", "longitude", "latitude")
_NEEDED: Final = frozenset(("code", "zh", "en"))


def load_organisations(directory: Path) -> dict[str, Organisation]:
    """The organisations of a directory by code; empty where it has no such file.

    Raises:
        ConfigError: names file, line and code.
    """
    found = [path for name in ORGANISATION_FILES if (path := directory / name).is_file()]
    if not found:
        return {}
    if len(found) > 1:
        raise ConfigError(f"stands beside {found[0].name}: keep one of them", path=str(found[1]))
    (path,) = found
    data, lines = _csv(path) if path.suffix == ".csv" else (read_yaml(path).data, {})
    try:
        file = OrganisationFile.model_validate(data if isinstance(data, dict) else {})
    except ValidationError as error:
        raise ConfigError.first_of(
            [
                ConfigError(
                    message_of(item),
                    path=str(path),
                    line=_line(path, item["loc"], lines),
                    key=".".join(map(str, item["loc"])) or None,
                )
                for item in error.errors()
            ]
        ) from error
    return {one.code: one for one in file.organisations}


def names_of(rules: Sequence[Path], only: Path | None) -> dict[str, Organisation]:
    """The organisations of the rulebook directories that ``--rules`` or ``--only`` name; the rules are not read.

    Raises:
        ConfigError: for a directory that is not there, and as ``load_organisations``.
    """
    found: dict[str, Organisation] = {}
    for directory in [only] if only else rules:
        if not directory.is_dir():
            raise ConfigError("no such rulebook directory", path=str(directory))
        found |= load_organisations(directory)
    return found


def _line(path: Path, keys: tuple[str | int, ...], lines: dict[int, int]) -> int | None:
    if path.suffix != ".csv":
        return read_yaml(path).line(keys)
    return lines.get(int(keys[1])) if len(keys) > 1 else None


def _csv(path: Path) -> tuple[dict[str, Any], dict[int, int]]:
    """The file's content as from YAML, and the line of each organisation."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8: save it as CSV UTF-8", path=str(path)) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=str(path)) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found: list[dict[str, Any]] = []
    lines: dict[int, int] = {}
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        if _NEEDED - set(header) or set(header) - set(_COLUMNS):
            raise ConfigError(
                f"has the columns {', '.join(header)}; they are {', '.join(_COLUMNS)}", path=str(path), line=1
            )
        reader.fieldnames = header
        for row in reader:
            if None in row:
                raise ConfigError("has more cells than the header", path=str(path), line=reader.line_num)
            cells = {name: (value or "").strip() for name, value in row.items()}
            if not any(cells.values()):
                continue
            one: dict[str, Any] = {"code": cells["code"], "name": {"zh": cells["zh"], "en": cells["en"] or cells["zh"]}}
            if cells.get("parent"):
                one["parent"] = cells["parent"]
            if cells.get("longitude") or cells.get("latitude"):
                one["position"] = cells.get("longitude"), cells.get("latitude")
            lines[len(found)] = reader.line_num
            found.append(one)
    except csv.Error as error:
        raise ConfigError(str(error), path=str(path), line=reader.line_num) from error
    return {"organisations": found}, lines
