"""Rule kinds, one file each: start state, step, judge."""
