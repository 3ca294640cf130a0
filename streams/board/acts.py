"""What people do about alerts from the board's page: acknowledge, note, assign, silence.

    GET  /api/me      who is logged in and may act, or why not
    POST /api/acks    one act as JSON: ``alert_id``, ``action``, ``note``, ``to`` (assign), ``minutes`` (silence), and
                      ``subject`` (as an alert has it), by which an alert is found that is not among the newest

An act is written to the topic of acknowledgements as ``gridclock ack`` writes it, with the person whom the proxy logged
in and the board's time, and is on every page at once. A silence of 0 minutes ends an earlier one. Without a log-in
(``streams.board.login``) the board is read-only.

A page of another site cannot act: the request has a header that such a page may not send, says that it comes from this
very page (``Origin``, and ``Sec-Fetch-Site`` where the browser sends it), and is JSON; no preflight is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from schemas.acknowledgements import ALERT_ID_PATTERN, MAX_NOTE, MAX_SILENCE, Acknowledgement, Action, Who
from schemas.base import Model
from schemas.patterns import SubjectType
from streams.board.hub import Hub
from streams.board.login import Login, MayNotAct
from streams.board.messages import ack_from_bytes
from streams.core.alerts import Subject
from streams.core.instants import moment_of
from streams.errors import BrokerError, plain_message
from streams.kafka.admin import partitions_of
from streams.kafka.connection import kafka_options
from streams.settings import Settings
from streams.wire.cloudevents import encode

logger = logging.getLogger(__name__)

MOST_BYTES: Final = 8192
"""Of one act's body: a note of ``MAX_NOTE`` characters fits, however it is escaped."""

MARK: Final = "X-Gridclock-Act"
"""A header that a browser lets only this board's own page send."""

_BODY_SECONDS: Final = 10.0
_WRITE_SECONDS: Final = 20.0
_MOST_MINUTES: Final = int(MAX_SILENCE / timedelta(minutes=1))

Write = Callable[[Acknowledgement], Awaitable[None]]
Known = Callable[[str, Subject | None], Awaitable[bool]]
"""Whether there is an alert with an id, of the subject that it may be looked up by."""


class ActSubject(Model):
    """The subject of the alert, as the page shows it."""

    type: SubjectType
    id: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Act(Model):
    """The body of one act."""

    alert_id: str = Field(pattern=ALERT_ID_PATTERN)
    action: Action
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_NOTE)] | None = None
    to: Annotated[Who, StringConstraints(strip_whitespace=True)] | None = None
    minutes: Annotated[int, Field(strict=True, ge=0, le=_MOST_MINUTES)] | None = None
    subject: ActSubject | None = None

    @field_validator("note")
    @classmethod
    def _empty(cls, value: str | None) -> str | None:
        return value or None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.action == "annotate" and self.note is None:
            raise ValueError("annotate needs a note")
        return self


