"""Conditions of the rulebook turned into predicates over an event's fields.

A predicate takes the flat mapping of an event and says yes or no. It never raises: a field of an unexpected
type simply does not meet the condition (the decoder has already refused what the vocabulary forbids).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from schemas.patterns import Condition, Conditions

Fields = Mapping[str, Any]
Predicate = Callable[[Fields], bool]


def always(_fields: Fields) -> bool:
    """The predicate of no conditions."""
    return True


def _same_kind(value: object, wanted: frozenset[tuple[bool, object]]) -> bool:
    # 1 == True in Python; a rulebook that says `passed: true` does not mean the number one.
    try:
        return (isinstance(value, bool), value) in wanted
    except TypeError:  # an unhashable value (a list) equals no scalar
        return False


def _test(condition: Condition) -> Callable[[object], bool]:
    if condition.one_of is not None:
        if all(isinstance(item, str) for item in condition.one_of):
            words = frozenset(condition.one_of)
            return lambda value: isinstance(value, str) and value in words
        wanted = frozenset((isinstance(item, bool), item) for item in condition.one_of)
        return lambda value: _same_kind(value, wanted)
    if condition.none_of is not None:
        unwanted = frozenset((isinstance(item, bool), item) for item in condition.none_of)
        return lambda value: not _same_kind(value, unwanted)
    if condition.present is not None:
        present = condition.present
        return lambda value: (value is not None and value not in ("", [])) == present
    low, high = condition.at_least, condition.at_most

    def in_range(value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return False
        return (low is None or value >= low) and (high is None or value <= high)

    return in_range


def predicate(conditions: Conditions) -> Predicate:
    """Whether all conditions hold; no conditions always hold."""
    tests = [(field, _test(condition)) for field, condition in conditions.items()]
    if not tests:
        return always
    if len(tests) == 1:
        field, test = tests[0]
        wanted = conditions[field].one_of
        if wanted is not None and len(wanted) == 1 and isinstance(wanted[0], str):
            only = wanted[0]
            return lambda fields: fields.get(field) == only
        return lambda fields: test(fields.get(field))
    return lambda fields: all(test(fields.get(field)) for field, test in tests)
