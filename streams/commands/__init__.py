"""One module for each command: it parses its options, calls the program, and prints."""
