"""Guesses which event types words name, and which columns hold the fields of events.

A guess is shown for a person to confirm. One that is not near enough is a question and no part of the mapping: a wrong
type would start a clock that the order does not have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import BaseModel

from schemas.base import Text
from schemas.events import COMMON_FIELDS, SUBJECT_FIELDS, EventCatalogue
from schemas.limits import UntilDate
from schemas.rules import DeadlineRule, EvidenceRule, MinimumNoticeRule, PrerequisiteRule, Rule
from schemas.titles import VALUE_TITLES
from streams.core.rule_checks import conditions_of, patterns_of
from streams.replay.sources.profile import MOST_DIFFERENT, Column, Profile
from streams.wire.values import FALSE, TRUE

NEAR: Final = 0.6
"""A type whose likeness to the word is smaller is a question only."""

_MOST_WORDS: Final = 40
_SUBJECT: Final = (
    ("order_id", r"工单|单号|order|ticket|申请编号|app_?no$|gdbh$|case:concept:name"),
    ("account_id", r"户号|(用户|客户)(编号|号)|account|cons_?no$|yhbh$"),
    ("meter_id", r"表号|电能表|表计|电表|meter"),
    ("batch_id", r"批次|batch"),
)
_COMMON: Final = (
    *_SUBJECT,
    ("org.city", r"市(公司)?(编码|代码)|city"),
    ("org.county", r"县(公司)?(编码|代码)|county"),
    ("org.unit", r"(单位|供电所|部门|班组|机构)(编码|代码)|org_?no$"),
    ("staff_id", r"工号|人员|经办|staff|operator"),
)
_EVENT_ID: Final = re.compile(
    r"^ocel:eid$|(event|evt)_?(id|no)$|^uuid$|^guid$|流水号|事件(编号|标识|id)", re.IGNORECASE
)
_OWN: Final = {
    "amount": r"金额|费用|amount",
    "approval_ref": r"审批(单|文|编)号",
    "area": r"地区|区域|地域|城乡|area|region",
    "category": r"(用电|客户|用户|业务)类[别型]|category",
    "cause": r"停电(原因|类型)|^cause$",
    "community": r"小区|community",
    "conditional": r"容缺",
    "crew_size": r"人数|crew",
    "customer_class": r"重要(客户|用户)|(客户|用户)(等级|级别)",
    "due_on": r"到期|截止|缴费期限|约定.*日|due",
    "effective_on": r"生效",
    "for_at": r"(预约|约定).*时间|appointed_for",
    "households": r"户数|households",
    "kva": r"容量|kva",
    "method": r"(抄表|采集)方式|^method$",
    "owing": r"结清|(是否|仍)欠费|owing|settled",
    "passed": r"(检验|审查|检查|验收)(结果|结论)|是否合格|passed",
    "period": r"(抄表|电费)(月|年月|周期)|账期|^period$",
    "planned": r"换表类[别型]",
    "prepay": r"预付费|智能交费|费控|prepa",
    "proof_ref": r"凭证|回执|proof",
    "reading_day": r"例日",
    "reason": r"原因|reason",
    "scope": r"(报修|影响|停电)范围|^scope$",
    "since_on": r"逾期.*(起|日)|overdue_since",
    "zero_cost": r"三零|zero_cost",
}
"""The usual names of columns, for fields of events."""

_OPPOSITE: Final = {"owing": re.compile(r"结清|settled", re.IGNORECASE)}
"""Columns that say the contrary of the field."""

_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "repair.reported": ("受理", "报修", "reported", "accepted", "received"),
    "repair.dispatched": ("派单", "dispatched"),
    "repair.arrived": ("到达", "到场", "到达现场", "arrived"),
    "repair.completed": ("修复", "完成", "finished"),
    "repair.closed": ("归档", "closed"),
    "repair.feedback_asked": ("回访",),
    "application.accepted": ("受理", "业务受理", "accepted"),
    "connection.energized": ("送电", "装表接电"),
    "bill.paid": ("缴费", "交费", "交清电费", "结清电费"),
    "bill.issued": ("出账", "电费发行"),
    "complaint.received": ("受理",),
    "complaint.answered": ("答复", "回复"),
    "disconnection.performed": ("停电", "执行停电"),
    "disconnection.restored": ("复电", "恢复送电"),
    "arrears.notice_delivered": ("催费", "送达催费单"),
}
_AREAS: Final = {"urban": ("城", "city"), "rural": ("农", "乡", "村", "country"), "remote": ("边远",)}
_INITIALS: Final = {
    "bx": "报修", "sl": "受理", "pg": "派工", "pd": "派单", "dd": "到达", "wc": "完成", "xf": "修复", "gd": "归档",
    "hf": "回访", "kc": "勘查", "td": "停电", "fd": "复电", "sd": "送电", "jf": "缴费", "df": "答复", "ts": "投诉",
}  # fmt: skip
"""Columns that are named by the initials of their words in pinyin: slsj is 受理时间."""


_UNDONE: Final = (
    "未", "不", "无", "待", "取消", "撤", "作废", "退", "拒", "失败", "转", "催办",
    "cancel", "fail", "reject", "not ", "not_", "pending", "wait", "revoke", "undo",
)  # fmt: skip
"""Parts of words for a step that is still to come, or that was taken back: 待派单, 未到达现场."""


class Guess(NamedTuple):
    """The type that a word may name, and how near its title is to the word, 0 to 1."""

    event_type: str
    likeness: float

    @property
    def is_near(self) -> bool:
        """Whether it may stand in a mapping."""
        return self.likeness >= NEAR


def types_for(words: Sequence[str], titles: Mapping[str, Text], catalogue: EventCatalogue) -> list[Guess]:
    """For each word the type with the nearest title.

    Of near ones that of the chapter and the family which fit all words best: 受理 is reported in a sheet of repairs,
    and accepted in a sheet of connections.
    """
    likenesses = [{name: _likeness(word, name, title) for name, title in titles.items()} for word in words]
    chapters, families = (
        _shares(likenesses, lambda name: catalogue.models[name].__module__),
        _shares(likenesses, lambda name: name.partition(".")[0]),
    )
    found = []
    for own in likenesses:
        best = max(own, key=lambda name: own[name] + 0.2 * chapters[name] + 0.1 * families[name], default="")
        found.append(Guess(best, own.get(best, 0)))
    return found


def nearest_types(words: Sequence[str], titles: Mapping[str, Text], most: int = 12) -> list[str]:
    """The types whose names or titles are like one of the words, the nearest first."""
    likeness = {
        name: max(1.0 if word.lower() in name else _likeness(word, name, title) for word in words)
        for name, title in titles.items()
    }
    near = [name for name in titles if likeness[name] >= NEAR / 2]
    return sorted(near, key=lambda name: -likeness[name])[:most]


def _shares(likenesses: Sequence[Mapping[str, float]], group_of: Callable[[str], str]) -> dict[str, float]:
    """For each type how well its group fits all words: 1 for the group that fits best."""
    totals: dict[str, float] = {}
    for own in likenesses:
        best: dict[str, float] = {}
        for name, likeness in own.items():
            group = group_of(name)
            best[group] = max(best.get(group, 0), likeness)
        for group, likeness in best.items():
            totals[group] = totals.get(group, 0) + likeness
    most = max(totals.values(), default=0) or 1
    return {name: totals[group_of(name)] / most for own in likenesses[:1] for name in own}


def _likeness(word: str, name: str, title: Text) -> float:
    """How near a word is to a type's title, 0 to 1; less than ``NEAR`` where it says that the step is not done."""
    likeness = _plain_likeness(word, name, title)
    said = f"{title.zh} {title.en} {name}".lower()
    undone = any(part in word.lower() and part not in said for part in _UNDONE) or word.endswith("中")
    return likeness / 2 if undone else likeness


