"""Past events judged: sources, reading, spilling, judging, results, report and what-if."""
