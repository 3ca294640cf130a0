"""The proxies of deploy/proxy in front of a board: a real nginx with the files as they are shipped, and oauth2-proxy.

Names, ports and files of the shipped configurations are replaced by those of the test, nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import tomllib
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from schemas.acknowledgements import Acknowledgement
from streams.board.acts import MARK, Acts
from streams.board.login import Login
from streams.kafka.child_process import ChildProcess
from streams.wall_clock import WallClock
from tests.boards import MINUTE, Served, alert, board, served
from tests.operations.grafana import DEPLOY
from tests.stories import us

PROXY = DEPLOY / "proxy"
NOW = us("2026-03-02T10:00")
STANDING = WallClock(anchor=WallClock().now(), origin=NOW, speed=Fraction(1, 10**12))
ALERT = "a" * 32
DISPATCH = Login("X-Forwarded-User", "X-Forwarded-Groups", frozenset({"dispatch"}))


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed ({package}): its configuration was not tried")
    return found


def replaced(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"{old} does not occur"
        text = text.replace(old, new)
    return text


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


class Site:
    """The board as it is seen through a proxy; the certificate is checked against the test's own."""

    def __init__(self, served_: Served, written: list[Acknowledgement], port: int, certificate: Path) -> None:
        self.board = served_.board
        self.written = written
        self.url = f"https://127.0.0.1:{port}"
        self.context = ssl.create_default_context(cafile=certificate)

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        jar = aiohttp.CookieJar(unsafe=True)
        async with (
            aiohttp.ClientSession(cookie_jar=jar) as session,
            session.request(method, self.url + path, ssl=self.context, allow_redirects=False, **options) as answer,
        ):
            body = await answer.read()
            is_json = answer.content_type == "application/json"
            return Answer(answer.status, answer.headers, json.loads(body) if is_json else body)

    async def act(self, headers: Mapping[str, str], **options: Any) -> Answer:
        own = {"Content-Type": "application/json", MARK: "1", "Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        body = json.dumps({"alert_id": ALERT, "action": "acknowledge"})
        return await self.ask("POST", "/api/acks", data=body, headers={**own, **headers}, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a certificate for 127.0.0.1."""
    openssl = program("openssl", "Debian: openssl")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=board", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    return tmp_path


def nginx_of(folder: Path, name: str, changes: Mapping[str, str]) -> tuple[list[str], int]:
    """The command that runs nginx with a shipped file, and its port."""
    nginx, port = program("nginx", "Debian: nginx-light"), free_port()
    site = replaced(
        (PROXY / name).read_text("utf-8"),
        {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/certs/board.example.pem": str(folder / "cert.pem"),
            "/etc/ssl/private/board.example.key": str(folder / "key.pem"),
            **changes,
        },
    )
    (folder / "site.conf").write_text(site, "utf-8")
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""  # the test's folder is its own
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}include {folder}/site.conf;\n}}\n",
        "utf-8",
    )
    command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr, checked.stderr
    return command, port


async def answers(port: int, child: ChildProcess) -> None:
    async with asyncio.timeout(60):
        while True:
            assert child.exit_code is None, child.last_lines()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@asynccontextmanager
async def behind(folder: Path, name: str, changes: Mapping[str, str]) -> AsyncIterator[Site]:
    """A board with one breach, behind nginx with the file ``name``."""
    state, shown = await asyncio.to_thread(board)
    state.partitions = 1
    shown.take_alert(alert(ALERT, NOW - MINUTE))
    written: list[Acknowledgement] = []

    async def write(made: Acknowledgement) -> None:
        written.append(made)

    async with served(state, shown, STANDING, acts=lambda hub: Acts(hub, DISPATCH, write)) as site:
        upstream = site.url.removeprefix("http://")
        command, port = nginx_of(folder, name, {"127.0.0.1:9465": upstream, **changes})
        child = ChildProcess(command, folder / "nginx.log")
        try:
            await answers(port, child)
            yield Site(site, written, port, folder / "cert.pem")
        finally:
            child.kill()


# -- passwords of nginx's own ------------------------------------------------------------------------------


def passwords(folder: Path) -> dict[str, str]:
    """The changes that give nginx three people; each password is the name twice."""
    openssl = program("openssl", "Debian: openssl")
    lines = []
    for name in ("lin", "wu", "zhao"):
        asked = [openssl, "passwd", "-6", name * 2]
        lines.append(f"{name}:{subprocess.run(asked, check=True, capture_output=True, text=True).stdout}")
    (folder / "htpasswd").write_text("".join(lines), "utf-8")
    return {"/etc/nginx/gridclock.htpasswd": str(folder / "htpasswd")}


def basic(name: str, password: str | None = None) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{password or name * 2}'.encode()).decode()}"}


async def _passwords(folder: Path) -> None:
    async with behind(folder, "nginx-passwords.conf", passwords(folder)) as site:
        for path in ("/board", "/api/alerts", "/api/stream", "/api/me"):
            assert (await site.ask("GET", path)).status == 401, path
        assert (await site.ask("GET", "/board", headers=basic("lin", "wrong"))).status == 401
        assert (await site.act({"X-Forwarded-User": "lin", "X-Forwarded-Groups": "dispatch"})).status == 401
        assert (await site.ask("GET", "/board", headers=basic("zhao"))).status == 200
        assert (await site.ask("GET", "/api/me", headers=basic("wu"))).body["user"] == "wu"

        assert (await site.act(basic("lin"))).status == 201
        refused = await site.act(basic("zhao"))  # who has a password and is in no group looks only
        assert (refused.status, refused.body["reason"]) == (403, "not_in_group")
        # What the browser says of itself is replaced, in every spelling.
        forged = {
            "X-Forwarded-User": "lin", "X-Forwarded-Groups": "dispatch",
            "X_Forwarded_User": "lin", "X_Forwarded_Groups": "dispatch",
        }  # fmt: skip
        assert (await site.act({**basic("zhao"), **forged})).body["reason"] == "not_in_group"
        assert (await site.act({**basic("wu"), **forged})).status == 201
        other = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await site.act({**basic("lin"), **other})).body["reason"] == "other_site"
        large = await site.ask("POST", "/api/acks", data=b"x" * 10_000, headers=basic("lin"))
        assert large.status == 413
        assert [made.by for made in site.written] == ["lin", "wu"]


@pytest.mark.whole
def test_with_passwords_of_nginx(folder: Path) -> None:
    asyncio.run(_passwords(folder))


async def _stream(folder: Path) -> None:
    async with (
        behind(folder, "nginx-passwords.conf", passwords(folder)) as site,
        aiohttp.ClientSession() as session,
        session.get(site.url + "/api/stream", ssl=site.context, headers=basic("lin")) as answer,
        asyncio.timeout(30),
    ):
        async for line in answer.content:
            if line == b"event: snapshot\n":
                break
        # What comes later comes through at once, not when a buffer is full.
        assert (await site.act(basic("lin"))).status == 201
        async for line in answer.content:
            if line.startswith(b"data: ") and b'"by":"lin"' in line:
                return
    raise AssertionError("the act was never on the stream")


def test_the_stream_of_changes_comes_through_at_once(folder: Path) -> None:
    asyncio.run(_stream(folder))


# -- oauth2-proxy ------------------------------------------------------------------------------------------


@asynccontextmanager
async def asked_by_nginx() -> AsyncIterator[tuple[int, list[web.BaseRequest]]]:
    """Stands in for oauth2-proxy, as its documentation says it answers nginx: its port, and what it was asked."""
    asked: list[web.BaseRequest] = []
    people = {
        "lin": {"User": "7f3a", "Preferred-Username": "lin", "Groups": "all,dispatch"},
        "robot": {"User": "7f3b", "Groups": "dispatch"},  # a provider that gives no name
        "zhao": {"User": "7f3c", "Preferred-Username": "zhao", "Groups": "all"},
    }

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request)
        if request.path == "/oauth2/auth":
            found = people.get(request.cookies.get("session", ""))
            if found is None:
                return web.Response(status=401)
            return web.Response(status=202, headers={f"X-Auth-Request-{name}": value for name, value in found.items()})
        return web.Response(status=302, headers={"Location": "https://sso.example/log-in"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


async def _oauth2(folder: Path) -> None:
    async with asked_by_nginx() as (port, asked):
        changes = {"127.0.0.1:4180": f"127.0.0.1:{port}"}
        async with behind(folder, "nginx-oauth2.conf", changes) as site:
            sent_away = await site.ask("GET", "/board?city=3201&severity=red_line")
            assert (sent_away.status, sent_away.headers["Location"]) == (302, "https://sso.example/log-in")
            assert asked[-1].path_qs == "/oauth2/start"
            assert asked[-1].headers["X-Auth-Request-Redirect"] == "/board?city=3201&severity=red_line"
            for path in ("/api/me", "/api/stream"):
                assert (await site.ask("GET", path)).status == 401  # no page to be sent away
            assert (await site.act({})).status == 401
            assert (await site.ask("GET", "/oauth2/auth", cookies={"session": "lin"})).status == 404  # nginx's own

            assert (await site.ask("GET", "/board", cookies={"session": "zhao"})).status == 200
            me = await site.ask("GET", "/api/me", cookies={"session": "lin"})
            assert (me.body["user"], me.body["may_act"]) == ("lin", True)
            assert (await site.act({}, cookies={"session": "lin"})).status == 201
            assert (await site.act({}, cookies={"session": "robot"})).status == 201
            forged = {
                f"{kind}-{name}": value
                for kind in ("X-Forwarded", "X-Auth-Request")
                for name, value in (("User", "lin"), ("Preferred-Username", "lin"), ("Groups", "dispatch"))
            }
            refused = await site.act(forged, cookies={"session": "zhao"})
            assert (refused.status, refused.body["reason"]) == (403, "not_in_group")
            assert (await site.act(forged)).status == 401
            assert (await site.act(forged, cookies={"session": "robot"})).status == 201
            assert [made.by for made in site.written] == ["lin", "7f3b", "7f3b"]


def test_nginx_asks_oauth2_proxy(folder: Path) -> None:
    asyncio.run(_oauth2(folder))


CONFIG = PROXY / "oauth2-proxy.cfg"


def test_oauth2_proxy_and_nginx_mean_the_same() -> None:
    """As far as it goes without the program; the next test runs it where it is."""
    config = tomllib.loads(CONFIG.read_text("utf-8"))
    nginx = (PROXY / "nginx-oauth2.conf").read_text("utf-8")
    assert nginx.count(f"proxy_pass http://{config['http_address']};") == 3
    assert config["redirect_url"] == "https://board.example/oauth2/callback"
    assert "server_name board.example;" in nginx
    assert (config["reverse_proxy"], config["set_xauthrequest"]) == (True, True)
    assert config["cookie_secure"]
    assert not {"client_secret", "cookie_secret"} & set(config)  # secrets stand in files of their own


async def _real(folder: Path) -> None:
    binary, openssl = program("oauth2-proxy", "github.com/oauth2-proxy/oauth2-proxy"), program("openssl", "openssl")
    htpasswd = program("htpasswd", "Debian: apache2-utils")
    port = free_port()
    (folder / "cookie-secret").write_text("k" * 32, "utf-8")
    (folder / "client-secret").write_text("of nobody", "utf-8")
    (folder / "people").write_text("", "utf-8")
    subprocess.run([htpasswd, "-bB", folder / "people", "lin", "linlin"], check=True, capture_output=True)
    assert openssl
    text = replaced(
        CONFIG.read_text("utf-8"),
        {
            "127.0.0.1:4180": f"127.0.0.1:{port}",
            "/etc/oauth2-proxy/client-secret": str(folder / "client-secret"),
            "/etc/oauth2-proxy/cookie-secret": str(folder / "cookie-secret"),
        },
    )
    (folder / "oauth2-proxy.cfg").write_text(text, "utf-8")
    # There is no provider: it is not asked, and one person logs in with a password instead.
    more = [
        "--skip-oidc-discovery", "--login-url=https://sso.example/log-in", "--redeem-url=https://sso.example/token",
        "--oidc-jwks-url=https://sso.example/keys", f"--htpasswd-file={folder / 'people'}",
        "--htpasswd-user-group=dispatch",
    ]  # fmt: skip
    child = ChildProcess([binary, f"--config={folder / 'oauth2-proxy.cfg'}", *more], folder / "oauth2.log")
    try:
        await answers(port, child)
        async with behind(folder, "nginx-oauth2.conf", {"127.0.0.1:4180": f"127.0.0.1:{port}"}) as site:
            sent_away = await site.ask("GET", "/board?city=3201&severity=red_line")
            assert sent_away.status == 302
            assert sent_away.headers["Location"].startswith("https://sso.example/log-in?")
            assert (await site.act({"X-Forwarded-User": "lin", "X-Forwarded-Groups": "dispatch"})).status == 401
            form = {"username": "lin", "password": "linlin", "rd": "/board?city=3201&severity=red_line"}
            came_in = await site.ask("POST", "/oauth2/sign_in", data=form)
            assert (came_in.status, came_in.headers["Location"]) == (302, form["rd"]), came_in.body
            name, _, rest = came_in.headers["Set-Cookie"].partition("=")
            assert name == "__Host-gridclock"
            session = {name: rest.partition(";")[0]}
            assert (await site.ask("GET", "/board", cookies=session)).status == 200
            me = await site.ask("GET", "/api/me", cookies=session)
            assert (me.body["user"], me.body["may_act"]) == ("lin", True)
            assert (await site.act({}, cookies=session)).status == 201
            assert [made.by for made in site.written] == ["lin"]
    finally:
        child.kill()


def test_a_real_oauth2_proxy_behind_nginx(folder: Path) -> None:
    asyncio.run(_real(folder))
