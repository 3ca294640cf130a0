"""``gridclock`` on a machine whose clock is ahead by ``WRONG_BY_S`` seconds; lengths of time it measures rightly."""

from __future__ import annotations

import os
import time

from streams import cli, wall_clock

if __name__ == "__main__":
    wrong_by = int(float(os.environ["WRONG_BY_S"]) * 1_000_000)
    wall_clock._now = lambda: time.time_ns() // 1000 + wrong_by
    cli.main()
