"""YAML files with the lines of their keys, so that error messages name the place.

Common to all YAML of this program: dates stay text (PyYAML's own parsing of ``2027-02-30`` fails without naming the
place), a duplicate key is refused, and every problem names file, line and key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streams.errors import ConfigError, plain_message

Keys = tuple[str | int, ...]
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class YamlFile:
    """One file: its values, and its nodes for naming lines. ``root`` is ``None`` for an empty file."""

    path: str
    data: Any
    root: yaml.Node | None

    def line(self, location: Keys) -> int:
        """The line of a path of keys, from 1; of the nearest key above it that the file has."""
        return 1 if self.root is None else line_of(self.root, location)


# PyYAML's Python parser takes a seventh of a second for the shipped rulebook, at every command; libyaml, which is
# part of its wheels, takes a tenth of that.
_Parsing: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Parsing):  # type: ignore[misc]
    yaml_implicit_resolvers = {  # noqa: RUF012 (the base class declares it so)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(path: Path) -> YamlFile:
    """Read one document.

    Raises:
        ConfigError: not readable, not YAML, too deep, or a key twice; names file, line and key.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", path=str(path)) from error
    try:
        _refuse_depth(text, path)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is not None:
                _refuse_double_keys(root, path)
            data = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:  # a ValueError comes from a scalar with a tag
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        line = None if mark is None else mark.line + 1
        raise ConfigError(f"not YAML: {problem}", path=str(path), line=line) from error
    return YamlFile(str(path), data, root)


def _refuse_depth(text: str, path: Path) -> None:
    # libyaml composes recursively in C, where deep nesting crashes the process; so count the depth of its events first.
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                line = None if event.start_mark is None else event.start_mark.line + 1
                raise ConfigError(f"nested more than {_DEEPEST} deep", path=str(path), line=line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _refuse_double_keys(root: yaml.Node, path: Path) -> None:
    seen_nodes: set[int] = set()  # an alias may refer to a node that contains it
    stack: list[yaml.Node] = [root]
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
                if isinstance(key, yaml.ScalarNode):  # a list or a mapping as a key is refused when it is made
                    if key.value in keys:
                        raise ConfigError(
                            "this key stands twice", path=str(path), line=key.start_mark.line + 1, key=key.value
                        )
                    keys.add(key.value)
                stack.append(value)


def _walk(node: yaml.Node, location: Keys) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Walk a path of keys: yields the node that marks the place (the key, or the item of a list) and the node below it.

    Keys that the file does not have (a union's tag, a missing key) are skipped.
    """
    current = node
    yield current, current
    for key in location:
        if isinstance(current, yaml.MappingNode):
            for key_node, value in current.value:
                if key_node.value == str(key):
                    current = value
                    yield key_node, current
                    break
        elif isinstance(current, yaml.SequenceNode) and isinstance(key, int) and key < len(current.value):
            current = current.value[key]
            yield current, current


def child_of(node: yaml.Node, location: Keys) -> yaml.Node:
    """The node at a path of keys."""
    *_, (_, last) = _walk(node, location)
    return last


def line_of(node: yaml.Node, location: Keys) -> int:
    """The line of a path of keys below ``node``, from 1."""
    *_, (place, _) = _walk(node, location)
    return place.start_mark.line + 1


def message_of(item: Any) -> str:
    """The message for one pydantic error: the value where it is short, then the problem."""
    message = plain_message(item)
    message = message[0].lower() + message[1:]
    value = item.get("input")
    if item["type"] in {"missing", "value_error"} or isinstance(value, dict | list | tuple):
        return message
    return f"{value!r}: {message}"
