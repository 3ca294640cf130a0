"""The metrics of the process itself.

prometheus_client gives none of them where ``/proc/stat`` is not there, as under systemd's ``ProcSubset=pid``; rules for
Prometheus tell by the start of a process what it counted before it was first looked at.
"""

from __future__ import annotations

from prometheus_client.process_collector import ProcessCollector

from streams.wall_clock import booted


class ProcessMetrics(ProcessCollector):
    """Start, memory and processor time, also without ``/proc/stat``."""

    def _boot_time(self) -> float:
        try:
            return float(super()._boot_time())  # type: ignore[no-untyped-call]
        except OSError:
            return booted()
