"""``gridclock`` that is slow to stop: ``STOPS`` says until when.

``rebalance``: its last commit goes out after its group has begun to rebalance. ``never``: it does not.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

from aiokafka.consumer.group_coordinator import GroupCoordinator

from streams import cli
from streams.live import faust_app, faust_extensions

MODULE: Final = "tests.integration.slow_to_stop"


_apps: Final[list[Any]] = []


def _commits_at_last(*given: Any) -> Any:
    app = faust_extensions.app_of(*given)
    app.conf.broker_commit_interval = 3600
    _apps.append(app)
    return app


async def _commits_late(coordinator: Any, *given: Any) -> None:
    (app,) = _apps
    if coordinator.group_id == app.conf.id and app.should_stop:
        while not (app.rebalancing and os.environ["STOPS"] == "rebalance"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # what the revocation does is done
    await _commit(coordinator, *given)


if __name__ == "__main__":
    _commit = GroupCoordinator._do_commit_offsets
    GroupCoordinator._do_commit_offsets = _commits_late
    faust_app.app_of = _commits_at_last  # type: ignore[assignment,attr-defined]
    cli.main()
