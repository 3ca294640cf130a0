"""Acknowledgements: a person's action or note on an alert. Flat JSON, key ``alert_id``.

The topic is the audit trail: this program never changes or removes a record; the topic's retention removes it after
``GRIDCLOCK_ACKS_DAYS``. The actor is staff data: with a pseudonym key ``by`` and ``to`` are pseudonyms. A note must
have no personal data (names, telephone numbers, addresses): everyone who may read the topic sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.base import Model, Moment

ALERT_ID_PATTERN = r"^[0-9a-f]{32}$"
MAX_NOTE = 500
"""Characters of a note."""

MAX_WHO: Final = 100
"""Characters of a staff number or role."""

MAX_SILENCE: Final = timedelta(days=7)
"""The longest silence; for a longer one acknowledge the alert, or silence it again."""

Action = Literal["acknowledge", "annotate", "assign", "silence"]
# One line, without control characters.
_PLAIN = r"^[^\x00-\x1f\x7f\u0080-\u009f\u2028\u2029]*$"
Who = Annotated[str, StringConstraints(min_length=1, max_length=MAX_WHO, pattern=_PLAIN)]
"""A staff number or role, or its pseudonym."""


class Acknowledgement(Model):
    """The action of ``by`` at ``at``.

    ``acknowledge`` ends the escalation of a breach or violation. ``silence`` suspends it before ``until``; of several
    the last counts, and one of zero length ends an earlier one. ``assign`` names the person in charge (``to``),
    ``annotate`` only adds a note; neither changes the recipients.
    """

    alert_id: str = Field(pattern=ALERT_ID_PATTERN)
    action: Action = Field(description="what was done")
    by: Who
    at: Moment
    note: Annotated[str, StringConstraints(max_length=MAX_NOTE, pattern=_PLAIN)] | None = None
    to: Who | None = Field(default=None, description="only of `assign`: who looks after the alert from now on")
    until: Moment | None = Field(default=None, description="only of `silence`: when it ends, exclusive")

    @model_validator(mode="after")
    def _belongs(self) -> Self:
        for name, action in (("to", "assign"), ("until", "silence")):
            if (getattr(self, name) is not None) != (self.action == action):
                raise ValueError(f"{action} needs {name!r}, and no other action has it")
        if self.until is not None and not self.at <= self.until <= self.at + MAX_SILENCE:
            raise ValueError(f"a silence lasts at most {MAX_SILENCE.days} days from 'at'")
        return self

    def pseudonymous(self, staff: Callable[[str], str]) -> Self:
        """The same with ``staff`` applied to the people in it."""
        people = {"by": staff(self.by), "to": None if self.to is None else staff(self.to)}
        return self.model_copy(update=people)

    def to_bytes(self) -> bytes:
        """The record as written. Fields not given are left out, so that 0.1 reads the actions that it supports."""
        return self.model_dump_json(exclude_none=True).encode()
