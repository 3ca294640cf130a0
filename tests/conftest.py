"""What all tests share: one broker a session, started when first asked for; topic prefixes; Hypothesis profiles."""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from xdist.workermanage import WorkerController

from streams.errors import BrokerError
from streams.kafka.brokers import Broker, broker, forced_kind
from tests.browser import browser
from tests.schedule import FromBothEnds, in_a_row
from tests.shared_rules import shared_rules

# What costs most and finds most, engine against oracle, takes twice as many: see ``per_kind`` in tests/property.
settings.register_profile(
    "ci", max_examples=1000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", max_examples=200, deadline=None, print_blob=True)
settings.register_profile("fast", settings.get_profile("dev"), max_examples=50)
settings.register_profile("long", settings.get_profile("ci"), max_examples=10_000)  # 20,000 of engine against oracle
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

BROKER_LINES = pytest.StashKey[list[str]]()
_counter = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate-golden", action="store_true", help="write tests/golden/*/alerts.jsonl anew; read the difference"
    )


def is_fast_part(config: pytest.Config) -> bool:
    """Whether ``-m "not broker"`` was asked for and nothing more: fewer examples, and no test marked ``whole``."""
    return config.option.markexpr == "not broker" and not (os.environ.get("HYPOTHESIS_PROFILE") or os.environ.get("CI"))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[BROKER_LINES] = ["none was asked for"]
    if is_fast_part(config):
        settings.load_profile("fast")  # before the test modules, which make settings of their own of it


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if {"kafka", "cluster"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.broker)
    if is_fast_part(config):
        left_out = [item for item in items if item.get_closest_marker("whole")]
        items[:] = [item for item in items if not item.get_closest_marker("whole")]
        config.hook.pytest_deselected(items=left_out)
    if hasattr(config, "workerinput"):
        items[:] = in_a_row(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FromBothEnds:
    return FromBothEnds(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["broker"] = session.config.stash[BROKER_LINES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    lines = getattr(node, "workeroutput", {}).get("broker", ["none was asked for"])
    if lines != ["none was asked for"]:
        node.config.stash[BROKER_LINES] = lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if is_fast_part(config):
        terminalreporter.write_line("the fast part: what is marked whole is left out; without -m it is run")
    first, *rest = config.stash[BROKER_LINES]
    terminalreporter.write_line(f"broker: {first}")
    for line in rest:
        terminalreporter.write_line(f"        not {line}")


@pytest.fixture(scope="session", autouse=True)
def rules_made_once() -> Iterator[None]:
    """See ``shared_rules``."""
    with shared_rules():
        yield


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> Iterator[Broker]:
    """The best broker to be had. Without one its tests are skipped, except where one was asked for by name."""
    lines = pytestconfig.stash[BROKER_LINES]
    running = broker(on_progress=lambda text: print(text, file=sys.stderr))  # noqa: T201
    try:
        found = running.__enter__()
    except BrokerError as error:
        lines[:] = [f"none, broker tests were skipped: {error}"]
        if forced_kind() or os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
            lines[:] = [f"not the one asked for: {error}"]
            raise
        pytest.skip(str(error))
    lines[:] = [found.description, *found.passed_over]
    try:
        yield found
    finally:
        running.__exit__(None, None, None)


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One browser for all tests; each opens pages of its own with ``page_of``."""
    with browser(tmp_path_factory.mktemp("chromium")) as address:
        yield address


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Begins the names of this test's topics and groups; no other test of this session has it."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")[:60]
    return f"{name}-{os.getpid()}-{next(_counter)}-"
