"""The start of the process, by which alerts tell what a new process counted before it was first looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from streams.live.process_metrics import ProcessMetrics
from streams.notify.metrics import NotifyMetrics

START = "process_start_time_seconds"


def test_it_is_known_without_the_files_of_proc_that_systemd_hides(tmp_path: Path) -> None:
    """Under the shipped units (``ProcSubset=pid``) it was missing, and with it those alerts."""
    own, real = tmp_path / "self", Path("/proc/self")
    (own / "fd").mkdir(parents=True)
    for name in ("stat", "limits"):
        (own / name).write_bytes((real / name).read_bytes())
    hidden, whole, library = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    ProcessMetrics(proc=str(tmp_path), registry=hidden)
    ProcessMetrics(registry=whole)
    ProcessCollector(registry=library)
    started = library.get_sample_value(START)
    assert started is not None
    assert hidden.get_sample_value(START) == pytest.approx(started, abs=2)
    assert whole.get_sample_value(START) == started
    assert (hidden.get_sample_value("process_resident_memory_bytes") or 0) > 1_000_000
    assert NotifyMetrics(()).registry.get_sample_value(START) == started
