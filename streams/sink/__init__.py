"""Results into databases: what ``gridclock sink`` does."""
