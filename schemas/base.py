"""The base of all models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, JsonValue


class Model(BaseModel):
    """Immutable, strict about its keys: a misspelt one is an error, not a default.

    What checks it is built when the first one is checked: a command needs few of all models, and building those of the
    events alone takes a fifth of a second of each start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)


def with_examples(*examples: JsonValue) -> ConfigDict:
    """Settings of a model whose JSON Schema shows examples."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})


class Text(Model):
    """The same words in Chinese and in English."""

    zh: str
    en: str


def _check_shown(value: datetime) -> datetime:
    try:
        utc = value.astimezone(UTC)
        _ = utc - timedelta(days=1), utc + timedelta(days=1)
    except OverflowError:
        raise ValueError("is an instant that no zone shows: the first and the last day of the calendar") from None
    return value


def _check_iso(value: object) -> object:
    try:
        if not isinstance(value, datetime):
            if not isinstance(value, str):
                raise ValueError
            datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("is no instant in ISO 8601, such as 2026-03-02T09:00:00.000+08:00") from None
    return value


Moment = Annotated[AwareDatetime, AfterValidator(_check_shown)]
"""An instant with an offset that every zone can show; as a number it is seconds since 1970."""

IsoMoment = Annotated[Moment, BeforeValidator(_check_iso)]
"""The same, and a text in ISO 8601: whoever reads the text itself can read it."""
