"""Where messages go: one module a kind of channel."""
