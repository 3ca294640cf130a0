"""Brokers found or started, topics, permissions, readers and producers."""
