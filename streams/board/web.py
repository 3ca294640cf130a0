"""The board's web server: one page, a stream of its changes, and the same as JSON.

    /board            the page, with its style sheet, script and icon below it
    /api/stream       server-sent events: snapshot, then change and time
    /api/cases        open cases with the counts
    /api/alerts       breaches and violations, newest first
    /api/*.csv, .xlsx the same two lists, and trends, as files, through the same filter
    /case/ID          the page of the case or the alert with that id, /order/ID, /account/ID, /meter/ID, /batch/ID
                      that of a subject: its time line, its clocks, who was sent what; /order/?id=ID and the like
                      for the ids . and .., which a browser takes for directories
    /api/case/ID      the same as JSON, and so on; 404 where there is nothing under that id
    /trends           on-time rate, breaches, violations and red lines by day, rule and place; JSON at /api/trends
    /api/meta         the rules and chapters that a filter can name, names and positions of organisations; since when
                      and of which sources and subjects verdicts may be incomplete
    /api/me, /api/acks  who may act on alerts, and acts (``streams.board.acts``)
    /healthz          200 when state and alerts are read, 503 before

Headers allow a browser to load and run this server's own files only; pages of other sites can neither frame the board
nor read it. On loopback the server answers only to names of loopback: otherwise another site could reach it by a name
of its own that resolves to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, Final

from aiohttp import web
from aiokafka.errors import KafkaError

from schemas.organisations import Position
from streams.board.acts import MOST_BYTES, Acts
from streams.board.case_pages import CasePages
from streams.board.export import MOST_EXPORTED, SUFFIXES, exported
from streams.board.hub import Hub
from streams.board.messages import filter_of
from streams.board.trends import SourceError, TrendPages
from streams.core.open_cases import chapter_of
from streams.errors import BrokerError, InputError
from streams.http_server import ConnectionLimits
from streams.loopback import NAMES, is_loopback, name_of
from streams.rulebooks.loader import LoadedRulebook
from streams.wire.cloudevents import encode

logger = logging.getLogger(__name__)

_PAGE: Final = resources.files("streams.board") / "page"
SUBJECTS: Final = "order|account|meter|batch"
_FILES: Final = {
    "/board": ("index.html", "text/html"),
    "/board/board.css": ("board.css", "text/css"),
    "/board/case.css": ("case.css", "text/css"),
    "/trends": ("trends.html", "text/html"),
    "/board/trends.css": ("trends.css", "text/css"),
    **{
        f"/board/{script.name}": (script.name, "text/javascript")
        for script in _PAGE.iterdir()
        if script.name.endswith(".js")
    },
    "/board/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_RETRY_SECONDS: Final = 10
_SHUTDOWN_SECONDS: Final = 2.0
_ASKING: Final = 128
"""Connections at the same time, the pages' streams not counted: the hub limits those."""

_OTHER_NAME: Final = "this board does not answer to that name; see --answer-to"
_NOT_FOUND: Final = "there is no {kind} {id} here: it never was, or its history is no longer kept (--keep-days)"
_LOADING: Final = "the state is being read; try again in a moment"
_UNREADABLE: Final = "the topics of state or deliveries cannot be read now; see the board's log"
_TOO_MANY: Final = "too many pages are open; see GRIDCLOCK_BOARD_CLIENTS"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def positions_of(loaded: LoadedRulebook) -> dict[str, Position]:
    """Longitude and latitude of the organisations whose position is known, by code."""
    return {code: one.position for code, one in sorted(loaded.organisations.items()) if one.position is not None}


def meta_of(loaded: LoadedRulebook) -> dict[str, Any]:
    """The enabled rules and the chapters of a rulebook, as the page's filters list them; organisations by code."""
    rules = {
        item.rule.id: {
            "id": item.rule.id,
            "clause": item.rule.clause,
            "chapter": chapter_of(item.rule.clause),
            "title": item.rule.title.model_dump(),
        }
        for item in loaded.loaded
        if item.rule.enabled
    }
    chapters = {book.chapter: {"id": book.chapter, "title": book.title.model_dump()} for book in loaded.files}
    return {
        "rules": [rules[key] for key in sorted(rules)],
        "chapters": [chapters[key] for key in sorted(chapters)],
        "organisations": {code: one.name.model_dump() for code, one in sorted(loaded.organisations.items())},
        "positions": positions_of(loaded),
        "zone": loaded.rulebook.calendar.zone_name,
    }


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json", headers=headers)


