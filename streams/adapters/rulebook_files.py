"""Rulebook directories: YAML in, a compiled rulebook out, every mistake with its file, line, rule and key.

Layers. The shipped rulebook comes first, each ``--rules DIR`` on top of it. A rule of an upper layer with an id
known below is a change of that rule: the same version text replaces the version below; another version ends it
where the new one comes into force; one that is in force earlier takes its place altogether.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from schemas.calendars import CalendarSpec
from schemas.events import EventCatalogue
from schemas.rules import Rule, RulebookFile
from schemas.titles import EVENT_TITLES
from streams.adapters.calendars import PlainLoader, build_calendar, load_calendar_spec
from streams.core.rulebook import Rulebook, check
from streams.errors import ConfigError

CALENDAR_FILE = "calendar.yaml"

Keys = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class LoadedRule:
    """A rule and where it was written."""

    rule: Rule
    path: str
    node: yaml.Node
    chapter: str


@dataclass(frozen=True, slots=True)
class LoadedRulebook:
    """A rulebook with the vocabulary it needs and the files it came from."""

    rulebook: Rulebook
    catalogue: EventCatalogue
    loaded: tuple[LoadedRule, ...]
    files: tuple[RulebookFile, ...]


def shipped_directory() -> Path:
    """Where the shipped rulebook lies."""
    return Path(str(resources.files("streams") / "rulebook"))


def load_rulebook(rules: Sequence[Path] = (), only: Path | None = None) -> LoadedRulebook:
    """Read, check and compile: the shipped rulebook with ``rules`` on top, or ``only`` alone.

    Raises:
        ConfigError: names file, line, rule and key; several problems are in its ``others``.
    """
    directories = [only] if only is not None else [shipped_directory(), *rules]
    catalogue = EventCatalogue.shipped()
    calendar = CalendarSpec()
    layers: list[list[LoadedRule]] = []
    files: list[RulebookFile] = []
    for directory in directories:
        layer: list[LoadedRule] = []
        for path in _yaml_files(directory):
            if path.name == CALENDAR_FILE:
                calendar = load_calendar_spec(path)
                continue
            book, node = read_rulebook_file(path)
            catalogue = _declare(catalogue, book, path, node, afresh=only is not None)
            files.append(book)
            for index, rule in enumerate(book.rules):
                layer.append(LoadedRule(rule, str(path), _child(node, ("rules", index)), book.chapter))
        _check([layer], catalogue)
        layers.append(layer)
    merged = _merge(layers)
    _check([merged], catalogue)
    declared = {name: event.title for book in files for name, event in book.events.items() if event.title}
    all_rules = [item.rule for item in merged]
    rulebook = Rulebook(all_rules, build_calendar(calendar), {**EVENT_TITLES, **declared})
    return LoadedRulebook(rulebook, catalogue, tuple(merged), tuple(files))


def _yaml_files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise ConfigError("no such rulebook directory", path=str(directory))
    found = sorted(path for path in directory.iterdir() if path.suffix in {".yaml", ".yml"})
    if not found:
        raise ConfigError("no rulebook files (*.yaml) in this directory", path=str(directory))
    return found


def read_rulebook_file(path: Path) -> tuple[RulebookFile, yaml.Node]:
    """One file, validated by itself, with its YAML nodes for naming lines.

    Raises:
        ConfigError: not readable, not YAML, a key twice, or not of the rulebook's form.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", path=str(path)) from error
    try:
        loader = PlainLoader(text)
        try:
            node = loader.get_single_node()
            _refuse_double_keys(node, path)
            data = loader.construct_document(node) if node is not None else {}
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is of a scalar with a tag
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or error
        raise ConfigError(f"not YAML: {problem}", path=str(path), line=mark.line + 1 if mark else None) from error
    if node is None:
        raise ConfigError("an empty file; a rulebook file has chapter, title and rules", path=str(path))
    try:
        return RulebookFile.model_validate(data), node
    except ValidationError as error:
        problems = [
            ConfigError(
                _plain(item),
                path=str(path),
                line=_line(node, item["loc"]),
                rule=_rule_id(data, item["loc"]),
                key=_key(data, item["loc"]),
            )
            for item in error.errors()
        ]
        raise ConfigError.first_of(problems) from error


