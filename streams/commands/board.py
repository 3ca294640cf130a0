"""``gridclock board``: the live board, a separate process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from streams.board.login import login_of
from streams.board.server import run_board
from streams.commands.common import (
    DONE,
    broker_options,
    log_options,
    log_outages,
    need_broker,
    rulebook_of,
    rulebook_options,
)
from streams.kafka.acls import permissions_of
from streams.live.gc_tuning import short_collections
from streams.live.reloading import run_reloading
from streams.log_lines import announce, start_logging
from streams.loopback import in_url
from streams.settings import load_settings
from streams.wire.state_rows import StateError


@click.command(short_help="Show the next deadlines, live, in a browser.")
@broker_options
@rulebook_options
@click.option("--host", "board_host", help="Address to serve on (127.0.0.1).")
@click.option("--port", "board_port", type=int, help="Port to serve on, 0 for any (9465).")
@click.option(
    "--answer-to", "board_names", multiple=True, metavar="NAME",
    help="A further host name accepted on loopback, for a proxy that passes on its own name.",
)  # fmt: skip
@click.option("--clients", "board_clients", type=int, help="Pages open at the same time (64).")
@click.option(
    "--trust-header",
    "board_trust_header",
    metavar="HEADER",
    help="Let people act on alerts: this header has the user whom the proxy logged in, for example X-Forwarded-User.",
)
@click.option(
    "--trust-groups-header",
    "board_trust_groups_header",
    metavar="HEADER",
    help="This header has their groups, separated by commas, for example X-Forwarded-Groups.",
)
@click.option(
    "--may-act",
    "board_may_act",
    multiple=True,
    metavar="GROUP",
    help="Only members of this group may act; without it every user whom the proxy logs in.",
)
@click.option(
    "--trust-proxy", "board_trust_proxies", multiple=True, metavar="ADDRESS",
    help="Accept the headers from this address or network only (loopback); required where --host is not loopback.",
)  # fmt: skip
@click.option(
    "--database", metavar="ADDRESS", help="Take trends from this database of gridclock sink (GRIDCLOCK_DATABASE)."
)
@click.option("--schema", "database_schema", help="The schema of its tables (gridclock).")
@click.option("--clock-origin", type=int, hidden=True)
@click.option("--clock-anchor", type=int, hidden=True)
@click.option("--clock-speed", type=float, hidden=True)
@log_options
def board(rules: tuple[Path, ...], only: Path | None, **given: Any) -> int:
    """Serve the live board until SIGTERM or Ctrl-C: 即将到期、超时、违规，一页看全省.

    It shows all workers' cases. Give it the workers' --name and rulebook options.
    The page takes its filters from the address, so that a wall screen can be bookmarked:
    /board?city=3201&severity=red_line&lang=zh&flash=1. It has no log-in: on an address that others can reach, put a
    proxy with a log-in in front of it.

    /trends shows on-time rates, breaches, violations and red lines by day (趋势): from the database of gridclock sink
    where --database names it (its password as gridclock sink takes it), else of the days that the state still holds.

    With --trust-header people acknowledge, note, assign and silence alerts from the page, which writes to the topic
    NAME.acks; without it the board only reads. The board trusts that header: it must be reachable through the proxy
    ONLY 只可经代理访问, and the proxy must replace the header in each request. A request that bypasses the proxy can
    act as any user.

    \b
    Example:
      gridclock board --bootstrap 127.0.0.1:9092
      then open http://127.0.0.1:9465/board
    """
    # An option that was not given must not replace the environment's list.
    options = {name: value for name, value in given.items() if value != ()}
    settings = load_settings(**options)
    login_of(settings)
    start_logging(settings.log_level)
    begun = log_outages(settings)
    need_broker(settings, permissions_of("board", settings))
    loaded = rulebook_of(rules, only)

    def check() -> None:
        load_settings(**options)  # secrets in files too
        rulebook_of(rules, only)

    def on_ready(port: int) -> None:
        begun()
        announce(f"board http://{in_url(settings.board_host)}:{port}/board")

    try:
        with short_collections():
            run_reloading(
                lambda stop: run_board(settings, loaded, on_ready=on_ready, stop=stop),
                check,
            )
    except StateError as error:
        raise click.ClickException(str(error)) from error
    announce("board stopped in order")
    return DONE
