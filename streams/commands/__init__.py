"""One module a command; each parses, calls, and prints."""
