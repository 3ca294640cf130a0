"""``gridclock`` on a machine whose clock is ahead by ``WRONG_BY_S`` seconds; lengths of time it measures rightly.

Where that is several numbers with commas between them, SIGUSR1 makes the clock jump to the next one.
"""

from __future__ import annotations

import os
import signal
import time

from streams import cli, wall_clock

if __name__ == "__main__":
    wrong_by = [int(float(word) * 1_000_000) for word in os.environ["WRONG_BY_S"].split(",")]
    signal.signal(signal.SIGUSR1, lambda *_: wrong_by.pop(0) if len(wrong_by) > 1 else None)
    wall_clock._now = lambda: time.time_ns() // 1000 + wrong_by[0]
    cli.main()
