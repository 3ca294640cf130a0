"""Names for the codes of organisations: ``organisations.yaml`` or ``organisations.csv`` in a rulebook directory.

As YAML::

    organisations:
      - {code: "3301", name: {zh: 杭州供电公司, en: Hangzhou}}
      - {code: "330106", name: {zh: 西湖供电所, en: Xihu}, parent: "3301", position: [120.13, 30.26]}

As CSV, in UTF-8, with the columns ``code``, ``zh``, ``en``, ``parent``, ``longitude``, ``latitude``; the last three may
be empty or missing. Names affect neither verdicts nor ids.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from schemas.base import Model, Text
from schemas.fields import Code

Position = tuple[Annotated[float, Field(ge=-180, le=180)], Annotated[float, Field(ge=-90, le=90)]]
"""Longitude and latitude in degrees."""


class Organisation(Model):
    """One organisation: the code in events, its name, and the code of the one above it."""

    code: Code
    name: Text
    parent: Code | None = None
    position: Position | None = None

    @field_validator("name")
    @classmethod
    def _is_short(cls, value: Text) -> Text:
        for name in (value.zh, value.en):
            if not 1 <= len(name) <= 200 or not name.isprintable():
                raise ValueError(f"{name!r} is no name: 1 to 200 printable characters")
        return value


class OrganisationFile(Model):
    """A whole file; codes are unique, and parents are in it."""

    organisations: tuple[Organisation, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_a_tree(self) -> OrganisationFile:
        parents: dict[str, str | None] = {}
        for one in self.organisations:
            if one.code in parents:
                raise ValueError(f"code {one.code} stands twice")
            parents[one.code] = one.parent
        done: set[str] = set()
        for code in parents:
            path: dict[str, None] = {}
            at: str | None = code
            while at is not None and at not in done:
                if at not in parents:
                    raise ValueError(f"{next(reversed(path))} has the parent {at}, which does not stand in the file")
                if at in path:
                    raise ValueError(f"{at} is above itself: {' < '.join([*path, at])}")
                path[at] = None
                at = parents[at]
            done |= path.keys()
        return self
