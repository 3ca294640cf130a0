"""The state of one worker, from its metrics port: an observation of the installation, as far as one worker knows it."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from streams.errors import BrokerError
from streams.operations.asking import ask
from streams.operations.installation import Observation, Partition, Source

_SECONDS: Final = 10.0


def observe_worker(address: str, now: int, speed: float = 1) -> Observation:
    """The state of the worker at HOST:PORT. ``now`` is the present instant of the workers' clock.

    Lags are converted to instants, so that two observations show what advances; a worker does not know the sources'
    ends.

    Raises:
        BrokerError: where it does not answer, or is not a worker's port.
    """
    url = f"http://{address}"
    _, alive = ask(f"{url}/healthz", _SECONDS)
    status, ready = ask(f"{url}/readyz", _SECONDS)
    values: dict[str, dict[str, float]] = defaultdict(dict)
    cases = 0.0
    page = ask(f"{url}/metrics", _SECONDS)[1]
    try:
        families = list(text_string_to_metric_families(page))
    except (ValueError, LookupError) as error:  # another program's page
        raise BrokerError(f"{url} is not the metrics port of a worker") from error
    for family in families:
        for sample in family.samples:
            if sample.name == "gridclock_open_cases":
                cases += sample.value
            elif sample.name.startswith("gridclock_"):
                labels = sample.labels
                values[sample.name][labels.get("partition") or labels.get("source") or ""] = sample.value
    if "gridclock_log_partitions" not in values:
        raise BrokerError(f"{url} is not the metrics port of a worker")
    sources = {name: now - int(behind * 1e6 * speed) for name, behind in values["gridclock_source_lag_seconds"].items()}
    lags = values["gridclock_watermark_lag_seconds"]
    partitions = [
        Partition(
            int(number),
            address,
            watermark=now - int(lags[number] * 1e6 * speed) if number in lags else None,
            by_source=sources,
            subjects=int(kept),
            quarantined=int(values["gridclock_quarantined_subjects"].get(number, 0)),
        )
        for number, kept in sorted(values["gridclock_subjects"].items(), key=lambda one: int(one[0]))
    ]
    local = values["gridclock_state_bytes"].get("")
    trouble = [] if status == 200 else [f"worker {address}: {(ready or alive).strip()}"]
    rulebooks = values["gridclock_rulebooks"].get("", 1)
    if rulebooks > 1:
        trouble.append(f"worker {address}: the partitions are judged by {rulebooks:.0f} different rulebooks")
    return Observation(
        now,
        partitions,
        [Source(name) for name in sorted(sources)],
        local=None if local is None else int(local),
        trouble=trouble,
        open_cases=int(cases),
    )
