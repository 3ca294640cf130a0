"""One HTTP request to a process of this program. The answer is bounded, because another may have its port."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Final

from streams.errors import BrokerError

MOST_BYTES: Final = 64 * 1024 * 1024
"""Bytes of an answer; a worker's ``/metrics`` has a few megabytes at most."""


def ask(url: str, seconds: float) -> tuple[int, str]:
    """The status and the text of the answer, of which all must come within so many seconds; never through a proxy.

    Raises:
        BrokerError: where there is none, or a longer one.
    """
    found: list[tuple[int, str] | BrokerError] = []
    # In a thread: the time-out of a socket is for each piece of an answer.
    asking = threading.Thread(target=lambda: found.append(_answer(url, seconds)), daemon=True)
    asking.start()
    asking.join(seconds)
    answer = found[0] if found else BrokerError(f"no answer from {url}: none in {seconds:g} s")
    if isinstance(answer, BrokerError):
        raise answer
    return answer


def _answer(url: str, seconds: float) -> tuple[int, str] | BrokerError:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        try:
            answer = opener.open(url, timeout=seconds)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            raw = answer.read(MOST_BYTES + 1)
            if len(raw) > MOST_BYTES:
                return BrokerError(f"no answer from {url}: one of more than {MOST_BYTES:,} bytes")
            if getattr(answer, "length", None):  # what it has announced and not sent
                return BrokerError(f"no answer from {url}: it was cut off")
            return answer.status, raw.decode(errors="replace")
    except OSError as error:
        return BrokerError(f"no answer from {url}: {getattr(error, 'reason', error)}")
    except (HTTPException, ValueError) as error:  # another program listens there, or the host is none
        return BrokerError(f"no answer from {url}: {type(error).__name__}: {str(error).strip()}")