def _file(name: str, suffix: str, body: bytes) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.{suffix}"'}
    return web.Response(body=body, content_type=SUFFIXES[suffix], headers=headers)


@dataclass(frozen=True, slots=True)
class Pages:
    """What makes the pages beside the board's own."""

    cases: CasePages
    trends: TrendPages


class BoardServer:
    """Serves one hub on one address; ``names`` are answered on loopback besides its own."""

    def __init__(
        self,
        hub: Hub,
        loaded: LoadedRulebook,
        pages: Pages,
        *,
        host: str,
        names: Sequence[str] = (),
        limits: ConnectionLimits | None = None,
        acts: Acts | None = None,
    ) -> None:
        self._hub = hub
        self._pages = pages
        self._host = host
        self._names = NAMES | {name.lower() for name in names} if is_loopback(host) else None
        self.limits = ConnectionLimits(_ASKING) if limits is None else limits
        self._acts = Acts(hub) if acts is None else acts
        self._case_html = (_PAGE / "case.html").read_bytes()
        self._meta = meta_of(loaded)
        self._files = {path: ((_PAGE / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._guard()], client_max_size=MOST_BYTES)
        app.router.add_get("/", self._root)
        for path in _FILES:
            app.router.add_get(path, self._file)
        app.router.add_get("/api/stream", self._stream, allow_head=False)
        app.router.add_get("/api/cases", self._cases)
        app.router.add_get("/api/alerts", self._alerts)
        for suffix in SUFFIXES:
            app.router.add_get(f"/api/{{list:cases|alerts}}.{suffix}", self._download)
        for kind in ("case", SUBJECTS):
            app.router.add_get(f"/{{kind:{kind}}}/{{id:.*}}", self._case_page)
            app.router.add_get(f"/api/{{kind:{kind}}}/{{id:.*}}", self._case_values)
        app.router.add_get("/api/trends", self._trends)
        for suffix in SUFFIXES:
            app.router.add_get(f"/api/trends.{suffix}", self._trends)
        app.router.add_get("/api/meta", self._send_meta)
        app.router.add_get("/healthz", self._health)
        self._acts.add_to(app, self._pages.cases.has_alert)
        return app

    @asynccontextmanager
    async def serve(self, port: int) -> AsyncIterator[int]:
        """Serve while the block runs, beside ``Hub.run``; gives the port, which the system chooses where ``port`` is 0.

        Raises:
            OSError: where the address is taken.
        """
        async with self.limits.serve(self.application(), self._host, port, shutdown=_SHUTDOWN_SECONDS) as bound:
            try:
                yield bound
            finally:
                self._hub.close()

    # -- every answer ------------------------------------------------------------------------------------

    def _guard(self) -> Any:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                if self._names is not None and name_of(request.host) not in self._names:
                    response: web.StreamResponse = _json({"error": _OTHER_NAME}, 421)
                else:
                    response = await handler(request)
            except InputError as error:
                response = _json({"error": f"{error.field} {error.detail}", "field": error.field}, 400)
            except web.HTTPException as answer:
                answer.headers.update(HEADERS)
                raise
            if not response.prepared:
                response.headers.update(HEADERS)
            return response

        return guard

    # -- answers -----------------------------------------------------------------------------------------

    async def _root(self, _request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/board")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        body, kind = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _case_page(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=self._case_html, content_type="text/html", charset="utf-8")

    async def _case_values(self, request: web.Request) -> web.StreamResponse:
        """A case with the subject that its link names, or a subject."""
        kind, number = request.match_info["kind"], request.match_info["id"] or request.query.get("id", "")
        time = self._hub.time()
        if time["loading"]:
            return _json({"error": _LOADING}, 503, {"Retry-After": str(_RETRY_SECONDS)})
        try:
            if kind == "case":
                hint = next(
                    ((name, request.query[name]) for name in SUBJECTS.split("|") if name in request.query), None
                )
                found = await self._pages.cases.of_case(number, hint)
            else:
                found = await self._pages.cases.of_subject((kind, number))
        except (BrokerError, KafkaError) as error:
            logger.warning("the page of a %s cannot be made: %s", kind, error)
            return _json({"error": _UNREADABLE}, 503, {"Retry-After": str(_RETRY_SECONDS)})
        if found is None:
            return _json({"error": _NOT_FOUND.format(kind=kind, id=number)}, 404)
        return _json({**time, **found})

    async def _trends(self, request: web.Request) -> web.StreamResponse:
        time = self._hub.time()
        if time["loading"]:
            return _json({"error": _LOADING}, 503, {"Retry-After": str(_RETRY_SECONDS)})
        try:
            found = await self._pages.trends.values(filter_of(request.query), request.query, self._hub.clock.now())
        except SourceError as error:
            return _json({"error": str(error)}, 503, {"Retry-After": str(_RETRY_SECONDS)})
        suffix = request.path.rpartition(".")[2]
        if suffix not in SUFFIXES:
            return _json({**time, **found})
        return _file("trends", suffix, await asyncio.to_thread(exported, "trends", suffix, self._trend_rows(found)))

    def _trend_rows(self, found: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The figures of days, rules and places one under the other, with names where they are known."""
        titles = {rule["id"]: rule["title"] for rule in self._meta["rules"]}
        days = [{"by": "day", "code": one["day"], **one} for one in found["days"] if one["decided"] is not None]
        rules = [{"by": "rule", "name": titles.get(one["code"]), **one} for one in found["rules"]]
        names = self._meta["organisations"]
        places = [{"by": found["level"], "name": names.get(one["code"]), **one} for one in found["places"]]
        return [*days, *rules, *places]

    async def _send_meta(self, _request: web.Request) -> web.StreamResponse:
        return _json({**self._meta, "incomplete": self._hub.incomplete()})

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        time = self._hub.time()
        ready = not time["loading"]
        found = {
            "status": "ok" if ready else "loading",
            "delay_seconds": time["delay_seconds"],
            "open_cases": len(self._hub.board.running.cases),
            "clients": self._hub.clients,
            "dropped_clients": self._hub.dropped,
        }
        return _json(found, 200 if ready else 503)

    async def _cases(self, request: web.Request) -> web.StreamResponse:
        view = self._hub.wire.view(self._hub.board.view(filter_of(request.query), self._hub.clock.now()))
        return _json({**self._hub.time(), "counts": view["counts"], "cases": view["cases"]})

    async def _alerts(self, request: web.Request) -> web.StreamResponse:
        view = self._hub.wire.view(self._hub.board.view(filter_of(request.query), self._hub.clock.now()))
        return _json({**self._hub.time(), "counts": view["counts"], "alerts": view["alerts"]})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """A list as filtered, as a file: at most ``MOST_EXPORTED`` rows, those that the page would show first.

        None while the state is being read: unlike JSON and the page, a file does not say that it has only a part.
        """
        if self._hub.time()["loading"]:
            return _json({"error": _LOADING}, 503, {"Retry-After": str(_RETRY_SECONDS)})
        name, suffix = request.match_info["list"], request.path.rpartition(".")[2]
        rows = {"cases": 0, "alerts": 0, name: MOST_EXPORTED}
        wanted = replace(filter_of(request.query), cases=rows["cases"], alerts=rows["alerts"])
        found = self._hub.wire.view(self._hub.board.view(wanted, self._hub.clock.now(), most=MOST_EXPORTED))
        body = await asyncio.to_thread(exported, name, suffix, found[name])
        return _file(name, suffix, body)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        wanted = filter_of(request.query)
        if self._hub.is_full:
            return _json({"error": _TOO_MANY}, 503, {"Retry-After": str(_RETRY_SECONDS)})
        response = web.StreamResponse(headers={**HEADERS, "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"

        def drop() -> None:
            if request.transport is not None:
                request.transport.abort()

        client = self._hub.join(wanted, drop)
        self.limits.keep(request.transport)
        try:
            await response.prepare(request)
            await response.write(b"retry: 2000\n\n")
            while (data := await client.queue.get()) is not None:
                await response.write(data)
        except ConnectionError:
            pass  # the page has gone, or was dropped
        finally:
            self._hub.leave(client)
        return response
