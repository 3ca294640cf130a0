"""Robots of group chats that answer HTTP 200 also where they refuse a message, and say so in the body only.

WeCom refuses what is beyond 20 messages a minute so, DingTalk what lacks a keyword or the right signature. Of these
``apprise`` reads the HTTP status only, and takes such a message as sent.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, Final

logger = logging.getLogger(__name__)

_CODES: Final = {
    "apprise.plugins.wecombot": "errcode",
    "apprise.plugins.dingtalk": "errcode",
    "apprise.plugins.serverchan": "code",
}
"""The member of the answer that is 0 where the message was accepted, by plug-in."""
_REFUSED: Final = 502
_LONGEST: Final = {
    "apprise.plugins.wecombot": 600,
    "apprise.plugins.dingtalk": 3_000,
    "apprise.plugins.feishu": 4_500,
    "apprise.plugins.lark": 3_000,
}
"""Characters of a message that fit whatever they are, by plug-in.

WeCom takes 2,048 bytes, the others some 20,000 of the request, in which a Chinese character has 3 to 6; ``apprise``
counts characters and cuts at as many as there may be bytes.
"""


class _Requests:
    """A plug-in's ``requests``, in which an answer that refuses the message has a status that says so."""

    def __init__(self, requests: Any, service: str, member: str) -> None:
        self._requests = requests
        self._service = service
        self._member = member

    def __getattr__(self, name: str) -> Any:
        return getattr(self._requests, name)

    def post(self, *args: Any, **options: Any) -> Any:
        answer = self._requests.post(*args, **options)
        if answer.status_code == self._requests.codes.ok and (code := self._code(answer.content)) != 0:
            # Only the number: the text of an answer may quote the key.
            what = f"{self._member} {code}" if isinstance(code, int) else f"no {self._member}"
            logger.warning("%s refused a message: HTTP 200 with %s in its answer", self._service, what)
            answer.status_code = _REFUSED
        return answer

    def _code(self, body: bytes) -> Any:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return None
        return found.get(self._member) if isinstance(found, dict) else None


def prepare(service: Any) -> None:
    """Make a service of ``apprise`` cut texts to what its receiver takes, and fail where an answer's body says so."""
    name = type(service).__module__
    service.body_maxlen = _LONGEST.get(name, service.body_maxlen)
    module: Any = sys.modules[name]
    if name in _CODES and not isinstance(module.requests, _Requests):
        module.requests = _Requests(module.requests, name.rpartition(".")[2], _CODES[name])
