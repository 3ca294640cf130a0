"""The channels that messages are sent to: one module for each kind."""
