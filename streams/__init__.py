"""gridclock: the clocks of an electricity supplier's front line, live and in replay."""
