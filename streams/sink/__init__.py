"""Results into databases and files: what ``gridclock sink`` does."""
