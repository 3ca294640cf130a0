"""The database of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sink.postgres import Postgres, programs


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A server of its own; skipped where Debian's postgresql is not installed."""
    if programs() is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with Postgres() as running:
        yield running
