"""The sources of a release: what hosts say where their files of it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.errors import HostError
from botdeploy.sources.host_trees import hosts_alike

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.fleet import Fleet

Sources = dict[str, tuple[str, ...]]
"""Where files came from, in words → the hosts that have them."""


def release_sources(fleet: Fleet, states: Mapping[str, HostState], release: str) -> Sources:
    """Ask the hosts that have a release where its files came from.

    One is asked where all hosts of the environment are to have the same files. Hosts that do not
    say it are left out.
    """
    has = [name for name, state in states.items() if state.release(release) is not None]
    several = any(hosts_alike(fleet.inventory).values())
    asked = has if several else has[:1]
    found: Sources = {}
    for name, told in fleet.each(asked, lambda name: _source(fleet, name, release)).items():
        if not isinstance(told, HostError) and told:
            names = (name,) if several else tuple(has)
            found[told] = (*found.get(told, ()), *names)
    return found


def _source(fleet: Fleet, name: str, release: str) -> str:
    return fleet.acts(name).release.show(release).source
