"""Bytes to values and back: events in, CloudEvents out, state rows, pseudonyms, personal data taken out."""
