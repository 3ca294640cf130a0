"""``gridclock board``: the live board, a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from streams.board.server import run_board
from streams.commands.common import DONE, broker_options, log_options, need_broker, rulebook_of, rulebook_options
from streams.kafka.acls import permissions_of
from streams.kafka.outage import watch_for_outage
from streams.live.gc_tuning import short_collections
from streams.live.reloading import run_reloading
from streams.log_lines import announce, start_logging
from streams.settings import load_settings
from streams.wire.state_rows import StateError


@click.command(short_help="Show what runs out next, live, in a browser.")
@broker_options
@rulebook_options
@click.option("--host", "board_host", help="Address to serve on (127.0.0.1).")
@click.option("--port", "board_port", type=int, help="Port to serve on, 0 for any (9465).")
@click.option(
    "--answer-to", "board_names", multiple=True, metavar="NAME",
    help="A host name that a board on loopback answers to as well, for a proxy that passes its own name on.",
)  # fmt: skip
@click.option("--clients", "board_clients", type=int, help="Pages open at the same time (64).")
@click.option("--clock-origin", type=int, hidden=True)
@click.option("--clock-anchor", type=int, hidden=True)
@click.option("--clock-speed", type=float, hidden=True)
@log_options
def board(rules: tuple[Path, ...], only: Path | None, board_names: tuple[str, ...], **given: Any) -> int:
    """Serve the live board until SIGTERM or Ctrl-C: 即将到期、超时、违规，一页看全省.

    It shows all workers' cases, reads Kafka and never writes. Give it the workers' --name and rulebook options.
    The page takes its filters from the address, so that a wall screen can be bookmarked:
    /board?city=3201&severity=red_line&lang=zh&flash=1. It has no log-in: on an address that others can reach, put a
    proxy with a log-in in front of it.

    \b
    Example:
      gridclock board --bootstrap 127.0.0.1:9092
      then open http://127.0.0.1:9465/board
    """
    settings = load_settings(board_names=board_names or None, **given)
    start_logging(settings.log_level)
    watch_for_outage(settings.bootstrap)
    need_broker(settings, permissions_of("board", settings))
    loaded = rulebook_of(rules, only)

    def on_ready(port: int) -> None:
        host = f"[{settings.board_host}]" if ":" in settings.board_host else settings.board_host
        announce(f"board http://{host}:{port}/board")

    try:
        with short_collections():
            run_reloading(
                lambda stop: run_board(settings, loaded, on_ready=on_ready, stop=stop),
                lambda: rulebook_of(rules, only),
            )
    except StateError as error:
        raise click.ClickException(str(error)) from error
    announce("board stopped in order")
    return DONE
