"""A worker: intake, the ordered log, clocks, state and metrics."""
