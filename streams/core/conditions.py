"""Conditions of the rulebook compiled into predicates over an event's fields.

A predicate takes the flat mapping of an event and returns a boolean. It never raises: a field of an unexpected type
does not meet the condition (the decoder has already refused what the vocabulary forbids).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from schemas.fields import time_in
from schemas.patterns import Condition, Conditions

Fields = Mapping[str, Any]
Predicate = Callable[[Fields], bool]
Comparison = Callable[[Fields, Fields], bool]
"""Whether an event's fields compare as required with those that the case started with."""

_DECIMAL: Final = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def always(_fields: Fields) -> bool:
    """The predicate of an empty list of conditions."""
    return True


def _same_kind(value: object, wanted: frozenset[tuple[bool, object]]) -> bool:
    # 1 == True in Python; a rulebook with `passed: true` does not mean the number one.
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


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float | Decimal):
        return Decimal(str(value))
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def _order(left: object, right: object) -> int | None:
    """-1, 0 or 1 as the left is less than, equal to or more than the right; ``None`` where they cannot be compared."""
    a: Any = _number(left)
    b: Any = _number(right)
    if isinstance(left, str) and isinstance(right, str) and (a is None or b is None):
        a, b = (_date(left), _date(right)) if _DATE.fullmatch(left) else (time_in(left), time_in(right))
    if a is None or b is None:
        return None
    return int(a > b) - int(a < b)


def _is_same(left: object, right: object) -> bool:
    if left is None or right is None or isinstance(left, bool) != isinstance(right, bool):
        return False
    if left == right:
        return True
    if isinstance(left, str) and isinstance(right, str) and left.isdigit() and right.isdigit():
        return False  # codes: 007 is not 7
    return _order(left, right) == 0


def comparison(conditions: Conditions) -> Comparison | None:
    """Whether all conditions that compare with the start hold; ``None`` where there is none."""
    asked = [
        (field, condition.start_field, condition)
        for field, condition in conditions.items()
        if condition.start_field is not None
    ]
    if not asked:
        return None

    def compare(fields: Fields, start: Fields) -> bool:
        for field, start_field, condition in asked:
            left, right = fields.get(field), start.get(start_field)
            if condition.same_as is not None:
                holds = _is_same(left, right)
            else:
                holds = _order(left, right) == (-1 if condition.less_than is not None else 1)
            if not holds:
                return False
        return True

    return compare


def predicate_of_start(conditions: Conditions) -> Predicate:
    """``predicate`` for the event that starts the case: it is compared with its own fields."""
    compare, own = comparison(conditions), predicate(conditions)
    return own if compare is None else lambda fields: own(fields) and compare(fields, fields)


def predicate(conditions: Conditions) -> Predicate:
    """Whether all conditions hold except those that compare with the start; an empty list always holds."""
    tests = [_of_field(field, condition) for field, condition in conditions.items() if condition.start_field is None]
    if not tests:
        return always
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda fields: first(fields) and second(fields)
    return lambda fields: all(test(fields) for test in tests)


def _of_field(field: str, condition: Condition) -> Predicate:
    wanted = condition.one_of
    if wanted is not None and len(wanted) == 1 and isinstance(wanted[0], str | bool):  # nearly all, and faster
        only = wanted[0]
        if isinstance(only, bool):
            return lambda fields: fields.get(field) is only
        return lambda fields: fields.get(field) == only
    test = _test(condition)
    return lambda fields: test(fields.get(field))
