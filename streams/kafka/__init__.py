"""Brokers: found or started, their topics and rights, and what reads from and writes to them."""