def _plain(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    value = item.get("input")
    if item["type"] in {"missing", "value_error"} or isinstance(value, dict | list | tuple):
        return message[0].lower() + message[1:]
    return f"{value!r}: {message[0].lower() + message[1:]}"


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
        keys = keys[1:]  # pydantic names the member of the union; the file has no such key
    return ".".join(str(key) for key in keys)


def _refuse_double_keys(node: yaml.Node | None, path: Path) -> None:
    seen_nodes: set[int] = set()
    stack: list[yaml.Node] = [] if node is None else [node]
    while stack:
        current = stack.pop()
        if id(current) in seen_nodes:
            continue
        seen_nodes.add(id(current))
        if isinstance(current, yaml.SequenceNode):
            stack.extend(current.value)
        elif isinstance(current, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in current.value:
                if isinstance(key, yaml.ScalarNode) and key.value in keys:
                    raise ConfigError(
                        "this key stands twice",
                        path=str(path),
                        line=key.start_mark.line + 1,
                        key=key.value,
                    )
                keys.add(getattr(key, "value", ""))
                stack.append(value)


def _walk(node: yaml.Node, location: Keys) -> Iterator[yaml.Node]:
    """The nodes along a path of keys; keys that the file does not have (a union's tag) are passed over."""
    current = node
    yield current
    for key in location:
        if isinstance(current, yaml.MappingNode):
            for key_node, value in current.value:
                if key_node.value == str(key):
                    yield key_node
                    current = value
                    yield current
                    break
        elif isinstance(current, yaml.SequenceNode) and isinstance(key, int) and key < len(current.value):
            current = current.value[key]
            yield current


def _child(node: yaml.Node, location: Keys) -> yaml.Node:
    *_, last = _walk(node, location)
    return last


def _line(node: yaml.Node, location: Keys) -> int:
    line = 0
    for step in _walk(node, location):
        if isinstance(step, yaml.ScalarNode) or step.start_mark.line > line:
            line = step.start_mark.line
    return line + 1


def _declare(
    catalogue: EventCatalogue, book: RulebookFile, path: Path, node: yaml.Node, *, afresh: bool
) -> EventCatalogue:
    for name, declared in book.events.items():
        try:
            catalogue = catalogue.with_declared(name, declared.fields, declared.title, afresh=afresh)
        except ValueError as error:
            raise ConfigError(
                str(error), path=str(path), line=_line(node, ("events", name)), key=f"events.{name}"
            ) from error
    return catalogue


def _check(layers: Sequence[Sequence[LoadedRule]], catalogue: EventCatalogue) -> None:
    for layer in layers:
        problems = [
            ConfigError(
                problem.message,
                path=layer[problem.index].path,
                line=_line(layer[problem.index].node, problem.keys),
                rule=problem.rule_id,
                key=".".join(str(key) for key in problem.keys),
            )
            for problem in check([item.rule for item in layer], catalogue)
        ]
        if problems:
            raise ConfigError.first_of(problems)


def _merge(layers: Sequence[Sequence[LoadedRule]]) -> list[LoadedRule]:
    merged: list[LoadedRule] = []
    for layer in layers:
        for item in layer:
            merged = [kept for below in merged for kept in _under(below, item, layer)]
        merged.extend(layer)
    return merged


def _under(below: LoadedRule, above: LoadedRule, layer: Sequence[LoadedRule]) -> list[LoadedRule]:
    """What is left of a rule under another one: itself, itself ended, or nothing."""
    old, new = below.rule, above.rule
    if old.id != new.id or below in layer:
        return [below]
    if old.version == new.version or new.effective_from <= old.effective_from:
        return []
    if old.effective_to is None or old.effective_to > new.effective_from:
        ended = old.model_copy(update={"effective_to": new.effective_from})
        return [LoadedRule(ended, below.path, below.node, below.chapter)]
    return [below]
