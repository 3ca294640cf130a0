"""``gridclock health``: check that a worker on this machine is alive, for containers and service managers."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import IO, Any, Final

import click

from streams.commands.common import DONE
from streams.log_lines import printable
from streams.loopback import in_url
from streams.settings import load_settings

UNHEALTHY: Final = 1
MOST_SHOWN: Final = 4096
"""Most bytes of an answer that are shown."""


@click.command(short_help="Check that a worker is alive.")
@click.option("--metrics-host", help="Address of its metrics port (127.0.0.1).")
@click.option("--metrics-port", type=int, help="That port (9464).")
@click.option("--ready", is_flag=True, help="Check that it is ready, not only alive.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds to wait.")
def health(ready: bool, timeout: float, **given: Any) -> int:
    """Request a worker's /healthz, or /readyz; exit 0 if it answers yes, 1 if it answers no or not at all.

    The port is that of the worker's settings, so in its container no option is needed.

    \b
    Example:
      gridclock health && echo alive
    """
    settings = load_settings(**given)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.metrics_host, settings.metrics_host)
    url = f"http://{in_url(host)}:{settings.metrics_port}/{'readyz' if ready else 'healthz'}"
    answer: list[tuple[bool, str]] = []
    # In a thread: the time-out of a socket is for each piece of an answer, ``timeout`` for the whole of it.
    asking = threading.Thread(target=lambda: answer.append(_ask(url, timeout)), daemon=True)
    asking.start()
    asking.join(timeout)
    is_well, said = answer[0] if answer else (False, f"no answer from {url}: none in {timeout:g} s")
    click.echo(said if is_well else f"gridclock: {said}", err=not is_well)
    return DONE if is_well else UNHEALTHY


def _ask(url: str, timeout: float) -> tuple[bool, str]:
    """Whether the answer is yes, and what it says or why there is none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
    try:
        with opener.open(url, timeout=timeout) as answer:
            return True, _text(answer)
    except urllib.error.HTTPError as error:
        with error:
            return False, _text(error) or f"{url} answers HTTP {error.code}"
    except OSError as error:
        return False, f"no answer from {url}: {getattr(error, 'reason', error)}"
    except (HTTPException, ValueError) as error:  # another program listens there, or the host is none
        return False, f"no answer from {url}: {type(error).__name__}: {str(error).strip()}"


def _text(answer: IO[bytes]) -> str:
    lines = answer.read(MOST_SHOWN).decode(errors="replace").strip().splitlines()
    return "\n".join(map(printable, lines))
