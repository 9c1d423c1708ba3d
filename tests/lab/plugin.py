"""The lab for pytest: the fixture ``lab``, its reset between tests, and when to skip.

A test that takes ``lab`` (or ``new_lab``) is marked ``lab`` by itself. Where this machine cannot
run the lab, tests with that mark are skipped with the reason; with ``BOTDEPLOY_REQUIRE_LAB=1``
they fail instead. ``BOTDEPLOY_LAB=NAME`` uses a lab that runs already, and leaves it running;
``BOTDEPLOY_LAB_HOSTS=N`` asks for another number of hosts than four.

Before each test the hosts are reset, unless the test is marked ``lab(reset="module")``: then
before the first such test of a module only, so that its tests can share what one fixture deployed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.lab import lab as labs
from tests.lab import machine, registry
from tests.lab.base import SUITE
from tests.lab.registry import Owner
from tests.lab.shell import LabError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

FIXTURES = {"lab", "new_lab"}
_LAB = pytest.StashKey[labs.Lab]()
_RESET_FOR = pytest.StashKey[str]()


class NewLab(Protocol):
    """What the fixture ``new_lab`` is: a way to start a lab that ends with the test."""

    def __call__(self, hosts: int = 1, *, disk_mb: int = 0, suite: str = SUITE) -> labs.Lab:
        """Start a lab of so many hosts, each with a disk of its own where a size is given."""


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Iterator[labs.Lab]:
    """Hosts that run for the whole session and are as new at the beginning of each test."""
    if name := os.environ.get("BOTDEPLOY_LAB"):
        running = labs.attach(name)
        running.reset()
        pytestconfig.stash[_LAB] = running
        yield running
        return
    labs.down_stale()
    hosts = int(os.environ.get("BOTDEPLOY_LAB_HOSTS", "4"))
    started = labs.up(hosts, name=f"pytest-{os.getpid()}", owner=Owner.me())
    pytestconfig.stash[_LAB] = started
    try:
        yield started
    finally:
        labs.down(started.name)


@pytest.fixture
def new_lab() -> Iterator[NewLab]:
    """Start labs of one's own, which are taken down at the end of the test."""
    names: list[str] = []

    def start(hosts: int = 1, *, disk_mb: int = 0, suite: str = SUITE) -> labs.Lab:
        name = f"pytest-{os.getpid()}-{len(names) + 1}"
        started = labs.up(hosts, name=name, disk_mb=disk_mb, suite=suite, owner=Owner.me())
        names.append(name)
        return started

    yield start
    for name in names:
        # The test may have taken it down itself.
        if any(record.name == name for record in registry.records()):
            labs.down(name)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the lab, before ``-m`` chooses by marks."""
    for item in items:
        if FIXTURES & set(getattr(item, "fixturenames", ())) and not item.get_closest_marker("lab"):
            item.add_marker("lab")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip where there can be no lab; else reset the hosts, before any fixture touches them."""
    marker = item.get_closest_marker("lab")
    if marker is None:
        return
    if reason := machine.why_not():
        if os.environ.get("BOTDEPLOY_REQUIRE_LAB") == "1":
            pytest.fail(f"BOTDEPLOY_REQUIRE_LAB=1, but {reason}", pytrace=False)
        pytest.skip(reason)
    if "lab" not in getattr(item, "fixturenames", ()):
        return
    scope = item.nodeid
    if marker.kwargs.get("reset") == "module":
        scope = item.nodeid.partition("::")[0]
    if item.config.stash.get(_RESET_FOR, "") != scope:
        item.config.stash[_RESET_FOR] = scope
        # For the first test of all there is no lab yet, and what its fixture starts is new.
        if running := item.config.stash.get(_LAB, None):
            running.reset()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of each host's journal to the report of a test that failed."""
    report = yield
    running = item.config.stash.get(_LAB, None)
    if report.failed and running and "lab" in getattr(item, "fixturenames", ()):
        for host in running:
            try:
                text = host.journal(lines=30)
            except (LabError, OSError) as error:
                text = str(error)
            report.sections.append((f"journal of {host.name}", text))
    return report