class AckWriter:
    """Writes acts to the topic of acknowledgements while its block runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._is_there = False

    async def __aenter__(self) -> AckWriter:
        """Connect.

        Raises:
            BrokerError: where the brokers cannot be reached, or refuse.
        """
        self._producer = AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=int(_WRITE_SECONDS * 1000),
            **kafka_options(self._settings),
        )
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise BrokerError(f"{self._settings.bootstrap}: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def __call__(self, made: Acknowledgement) -> None:
        """Write it and wait for the brokers' acknowledgement.

        Raises:
            BrokerError: where it was not confirmed; it may be written nevertheless.
        """
        topic, producer = self._settings.acks_topic, self._producer
        assert producer is not None
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._look_up(topic)
                await producer.send_and_wait(topic, made.to_bytes(), key=made.alert_id.encode())
        except (KafkaError, TimeoutError) as error:
            reason = type(error).__name__
            raise BrokerError(
                f"topic {topic} did not confirm it ({reason}): look at the list, then try again"
            ) from error

    async def _look_up(self, topic: str) -> None:
        # To send to a topic that is not there may make it, with settings that nobody asked for.
        if not self._is_there:
            settings = self._settings
            count = await asyncio.to_thread(partitions_of, settings.bootstrap, topic, security=settings.security())
            if not count:
                raise BrokerError(f"there is no topic {topic}: gridclock topics create makes it")
            self._is_there = True


def _problem(status: int, reason: str, detail: str, **more: Any) -> web.Response:
    return web.Response(
        body=encode({"error": detail, "reason": reason, **more}), status=status, content_type="application/json"
    )


class Acts:
    """Serves the two addresses; read-only where there is no ``login``. ``staff`` gives the name that is written."""

    def __init__(
        self,
        hub: Hub,
        login: Login | None = None,
        write: Write | None = None,
        staff: Callable[[str], str] = lambda name: name,
    ) -> None:
        self._hub = hub
        self._login = login
        self._write = write
        self._staff = staff
        self._known: Known | None = None

    def add_to(self, app: web.Application, known: Known) -> None:
        """Add the routes."""
        self._known = known
        app.router.add_get("/api/me", self._me)
        app.router.add_post("/api/acks", self._act)

    def _person(self, request: web.Request) -> str:
        if self._login is None:
            raise MayNotAct("off", "this board is read-only: it was started without --trust-header")
        peer = request.transport and request.transport.get_extra_info("peername")
        return self._login.person(peer[0] if peer else None, lambda name: request.headers.getall(name, []))

    async def _me(self, request: web.Request) -> web.Response:
        try:
            found = {"may_act": True, "user": self._staff(self._person(request)), "reason": None, "error": None}
        except MayNotAct as error:
            found = {"may_act": False, "user": None, "reason": error.reason, "error": str(error)}
        return web.Response(body=encode(found), content_type="application/json")

    async def _act(self, request: web.Request) -> web.Response:
        try:
            person = self._person(request)
            if not _is_own_page(request):
                raise MayNotAct(
                    "other_site",
                    f"not from this board's page: there {MARK} is 1, and Origin has the host that the board is asked "
                    "for (a proxy must pass on the header Host as it came)",
                )
        except MayNotAct as error:
            logger.warning("an act on an alert was refused, %s: %s", error.reason, error)
            return _problem(403, error.reason, str(error))
        if request.content_type != "application/json":
            return _problem(415, "not_json", "an act is application/json")
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                act = Act.model_validate_json(await request.read())
                made = self._made(act, person)
        except web.HTTPRequestEntityTooLarge:
            return _problem(413, "too_large", f"an act has at most {MOST_BYTES} bytes")
        except TimeoutError:
            return _problem(408, "too_slow", f"an act comes within {_BODY_SECONDS:g} s")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            field = str(first["loc"][0]) if first["loc"] else None
            detail = plain_message(first)
            return _problem(400, "bad_act", f"{field}: {detail}" if field else detail, field=field)
        return await self._take(made, None if act.subject is None else (act.subject.type, act.subject.id))

    def _made(self, act: Act, person: str) -> Acknowledgement:
        """The record of an act.

        Raises:
            ValidationError: where something is missing, or belongs to another action.
        """
        at = moment_of(self._hub.clock.now())
        made = Acknowledgement(
            alert_id=act.alert_id,
            action=act.action,
            by=person,
            at=at,
            note=act.note,
            to=act.to,
            until=None if act.minutes is None else at + timedelta(minutes=act.minutes),
        )
        return made.pseudonymous(self._staff)

    async def _take(self, made: Acknowledgement, subject: Subject | None) -> web.Response:
        assert self._write is not None
        assert self._known is not None
        try:
            if not await self._known(made.alert_id, subject):
                detail = f"this board knows no alert {made.alert_id}; gridclock ack takes those that it no longer keeps"
                return _problem(404, "no_such_alert", detail)
            await self._write(made)
        except (BrokerError, KafkaError) as error:
            logger.warning("an act on an alert was not written: %s", error)
            return _problem(503, "not_written", str(error))
        # As the feed will read it: the record read a second time changes nothing.
        alert_id, ack = ack_from_bytes(made.to_bytes())
        self._hub.board.take_ack(alert_id, ack)
        body = encode({"alert_id": alert_id, "ack": self._hub.wire.ack(ack)})
        return web.Response(body=body, status=201, content_type="application/json")


def _is_own_page(request: web.Request) -> bool:
    headers = request.headers
    if headers.get(MARK) != "1" or headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    # Browsers send Sec-Fetch-Site to https and loopback only, Origin with every POST.
    try:
        origin = urlsplit(headers.get("Origin", "")).netloc
    except ValueError:  # half an address of IPv6
        return False
    return origin.lower() == request.host.lower() != ""
