"""Events of metering work 计量 and meter tests 校验."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.events.envelope import Envelope
from schemas.fields import Code, Codes, Day, Flag, ReadingDay


class Meter(Envelope):
    """Steps of metering work without fields of their own."""

    event_type: Literal[
        "meter.batch_filed", "meter.customer_contacted", "meter.replacement_appointed", "meter.wiring_verified",
        "meter.stored", "meter.disposed", "meter.anomaly_reported", "meter.joint_check_appointed",
        "meter.wiring_reported", "meter.box_defect_reported",
    ]  # fmt: skip


class MeterRemoved(Envelope):
    """A meter taken down."""

    event_type: Literal["meter.removed"]
    reading_day: ReadingDay | None = Field(default=None, description="day of the month on which it is read")


class BatchNoticePosted(Envelope):
    """A bulk meter change announced to the meters listed, or to a community."""

    event_type: Literal["meter.batch_notice_posted"]
    meters: Codes | None = None
    community: Code | None = None
    planned_on: Day | None = None


class MeterReplaced(Envelope):
    """A meter changed, in bulk or singly."""

    event_type: Literal["meter.replaced"]
    planned: Literal["batch", "sporadic"] | None = None
    outage: Flag | None = None
    community: Code | None = None


class ReadingPhotoUploaded(Envelope):
    """A photo of the old meter's reading, signed by the customer or not."""

    event_type: Literal["meter.reading_photo_uploaded"]
    signed: Flag | None = None


class MeterSiteChecked(Envelope):
    """A meter checked on site."""

    event_type: Literal["meter.site_checked"]
    faulty: Flag | None = None


class BoxReplaced(Envelope):
    """A meter box changed, with or without an outage."""

    event_type: Literal["meter.box_replaced"]
    outage: Flag | None = None


class Calibration(Envelope):
    """A meter test asked for, disputed, sent away."""

    event_type: Literal["calibration.requested", "calibration.disputed", "calibration.sent_to_third_party"]


class CalibrationResult(Envelope):
    """The result of a meter test."""

    event_type: Literal["calibration.result_issued", "calibration.third_party_result"]
    passed: Flag | None = None


MeteringEvent = (
    Meter | MeterRemoved | BatchNoticePosted | MeterReplaced | ReadingPhotoUploaded | MeterSiteChecked
    | BoxReplaced | Calibration | CalibrationResult
)  # fmt: skip
"""Any event of metering work."""
