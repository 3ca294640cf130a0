"""The errors of this program, by whose fault they are.

``InputError`` is about one record of the input: the stream goes on and the record becomes a dead letter.
``ConfigError`` is about a file, a rulebook or a setting: the program refuses to start. ``InvariantError`` is a
bug of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any


class GridclockError(Exception):
    """Everything that this program raises by intent."""


class InputError(GridclockError):
    """One record cannot be taken. ``reason`` is one of a closed set of codes, fit for a metric's label.

    ``value`` is what stood in the place that is wrong, where a mapping names it. ``size`` is the record's length in
    bytes where only its beginning is held. ``subjects`` are those that the record names, type and id, as they are
    inside, and ``at`` (microseconds) when it happened, as far as both can be read.
    """

    def __init__(
        self, reason: str, field: str | None, detail: str, *, value: str | None = None, size: int | None = None
    ) -> None:
        super().__init__(f"{reason}: {field}: {detail}" if field else f"{reason}: {detail}")
        self.reason = reason
        self.field = field
        self.detail = detail
        self.value = value
        self.size = size
        self.subjects: Sequence[tuple[str, str]] = ()
        self.at: int | None = None


class ConfigError(GridclockError):
    """A file, rulebook or setting is wrong; says where. ``others`` are further problems of the same reading."""

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        rule: str | None = None,
        key: str | None = None,
    ) -> None:
        place = f"{path}:{line}" if path and line else path
        parts = [place, f"rule {rule}" if rule else None, key or None, message]
        super().__init__(": ".join(part for part in parts if part))
        self.message = message
        self.path = path
        self.line = line
        self.rule = rule
        self.key = key
        self.others: tuple[ConfigError, ...] = ()

    @classmethod
    def first_of(cls, problems: Sequence[ConfigError]) -> ConfigError:
        """The first of several problems, with the rest in ``others``."""
        first, *rest = problems
        first.others = tuple(rest)
        return first


class BrokerError(GridclockError):
    """No broker can be reached, or the one reached refuses."""


class RegistryAwayError(BrokerError):
    """A schema registry does not answer, or refuses access: its records wait."""


class InvariantError(GridclockError):
    """Something that cannot be so is so: a bug of this program."""


def plain_message(item: Mapping[str, Any]) -> str:
    """The message of one of pydantic's errors, without what it puts before that of a ``ValueError``."""
    if item["type"] == "invalid_key":
        return "a key here is no text for YAML, which reads on, yes, no and numbers otherwise: correct it, or quote it"
    return str(item["msg"]).removeprefix("Value error, ").replace("a valid tuple", "a list")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the known one nearest to it, or nothing."""
    near = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
