"""Instances on Debian 11, whose systemd (247) is the oldest that botdeploy runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hosts.acts.actkit import Actor
from tests.lab import test_instances

if TYPE_CHECKING:
    from tests.lab.faults import BreakableHost
    from tests.lab.plugin import NewLab


@pytest.fixture
def host(new_lab: NewLab) -> BreakableHost:
    """Start a host of Debian 11, and give it the program."""
    host = new_lab(1, suite="bullseye")["h1"]
    assert "systemd 247" in host.root("systemctl --version").stdout
    assert "installed" in Actor(host).install()
    return host


def test_the_data_of_instances(host: BreakableHost) -> None:
    """Folders, files and odd names are mounted, for the bot and for what asks it."""
    test_instances.test_shared_data_is_folders_and_files_of_any_name(host)
    host.reset()
    assert "installed" in Actor(host).install()
    test_instances.test_readiness_and_probes_see_the_data_of_the_instance(host)
