"""Whether traces of OpenTelemetry are wanted, and where they are sent: by the SDK's own environment variables.

Where none asks for them, nothing of OpenTelemetry is imported.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from streams.errors import ConfigError
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.live.spans import Spans

EXPORTERS: Final = "OTEL_TRACES_EXPORTER"
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def exporters_of(environment: Mapping[str, str]) -> list[str]:
    """The exporters of traces that the variables name; none: no traces."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    given = environment.get(EXPORTERS, "").strip()
    if not given:
        given = "otlp" if any(environment.get(name) for name in ENDPOINTS) else "none"
    return [name for name in map(str.strip, given.split(",")) if name not in ("", "none")]


FLUSH_SECONDS: Final = 5.0
"""How long the end of a worker waits until the spans that are not exported yet have been sent."""


@asynccontextmanager
async def spans_of(settings: Settings, environment: Mapping[str, str]) -> AsyncIterator[Spans | None]:
    """The spans of a worker, ``None`` where no traces are wanted; what is not yet exported is sent at the end.

    Raises:
        ConfigError: where OpenTelemetry or a named exporter is not installed.
    """
    names = exporters_of(environment)
    if not names:
        yield None
        return
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        from streams.live.spans import Spans
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"traces are asked for, and OpenTelemetry is not installed ({error}): pip install 'gridclock[otel]'",
            path="environment", key=EXPORTERS,
        ) from error  # fmt: skip
    found = trace.get_tracer_provider()
    if isinstance(found, TracerProvider):  # made by whoever started this program: opentelemetry-instrument
        yield Spans(found, settings.alerts_topic)
        return
    provider = _provider(names, environment)
    trace.set_tracer_provider(provider)
    try:
        yield Spans(provider, settings.alerts_topic)
    finally:
        # Where the collector is away the SDK waits for half a minute; a worker that restarts does not.
        ending = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, FLUSH_SECONDS)


def _provider(names: list[str], environment: Mapping[str, str]) -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(shutdown_on_exit=False)  # resource, sampler and limits by its variables
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), "http/protobuf")
    for name in names:
        entry = "otlp_proto_" + protocol.partition("/")[0] if name == "otlp" else name
        kinds = list(entry_points(group="opentelemetry_traces_exporter", name=entry))
        if not kinds:
            raise ConfigError(
                f"no exporter {name!r} ({entry}) is installed: gridclock[otel] has otlp by http/protobuf, and console",
                path="environment", key=EXPORTERS,
            )  # fmt: skip
        provider.add_span_processor(BatchSpanProcessor(kinds[0].load()()))
    return provider
