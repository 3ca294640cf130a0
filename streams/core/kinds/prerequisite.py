"""Kind ``prerequisite``: the act only after the events it needs; the same instant is early enough.

Worked example, ``survey-by-appointment``: appointed at 09:00, surveyed at 10:00 is met; surveyed at 08:59:59.999 is a
violation, reported when the watermark has passed that instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from schemas.base import Text
from schemas.rules import PrerequisiteRule
from streams.core.event import Event
from streams.core.kinds.acts import ActFold, ActVersion, Watch
from streams.core.kinds.findings import Finding
from streams.core.working_days import WorkingCalendar


class _Version(ActVersion[PrerequisiteRule]):
    def find(self, watch: Watch, trigger: Event) -> Iterable[Finding]:
        if not self.applies(watch, trigger):
            return ()
        return (self.finding(trigger, self.missing(watch, trigger), self.grounds(watch, trigger)),)


def prerequisite_fold(
    rules: Sequence[PrerequisiteRule], calendar: WorkingCalendar, titles: Mapping[str, Text]
) -> ActFold:
    """All versions of one rule, compiled."""
    return ActFold([_Version(rule, calendar, titles, rule.needs) for rule in rules])
