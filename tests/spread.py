"""How pytest-xdist spreads the tests over workers, for pytest's option ``--dist loadfile``.

Tests on real hosts come first: they mostly wait, and some files of them take minutes. What only
computes comes last, in small parts, so that all workers end at about the same time. A file is one
worker's, as its fixtures are, but for the file of the chaos tests, whose single tests take minutes.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

_ALONE = "tests/chaos/test_steps.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes long first, in each worker alike."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (_class(item), -sizes[item.path], str(item.path)))


def _class(item: pytest.Item) -> int:
    for number, mark in enumerate(("chaos", "lab", "simulation", "programs")):
        if item.get_closest_marker(mark):
            return number
    return 4


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Hand out files in the order above."""
    if config.getoption("dist") != "loadfile":
        return None
    # Only here: without pytest-xdist there is no such module, and nobody calls this.
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it comes without types
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return nodeid if file == _ALONE else file

    config.option.loadscopereorder = False
    return ByFile(config, log)
