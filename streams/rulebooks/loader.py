"""Rulebook directories: reads YAML, compiles a rulebook, reports every error with its file, line, rule and key.

Layers: the shipped rulebook is the lowest, each ``--rules DIR`` lies on top. A rule in an upper layer with the id of a
lower one changes that rule: the same version replaces the lower version; another version ends the lower one when the
new one comes into force, or replaces it entirely if the new one is in force earlier. Calendars of layers are merged
(``streams.rulebooks.calendars.layered``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from schemas.base import Text
from schemas.calendars import CalendarSpec
from schemas.events import EventCatalogue
from schemas.organisations import Organisation
from schemas.rules import Rule, RulebookFile
from schemas.titles import EVENT_TITLES
from streams.core.rule_checks import Problem, calendars_of, check, check_follow_ups
from streams.core.rulebook import Rulebook
from streams.errors import ConfigError, did_you_mean
from streams.rulebooks.calendars import build_calendar, layered, load_calendar_spec
from streams.rulebooks.opening_hours import build_calendars
from streams.rulebooks.organisations import ORGANISATION_FILES, load_organisations
from streams.rulebooks.yaml_files import Keys, child_of, line_of, message_of, read_yaml

CALENDAR_FILE = "calendar.yaml"


@dataclass(frozen=True, slots=True)
class LoadedRule:
    """A rule and its place."""

    rule: Rule
    path: str
    node: yaml.Node
    chapter: str


@dataclass(frozen=True, slots=True)
class LoadedRulebook:
    """A rulebook with its event vocabulary and the files it came from."""

    rulebook: Rulebook
    catalogue: EventCatalogue
    loaded: tuple[LoadedRule, ...]
    files: tuple[RulebookFile, ...]
    organisations: Mapping[str, Organisation] = field(default_factory=dict)
    """By code; an upper layer replaces entries of a lower layer."""
    titles: Mapping[str, Text] = field(default_factory=lambda: EVENT_TITLES)
    """What people call the event types."""


def shipped_directory() -> Path:
    """The directory of the shipped rulebook."""
    return Path(str(resources.files("streams") / "rulebook"))


def load_rulebook(rules: Sequence[Path] = (), only: Path | None = None) -> LoadedRulebook:
    """Read, check and compile: the shipped rulebook with ``rules`` on top, or ``only`` alone.

    Raises:
        ConfigError: names file, line, rule and key; several problems are in its ``others``.
    """
    directories = [only] if only is not None else [shipped_directory(), *rules]
    catalogue = EventCatalogue.shipped()
    calendar = CalendarSpec()
    organisations: dict[str, Organisation] = {}
    merged: list[LoadedRule] = []
    files: list[RulebookFile] = []
    for directory in directories:
        layer: list[LoadedRule] = []
        disabled: list[_Disabled] = []
        organisations |= load_organisations(directory)
        for path in files_of(directory):
            if path.name in ORGANISATION_FILES:
                continue
            if path.name == CALENDAR_FILE:
                calendar = layered(calendar, load_calendar_spec(path))
                continue
            book, node = read_rulebook_file(path)
            catalogue = _declare(catalogue, book, path, node, replaces=only is not None)
            files.append(book)
            for index, rule in enumerate(book.rules):
                layer.append(LoadedRule(rule, str(path), child_of(node, ("rules", index)), book.chapter))
            disabled += [(rule_id, path, node, index) for index, rule_id in enumerate(book.disabled)]
        _refuse(check([item.rule for item in layer], catalogue), layer)
        merged = _without(disabled, _merge(merged, layer))
    all_rules = [item.rule for item in merged]
    _refuse([*check(all_rules, catalogue), *check_follow_ups(all_rules)], merged)
    declared = {name: event.title for book in files for name, event in book.events.items() if event.title}
    fields = {name: catalogue.fields(name) | {"org"} for name in catalogue.types}
    calendars = build_calendars(calendar)
    _check_calendars(merged, calendars)
    titles = {**EVENT_TITLES, **declared}
    rulebook = Rulebook(all_rules, build_calendar(calendar), titles, fields, calendars)
    return LoadedRulebook(rulebook, catalogue, tuple(merged), tuple(files), organisations, titles)


def files_of(directory: Path) -> list[Path]:
    """All files of a rulebook directory that are read, by name.

    Raises:
        ConfigError: where there is no such directory, or none of them in it.
    """
    if not directory.is_dir():
        raise ConfigError("no such rulebook directory", path=str(directory))
    found = sorted(
        path
        for path in directory.iterdir()
        if path.suffix in {".yaml", ".yml"} or (path.name in ORGANISATION_FILES and path.is_file())
    )
    if not found:
        raise ConfigError("no rulebook files (*.yaml) in this directory", path=str(directory))
    return found


def read_rulebook_file(path: Path) -> tuple[RulebookFile, yaml.Node]:
    """One file, validated by itself, with its YAML nodes for naming lines.

    Raises:
        ConfigError: not readable, not YAML, a duplicate key, or not of the rulebook's form.
    """
    file = read_yaml(path)
    data, node = file.data, file.root
    if node is None:
        raise ConfigError("an empty file; a rulebook file has chapter, title and rules", path=str(path))
    try:
        return RulebookFile.model_validate(data), node
    except ValidationError as error:
        problems = [
            ConfigError(
                message_of(item),
                path=str(path),
                line=line_of(node, item["loc"]),
                rule=_rule_id(data, item["loc"]),
                key=_key(data, item["loc"]),
            )
            for item in error.errors()
        ]
        raise ConfigError.first_of(problems) from error


def catalogue_of_both(own: LoadedRulebook, rival: LoadedRulebook) -> EventCatalogue:
    """The vocabulary by which events are read once for two rulebooks: one that only one knows is no dead letter.

    Raises:
        ConfigError: where a field of an event is of another kind in the other.
    """
    try:
        return own.catalogue.with_those_of(rival.catalogue)
    except ValueError as error:
        remedy = "events are read once for both: replay under each by itself"
        raise ConfigError(f"{error}, and {remedy}", key="compare") from error


def _rule_id(data: Any, location: Keys) -> str | None:
    if len(location) >= 2 and location[0] == "rules" and isinstance(location[1], int):
        try:
            return str(data["rules"][location[1]]["id"])
        except (KeyError, TypeError, IndexError):
            return f"number {location[1] + 1}"
    return None


def _key(data: Any, location: Keys) -> str:
    keys = location[2:] if location[:1] == ("rules",) and len(location) > 1 else location
    if keys and keys != location and keys[0] == data["rules"][location[1]].get("kind"):
        keys = keys[1:]  # pydantic adds the name of the union's member; the file has no such key
    return ".".join(str(key) for key in keys)


def _declare(
    catalogue: EventCatalogue, book: RulebookFile, path: Path, node: yaml.Node, *, replaces: bool
) -> EventCatalogue:
    for name, declared in book.events.items():
        try:
            catalogue = catalogue.with_declared(name, declared.fields, declared.title, replaces=replaces)
        except ValueError as error:
            raise ConfigError(
                str(error), path=str(path), line=line_of(node, ("events", name)), key=f"events.{name}"
            ) from error
    return catalogue


def _refuse(problems: Sequence[Problem], rules: Sequence[LoadedRule]) -> None:
    """The errors with their places in the files, for rules in this order."""
    if problems:
        raise ConfigError.first_of(
            [
                ConfigError(
                    problem.message,
                    path=rules[problem.index].path,
                    line=line_of(rules[problem.index].node, problem.keys),
                    rule=problem.rule_id,
                    key=".".join(str(key) for key in problem.keys),
                )
                for problem in problems
            ]
        )


def _check_calendars(rules: Sequence[LoadedRule], known: Collection[str]) -> None:
    """Check that every calendar named by a rule is in the calendar file."""
    problems = [
        ConfigError(
            f"no calendar {name!r} in {CALENDAR_FILE}; it has {', '.join(sorted(known)) or 'none'}",
            path=item.path,
            line=line_of(item.node, keys),
            rule=item.rule.id,
            key=".".join(str(key) for key in keys),
        )
        for item in rules
        for keys, name in calendars_of(item.rule)
        if name not in known
    ]
    if problems:
        raise ConfigError.first_of(problems)


def _merge(merged: list[LoadedRule], layer: Sequence[LoadedRule]) -> list[LoadedRule]:
    for item in layer:
        merged = [kept for below in merged for kept in _under(below, item, layer)]
    return [*merged, *layer]


_Disabled = tuple[str, Path, yaml.Node, int]
"""The id of a rule that is not judged, and where that is written."""


def _without(disabled: Sequence[_Disabled], rules: list[LoadedRule]) -> list[LoadedRule]:
    known = {item.rule.id for item in rules}
    problems = []
    for rule_id, path, node, index in disabled:
        if rule_id not in known:
            hint = did_you_mean(rule_id, known)
            line = line_of(node, ("disabled", index))
            problems.append(
                ConfigError(f"no rule {rule_id!r}{hint}", path=str(path), line=line, key=f"disabled.{index}")
            )
    if problems:
        raise ConfigError.first_of(problems)
    off = {rule_id for rule_id, *_ in disabled}
    return [
        replace(item, rule=item.rule.model_copy(update={"enabled": False})) if item.rule.id in off else item
        for item in rules
    ]


def _under(below: LoadedRule, above: LoadedRule, layer: Sequence[LoadedRule]) -> list[LoadedRule]:
    """The remainder of a rule under a newer one: the rule, the rule with an end, or ``None``."""
    old, new = below.rule, above.rule
    if old.id != new.id or below in layer:
        return [below]
    if old.version == new.version or new.effective_from <= old.effective_from:
        return []
    if old.effective_to is None or old.effective_to > new.effective_from:
        ended = old.model_copy(update={"effective_to": new.effective_from})
        return [LoadedRule(ended, below.path, below.node, below.chapter)]
    return [below]
