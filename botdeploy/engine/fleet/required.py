"""Required: ask the hosts of another environment whether they have proven a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdeploy.core.rollout.requirement import Contents, Other, Unmet, missing_platforms, unmet
from botdeploy.engine.fleet.ownership import others
from botdeploy.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.policy import Requires
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.sources.build import Build

    Pump = Callable[[float], None] | None
    """What goes on while hosts are asked."""


@dataclass(frozen=True, slots=True)
class RequiredAnswer:
    """What ``rollout.requires`` asks for, and what the other environment lacks of it."""

    requires: Requires
    unmet: Unmet | None = None
    """None: nothing."""
    missing: tuple[str, ...] = ()
    """Platforms that the other environment has no host of."""

    @property
    def is_away(self) -> bool:
        """Whether it could not be told."""
        return self.unmet is not None and self.unmet.is_away

    def record(self) -> dict[str, Any]:
        """Give it as ``plan`` and ``check`` print it in JSON."""
        until = self.unmet.until if self.unmet is not None else None
        return {
            "environment": self.requires.environment,
            "proven_for_s": self.requires.proven_for.total_seconds(),
            "met": self.unmet is None,
            "why": self.unmet.why if self.unmet is not None else None,
            "until": until.isoformat(timespec="seconds") if until is not None else None,
            "missing_platforms": list(self.missing),
        }


def contents_of(
    fleet: Fleet, names: Iterable[str], pump: Pump = None
) -> dict[str, Contents | HostError]:
    """Ask hosts what their releases are made of."""
    return fleet.each(names, lambda name: fleet.acts(name).release.contents(), pump=pump)


def ask_staged(
    fleet: Fleet, names: Iterable[str], release: str, other: Fleet, now: datetime, pump: Pump = None
) -> RequiredAnswer | None:
    """Ask about a release that hosts ``names`` have; None where nothing is required."""
    own = contents_of(fleet, names, pump)
    told = {name: one for name, one in own.items() if isinstance(one, Contents)}
    wanted = {name: one.of[release] for name, one in told.items() if release in one.of}
    requires = fleet.inventory.policy.requires
    if not wanted and requires is not None:
        errors = "; ".join(str(one) for one in own.values() if isinstance(one, HostError))
        why = f"no host of {fleet.inventory.environment} tells what {release} is made of: {errors}"
        return RequiredAnswer(requires, Unmet(why, is_away=True))
    return ask(fleet, wanted, told, other, now, pump)


def ask_built(
    fleet: Fleet, names: Iterable[str], build: Build, other: Fleet, now: datetime
) -> RequiredAnswer | None:
    """Ask about a build that hosts ``names`` are to get; None where nothing is required.

    Those that do not answer do not tell their platform, and that is all.
    """
    wanted = {name: build.content(fleet.host(name)) for name in names}
    own = contents_of(fleet, wanted)
    told = {name: one for name, one in own.items() if isinstance(one, Contents)}
    return ask(fleet, wanted, told, other, now)


def ask(
    fleet: Fleet,
    wanted: Mapping[str, str],
    own: Mapping[str, Contents],
    other: Fleet,
    now: datetime,
    pump: Pump = None,
) -> RequiredAnswer | None:
    """Ask all hosts of ``other``, without their lock; None where nothing is required.

    ``wanted``: host → content of what it is to get; ``own``: what hosts have said of themselves.
    """

    def look(name: str) -> tuple[HostState, Contents]:
        acts = other.acts(name)
        return acts.state.observe(), acts.release.contents()

    requires = fleet.inventory.policy.requires
    if requires is None:
        return None
    seen = other.each([host.name for host in other.inventory.hosts], look, pump=pump)
    answers = {name: one for name, one in seen.items() if not isinstance(one, HostError)}
    contents = {name: its for name, (_, its) in answers.items()}
    missing = missing_platforms(own, contents)
    away = [str(one) for one in seen.values() if isinstance(one, HostError)]
    if away:
        why = (
            f"{requires.environment} must have proven it, and could not be asked:"
            f" {'; '.join(away)}; bring it back, or take a host that is gone for good out of the"
            f" inventory of {requires.environment}"
        )
        return RequiredAnswer(requires, Unmet(why, is_away=True), missing)
    states = {name: state for name, (state, _) in answers.items()}
    told = Other(requires.environment, states, contents, others(other.inventory, states))
    hosts: dict[str, list[str]] = {}
    for name, content in wanted.items():
        hosts.setdefault(content, []).append(name)
    return RequiredAnswer(requires, unmet(requires, hosts, told, now), missing)
