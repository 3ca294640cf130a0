"""The topics that this program makes where they are missing, and how they are kept."""

from __future__ import annotations

from typing import Final

from streams.kafka.admin import TopicSpec
from streams.settings import Settings

DAY_S: Final = 86_400
MAX_REQUEST: Final = 16 * 1024 * 1024
"""Bytes of one produced message at most: the state of a subject with a very long history."""


def topics_of(settings: Settings) -> list[TopicSpec]:
    """The topics of this worker, as they are to be where they are not there yet."""
    kept = int(settings.retention_days * DAY_S * 1000)
    small, large = 2 * 1024 * 1024, MAX_REQUEST
    return [
        *(TopicSpec(topic, settings.partitions, kept, False, None) for topic in settings.source_topics),
        TopicSpec(settings.log_topic, settings.partitions, kept, False, small, stamped=True),
        TopicSpec(settings.changelog_topic, settings.partitions, None, True, large),
        TopicSpec(settings.alerts_topic, settings.partitions, kept, False, small),
        TopicSpec(settings.dead_letters_topic, 1, kept, False, small),
        *notify_topics_of(settings),
    ]


def notify_topics_of(settings: Settings) -> list[TopicSpec]:
    """The topics of telling people: acknowledgements (kept for ever: the audit trail), state, what was not taken."""
    kept = int(settings.retention_days * DAY_S * 1000)
    return [
        TopicSpec(settings.acks_topic, 1, -1, False, None),
        TopicSpec(settings.deliveries_topic, 1, None, True, MAX_REQUEST),
        TopicSpec(settings.undelivered_topic, 1, kept, False, MAX_REQUEST),
    ]
