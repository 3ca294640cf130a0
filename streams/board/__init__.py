"""The live board: what runs out now, in a browser."""
