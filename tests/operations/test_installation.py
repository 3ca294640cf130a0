"""What ``gridclock status`` asks of the brokers."""

from __future__ import annotations

import pytest
from kafka.errors import CoordinatorNotAvailableError, GroupAuthorizationFailedError

from streams.operations import installation
from streams.operations.installation import when_coordinated


def test_a_coordinator_that_is_not_there_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first status on new brokers ended with an error: they had no topic of groups yet."""
    answers: list[Exception] = [CoordinatorNotAvailableError(), CoordinatorNotAvailableError()]

    def ask(group: str) -> str:
        if answers:
            raise answers.pop()
        return group

    assert when_coordinated(ask, "one") == "one"
    answers += [GroupAuthorizationFailedError("two")] * 2
    with pytest.raises(GroupAuthorizationFailedError):
        when_coordinated(ask, "two")
    assert len(answers) == 1, "asked again"
    monkeypatch.setattr(installation, "_COORDINATOR_SECONDS", 0.0)
    answers[:] = [CoordinatorNotAvailableError()] * 3
    with pytest.raises(CoordinatorNotAvailableError):
        when_coordinated(ask, "three")
