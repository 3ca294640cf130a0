"""``gridclock`` that looks every two seconds by which rulebooks the partitions are judged: else twice a minute."""

from __future__ import annotations

from typing import Final

from streams import cli
from streams.live import rulebook_watch

MODULE: Final = "tests.integration.watchful_worker"

if __name__ == "__main__":
    rulebook_watch.EVERY = 2.0  # type: ignore[misc]
    cli.main()