def _plain_likeness(word: str, name: str, title: Text) -> float:
    word = _INITIALS.get(word.lower().removesuffix("sj"), word)
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word).replace("_", " ").replace("-", " ").lower().strip()
    best = 0.0
    for synonym in _SYNONYMS.get(name, ()):
        if plain == synonym or (synonym.isascii() and _stems(plain) == _stems(synonym)):
            return 0.9
        if len(synonym) > 1 and not synonym.isascii() and synonym in plain:
            best = max(best, _contained(synonym, plain))
    if word == title.zh:
        return 1
    if len(word) > 1 and len(title.zh) > 1 and (word in title.zh or title.zh in word):
        best = max(best, _contained(word, title.zh))
    characters = 0 if word.isascii() else _overlap(list(word), list(title.zh))
    in_english = max(
        _overlap(_stems(plain), _stems(text)) for text in (title.en, name.partition(".")[2], name.replace(".", " "))
    )
    return max(characters * 0.95, in_english, best)


def _contained(one: str, other: str) -> float:
    """The likeness of two words of which one is a part of the other."""
    return 0.75 + 0.2 * _overlap(list(one), list(other))


def _stems(text: str) -> list[str]:
    return [word[:5] for word in re.findall(r"[a-z0-9]+", text.replace("_", " ").lower())]


