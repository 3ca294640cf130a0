"""The text of a message to people, in Chinese, English or both. It names organisations, never a person.

Example, a digest in Chinese::

    【超时】收费业务5分钟办结 (W-S5): WO1 ...
    【撤回】收费业务5分钟办结 (W-S5): ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.organisations import Organisation
from schemas.subscriptions import Language, Subscription
from streams.core.matching import AlertData

KINDS: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {
        "warning": "预警",
        "breach": "超时",
        "late_completion": "逾期完成",
        "violation": "违规",
        "retraction": "撤回",
    },
    "en": {
        "warning": "Warning",
        "breach": "Breach",
        "late_completion": "Completed late",
        "violation": "Violation",
        "retraction": "Retracted",
    },
}
SEVERITIES: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {"norm": "严格遵守", "red_line": "红线"},
    "en": {"norm": "norm", "red_line": "red line"},
}
LEVELS: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {"province": "省", "city": "市", "county": "县", "unit": "班组"},
    "en": {"province": "province", "city": "city", "county": "county", "unit": "unit"},
}
DEFAULT_TEMPLATES: Final[Mapping[str, str]] = {
    "zh": "【{kind}】{title}（{clause}，{severity}）：{explanation}",
    "en": "[{kind}] {title} ({clause}, {severity}): {explanation}",
}
NAMED_TEMPLATES: Final[Mapping[str, str]] = {
    "zh": "【{kind}】{place}：{title}（{clause}，{severity}）：{explanation}",
    "en": "[{kind}] {place}: {title} ({clause}, {severity}): {explanation}",
}
"""The default where names of organisations are known and the alert has an organisation."""
Names = Mapping[str, Organisation]
"""Organisations by code."""
NO_NAMES: Final[Names] = {}
_UNWANTED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
"""Line breaks (could fake a second alert) and control characters for terminals or the writing direction."""
_ESCALATED: Final[Mapping[str, str]] = {"zh": "【升级至{level}】", "en": "[escalated to {level}] "}
_INCOMPLETE: Final[Mapping[str, str]] = {
    "zh": "【数据不全，请先核实】",
    "en": "[records of its time were lost: check it first] ",
}
_MANY: Final[Mapping[str, str]] = {"zh": "供电服务时限：{count} 条告警", "en": "Service time limits: {count} alerts"}
_ONE: Final[Mapping[str, str]] = {"zh": "供电服务时限：{kind}", "en": "Service time limit: {kind}"}


def languages(language: Language) -> tuple[str, ...]:
    """The languages of a subscription, in order."""
    return ("zh", "en") if language == "both" else (language,)


def name_of(code: Any, language: str, names: Names) -> str:
    """The name of an organisation in a language; the code itself where it has none, and nothing for no code."""
    if not isinstance(code, str) or code not in names:
        return "" if code is None else str(code)
    name: str = getattr(names[code].name, language)
    return name


def place_of(alert: AlertData, language: str, names: Names) -> str:
    """City, county and unit of an alert, as far as it has them, else its province; empty without any."""
    org: Mapping[str, Any] = alert["org"] or {}
    known = [org[level] for level in ("city", "county", "unit") if org.get(level)] or [org.get("province")]
    return " / ".join(name_of(code, language, names) for code in known)


def words_of(alert: AlertData, language: str, level: str | None, names: Names = NO_NAMES) -> dict[str, str]:
    """The placeholders of a template, as text."""
    org: Mapping[str, Any] = alert["org"] or {}
    plain = ("alert_id", "case_id", "rule", "clause", "order_id", "started_at", "deadline", "detected_at",
             "stopped_at", "limit")  # fmt: skip
    found = {name: "" if alert[name] is None else str(alert[name]) for name in plain}
    return {
        **found,
        "kind": KINDS[language].get(alert["kind"], alert["kind"]),
        "severity": SEVERITIES[language].get(alert["severity"], alert["severity"]),
        "title": alert["title"][language],
        "subject": f"{alert['subject']['type']} {alert['subject']['id']}",
        **{place: name_of(org.get(place) or None, language, names) for place in ("city", "county", "unit")},
        "place": place_of(alert, language, names),
        "explanation": alert["explanation"][language],
        "evidence": ", ".join(alert["evidence"]),
        "level": LEVELS[language][level] if level else "",
    }


def doubt_of(alert: AlertData, language: str) -> str:
    """The prefix of an alert that may be wrong because records of its time were lost; else empty."""
    return _INCOMPLETE[language] if alert.get("incomplete") else ""


def line_of(alert: AlertData, subscription: Subscription, level: str | None = None, names: Names = NO_NAMES) -> str:
    """One alert in the subscription's wording; one line per language.

    An alert that may be wrong because records of its time were lost has a prefix, whatever the template.
    """
    lines = []
    for language in languages(subscription.language):
        words = {name: _UNWANTED.sub(" ", word) for name, word in words_of(alert, language, level, names).items()}
        up = _ESCALATED[language].format(level=words["level"]) if level else ""
        usual = (NAMED_TEMPLATES if names and words["place"] else DEFAULT_TEMPLATES)[language]
        lines.append(up + doubt_of(alert, language) + (subscription.template or usual).format_map(words))
    return "\n".join(lines)


def message_of(
    alerts: Sequence[AlertData],
    subscription: Subscription,
    level: str | None = None,
    *,
    names: Names = NO_NAMES,
    test: bool = False,
) -> tuple[str, str]:
    """Title and text of one message, oldest alert first. ``test`` marks both as a test."""
    titles = []
    for language in languages(subscription.language):
        kind = KINDS[language].get(alerts[0]["kind"], alerts[0]["kind"])
        one = _ONE[language].format(kind=kind)
        titles.append(one if len(alerts) == 1 else _MANY[language].format(count=len(alerts)))
    ordered = sorted(alerts, key=lambda alert: str(alert["detected_at"]))
    mark = "【测试 TEST】" if test else ""
    return mark + " / ".join(titles), mark + "\n".join(line_of(alert, subscription, level, names) for alert in ordered)
