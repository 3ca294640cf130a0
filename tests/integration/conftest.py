"""The installation of the tests of whole processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.kafka.brokers import Broker
from tests.integration.live import Live


@pytest.fixture
def live(request: pytest.FixtureRequest, kafka: Broker, prefix: str, tmp_path: Path) -> Iterator[Live]:
    """An installation of its own, with the settings of the marker ``live``.

    ``embedded_lacks`` there says what the embedded broker does not do: the test is then skipped on it.
    """
    marker = request.node.get_closest_marker("live")
    settings = {} if marker is None else dict(marker.kwargs)
    lacking = settings.pop("embedded_lacks", None)
    if lacking is not None and kafka.kind == "embedded":
        pytest.skip(f"{kafka.description}: {lacking}")
    with Live(kafka.bootstrap, prefix, tmp_path, **settings) as found:
        yield found
