"""Rulebook and calendar files: loaded, checked and tested against cases."""
