"""Acknowledgements: a person has seen an alert, or adds a note to it. Flat JSON, key ``alert_id``.

The topic is the audit trail: records are never changed or removed by this program. A note holds no personal data
(names, telephone numbers, addresses): it is kept for as long as the topic is, and shown to whoever may read it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from schemas.base import Model

ALERT_ID_PATTERN = r"^[0-9a-f]{32}$"
MAX_NOTE = 500
"""Characters of a note."""

Action = Literal["acknowledge", "annotate"]
# One line, and nothing that a terminal would obey.
_PLAIN = r"^[^\x00-\x1f\x7f\u0080-\u009f\u2028\u2029]*$"


class Acknowledgement(Model):
    """``acknowledge`` ends the escalation of a breach; ``annotate`` only adds a note. ``by`` is a staff number."""

    alert_id: str = Field(pattern=ALERT_ID_PATTERN)
    action: Action
    by: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_PLAIN)]
    at: AwareDatetime
    note: Annotated[str, StringConstraints(max_length=MAX_NOTE, pattern=_PLAIN)] | None = None