def _overlap(one: list[str], other: list[str]) -> float:
    """What two lists have in common, in any order: 0 to 1."""
    shared = sum((Counter(one) & Counter(other)).values())
    return 2 * shared / (len(one) + len(other)) if one or other else 0


# --- columns of fields ----------------------------------------------------------------------------------


def common_columns(found: Profile) -> dict[str, Column]:
    """The columns of ids, places and staff numbers."""
    chosen: dict[str, Column] = {}
    for name, pattern in _COMMON:
        fitting = [
            column
            for column in found.columns.values()
            if column.filled
            and not column.is_time
            and all(column is not taken for taken in chosen.values())
            and re.search(pattern, column.name, re.IGNORECASE)
            and (name != "staff_id" or all(re.fullmatch(r"[A-Za-z]{0,3}\d{2,}", text) for text in column.values))
        ]
        if fitting:
            chosen[name] = max(fitting, key=lambda column: (column.is_id, len(column.values)))
    return chosen


def event_id_of(found: Profile) -> Column | None:
    """The column that names an event, where it does so in nearly every row."""
    for column in found.columns.values():
        if _EVENT_ID.search(column.name) and len(column.values) >= 0.9 * min(found.rows, MOST_DIFFERENT):
            return column
    return None


class Asked(NamedTuple):
    """A field that rules look at, in events of these types."""

    name: str
    types: tuple[str, ...]
    rules: tuple[str, ...]


def asked_fields(types: Iterable[str], rules: Sequence[Rule], catalogue: EventCatalogue) -> list[Asked]:
    """The fields, beside ids, that the enabled rules look at in events of these types."""
    found: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    known = {name: set(catalogue.models[name].model_fields) - COMMON_FIELDS for name in dict.fromkeys(types)}
    for rule in rules:
        if not rule.enabled:
            continue
        for name, concerned in _looked_at(rule):
            for event_type in concerned:
                if name in known.get(event_type, ()):
                    own_types, own_rules = found.setdefault(name, ({}, {}))
                    own_types[event_type] = own_rules[rule.id] = None
    return [Asked(name, tuple(own_types), tuple(own_rules)) for name, (own_types, own_rules) in sorted(found.items())]


def unmet_rules(types: Iterable[str], rules: Sequence[Rule]) -> Iterator[tuple[str, str, str]]:
    """The enabled rules that nothing in such data can meet: id, the type that begins a case, the types it waits for."""
    given = set(types)
    for rule in rules:
        match rule:
            case DeadlineRule() if rule.enabled:
                begins, waits = [list(group) for group in rule.start.all], [list(rule.stop)]
            case EvidenceRule() | PrerequisiteRule() | MinimumNoticeRule() if rule.enabled:
                begins, waits = [list(rule.act)], [list(need.any) for need in rule.needs if not need.if_act]
                if isinstance(rule, MinimumNoticeRule):
                    waits.append(list(rule.notice))
                if isinstance(rule, EvidenceRule) and rule.by:
                    begins.append(list(rule.by))
            case _:
                continue
        begun = [[one.type for one in group if one.type in given] for group in begins]
        lacking = [group for group in waits if not any(one.type in given for one in group)]
        if begun and all(begun) and lacking:
            missing = dict.fromkeys(one.type for group in lacking for one in group)
            yield rule.id, begun[0][0], " or ".join(missing)


