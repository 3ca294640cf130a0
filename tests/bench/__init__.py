"""How fast a replay is, beside the scripts that people write instead: ``python -m tests.bench.replay``."""
