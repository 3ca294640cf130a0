"""What ``gridclock demo`` is made of: a feed on a scaled clock, a worker, what it told, and the screen."""