def _looked_at(rule: Rule) -> Iterator[tuple[str, Sequence[str]]]:
    """Each field that a rule names, with the types whose field it may be."""
    concerned = [pattern.type for _, pattern in patterns_of(rule, ())]
    concerned += [fact for fact in (getattr(rule, "facts_from", None),) if fact is not None]
    for _, name, condition, types in conditions_of(rule, (), ()):
        yield name, types or concerned
        if condition.start_field is not None:
            yield condition.start_field, concerned
    for name in _named(rule):
        yield name, concerned


def _named(value: object) -> Iterator[str]:
    """Fields that are named elsewhere than in conditions: of dates, of what a notice covers, of what is counted."""
    if isinstance(value, UntilDate):
        yield value.field
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            inner = getattr(value, name)
            if name in ("date_field", "per") and isinstance(inner, str):
                yield inner
            elif name == "covers" and isinstance(inner, Mapping):
                yield from (one for pair in inner.items() for one in pair if one not in SUBJECT_FIELDS)
            else:
                yield from _named(inner)
    elif isinstance(value, tuple):
        for item in value:
            yield from _named(item)


def column_of(asked: Asked, found: Profile, catalogue: EventCatalogue, taken: Iterable[str]) -> Column | None:
    """The column that seems to hold the field."""
    pattern, event_type = _OWN.get(asked.name, f"^{asked.name}$"), asked.types[0]
    kind = catalogue.kind_of(event_type, asked.name)
    listed = catalogue.values_of(event_type, asked.name)
    free = [
        column
        for column in found.columns.values()
        if column.name not in taken and column.filled and column.is_time == (kind in ("date", "time"))
    ]
    for column in free:
        values = values_of(asked.name, column, kind, listed)
        if re.search(pattern, column.name, re.IGNORECASE) and (
            not (kind == "boolean" or listed) or any(values.values())
        ):
            return column
    for column in free if listed else ():
        if all(len(text) > 1 for text in column.values) and all(values_of(asked.name, column, kind, listed).values()):
            return column  # by its words
    return None


def values_of(name: str, column: Column, kind: str, listed: Sequence[object]) -> dict[str, str]:
    """The field's value for each text of the column; empty where it is not known."""
    texts = [text for text, _ in column.values.most_common(_MOST_WORDS)]
    if kind != "boolean":
        return {text: _word(text, [str(one) for one in listed]) for text in texts}
    is_opposite = name in _OPPOSITE and _OPPOSITE[name].search(column.name) is not None
    return {text: _flag(text, is_opposite=is_opposite) for text in texts}


def _word(text: str, listed: Sequence[str]) -> str:
    plain = text.lower().replace("非居民", "")
    if plain in listed:
        return plain
    named = [one for one in listed if VALUE_TITLES.get(one, one) in plain]
    if not named:
        named = [one for one in listed if any(part in plain for part in _AREAS.get(one, ()))]
    if not named and len(text) > 1:
        named = [one for one in listed if text in VALUE_TITLES.get(one, one)]
        return named[0] if len(named) == 1 else ""
    return max(named, key=lambda one: len(VALUE_TITLES.get(one, one)), default="")


def _flag(text: str, *, is_opposite: bool) -> str:
    plain = text.strip().lower()
    if plain in TRUE or re.match(r"合格|通过|已|有|是", plain):
        holds = True
    elif plain in FALSE or re.match(r"不|未|无|否|没", plain):
        holds = False
    else:
        return ""
    return "true" if holds != is_opposite else "false"


def is_plain_flag(values: Mapping[str, str]) -> bool:
    """Whether the texts are read as true and false without being listed."""
    return all((text.lower() in TRUE) if value == "true" else (text.lower() in FALSE) for text, value in values.items())
