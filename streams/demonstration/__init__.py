"""The parts of ``gridclock demo``: a worker on a scaled clock, its net alerts, and the screen."""
