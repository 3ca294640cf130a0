"""Replay of past events: sources, reading, spilling, judging, results, report and what-if."""
