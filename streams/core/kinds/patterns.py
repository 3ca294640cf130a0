"""Compiled patterns of a rule: whether an event matches one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from schemas.base import Text
from schemas.patterns import Condition, Pattern
from schemas.titles import VALUE_TITLES
from streams.core.conditions import Comparison, Fields, Predicate, always, comparison, predicate
from streams.core.event import Event
from streams.core.faults import Label

Pairs = Sequence[tuple[Predicate, Predicate, Comparison | None]]
"""Tests of the event's fields, of the fields that the case started with, and of both together."""

Tests = Mapping[str, Pairs]
"""Event type to pairs of tests."""


def compile_patterns(patterns: Iterable[Pattern]) -> Tests:
    """The patterns by event type."""
    tests: dict[str, list[tuple[Predicate, Predicate, Comparison | None]]] = {}
    for pattern in patterns:
        together = (predicate(pattern.where), predicate(pattern.if_start), comparison(pattern.where))
        tests.setdefault(pattern.type, []).append(together)
    return tests


def any_of(tests: Iterable[Tests]) -> Tests:
    """The patterns of all of them, by event type."""
    found: dict[str, list[tuple[Predicate, Predicate, Comparison | None]]] = {}
    for one in tests:
        for event_type, pairs in one.items():
            found.setdefault(event_type, []).extend(pairs)
    return found


def fits(pairs: Pairs, event: Event, start_fields: Fields | None = None, *, has_started: bool = True) -> bool:
    """``matches`` with the tests of the event's type already looked up.

    Before the case has started nothing compares with its start.
    """
    data = event.data
    for where, if_start, compare in pairs:
        if (
            (where is always or where(data))
            and (if_start is always or (start_fields is not None and if_start(start_fields)))
            and (compare is None or (has_started and start_fields is not None and compare(data, start_fields)))
        ):
            return True
    return False


def may_fit(pairs: Pairs, event: Event) -> bool:
    """Whether the event matches by its own fields; comparisons with a start are left for later."""
    data = event.data
    for where, _, _ in pairs:  # noqa: SIM110 (a generator would cost more than it looks at)
        if where is always or where(data):
            return True
    return False


def compares(patterns: Iterable[Pattern]) -> bool:
    """Whether one of the patterns compares with the start of the case."""
    return any(condition.start_field is not None for pattern in patterns for condition in pattern.where.values())


def compared_fields(patterns: Iterable[Pattern]) -> tuple[str, ...]:
    """The fields of an event that some pattern compares with the start of the case."""
    compared = [name for pattern in patterns for name, one in pattern.where.items() if one.start_field is not None]
    return tuple(sorted(set(compared)))


def alike_as(pairs: Pairs, compared: Iterable[str], event: Event) -> tuple[object, ...]:
    """Equal for events of one type that match the same starts; ``compared`` are the ``compared_fields``."""
    data = event.data
    return (*[where(data) for where, _, _ in pairs], *[repr(data.get(name)) for name in compared])


def is_alone(patterns: Iterable[Pattern]) -> bool:
    """Whether the patterns ask about the event's own fields only, so that ``may_fit`` is the whole match."""
    return all(not pattern.if_start for pattern in patterns) and not compares(patterns)


def matches(tests: Tests, event: Event, start_fields: Fields | None = None) -> bool:
    """Whether one of the patterns matches; one that compares with the start matches only if the start is known."""
    pairs = tests.get(event.type)
    return pairs is not None and fits(pairs, event, start_fields)


def title_of(event_type: str, titles: Mapping[str, Text]) -> Text:
    """The title of an event type; its name if it has none."""
    return titles.get(event_type) or Text(zh=event_type, en=event_type)


def condition_text(field: str, condition: Condition) -> str:
    """A condition on a field of the event itself, but for ``present``, as text for a sentence in either language."""
    if condition.one_of is not None:
        return f"{field}={_values_text(condition.one_of)}"
    if condition.none_of is not None:
        return f"{field}≠{_values_text(condition.none_of)}"
    if condition.at_least is not None:
        return f"{field}≥{condition.at_least:g}"
    return f"{field}≤{condition.at_most:g}"


def _values_text(values: Iterable[object]) -> str:
    return "/".join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


def label_of(patterns: Iterable[Pattern], titles: Mapping[str, Text]) -> Label:
    """The title of the events that match any of the patterns: the type's title, and what is required of its fields.

    All of it is said: where such an event is missing, one of the type may well be there. The key has the values only.
    """
    zh, en, types = [], [], []
    for pattern in patterns:
        title = title_of(pattern.type, titles)
        named = {  # values that say by themselves what they are of
            name: [str(item) for item in condition.one_of]
            for name, condition in pattern.where.items()
            if condition.one_of and not all(isinstance(item, bool) for item in condition.one_of)
        }
        values = list(named.values())
        compared = [(name, c.sign, c.start_field) for name, c in pattern.where.items() if c.start_field is not None]
        key = [pattern.type, *("/".join(items) for items in values)]
        types.append(" ".join([*key, *(f"{name}{sign}start.{of}" for name, sign, of in compared)]))
        in_zh = ["/".join(VALUE_TITLES.get(item, item) for item in items) for items in values]
        in_zh += [f"{name}{sign}本次的{of}" for name, sign, of in compared]
        in_en = ["/".join(items) for items in values]
        in_en += [f"{name} {sign} {of} of the act" for name, sign, of in compared]
        for name, condition in pattern.where.items():
            if condition.present is not None:
                in_zh.append(f"{'有' if condition.present else '无'} {name}")
                in_en.append(f"{'with' if condition.present else 'without'} {name}")
            elif name not in named and condition.start_field is None:
                in_zh.append(condition_text(name, condition))
                in_en.append(in_zh[-1])
        zh.append(title.zh + (f"（{'，'.join(in_zh)}）" if in_zh else ""))
        en.append(title.en + (f" ({', '.join(in_en)})" if in_en else ""))
    together = " or ".join(dict.fromkeys(types))
    return Label("或".join(dict.fromkeys(zh)), " or ".join(dict.fromkeys(en)), together)
