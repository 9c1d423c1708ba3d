"""Plan: what canary would do, asked of all hosts at once; changes nothing."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.line import LineRules
from botdeploy.core.release.environment_file import variables
from botdeploy.core.release.manifest import delta
from botdeploy.core.release.release_ids import in_order, made_of
from botdeploy.core.rollout import ring_members
from botdeploy.core.rollout.batch import batches
from botdeploy.core.rollout.one_machine import as_told
from botdeploy.core.rollout.renumbering import as_one_batch, changed_numbers
from botdeploy.core.rollout.succession import successions
from botdeploy.core.rollout.target import named
from botdeploy.engine.evidence.traffic import forecast, traffic
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.fleet.ownership import others
from botdeploy.engine.fleet.required import ask_built, ask_staged
from botdeploy.engine.rollout.rollout_ids import new_rollout
from botdeploy.errors import HostError
from botdeploy.sources.render import RELEASE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.core.model.policy import Ring
    from botdeploy.core.release.manifest import Manifest
    from botdeploy.engine.evidence.traffic import Traffic
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.engine.fleet.required import RequiredAnswer
    from botdeploy.sources.build import Build
    from botdeploy.sources.host_trees import HostKind


@dataclass(frozen=True, slots=True)
class _Base:
    """What a host has of the release that it runs now."""

    release: str = ""
    manifest: Manifest | None = None
    unit: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What canary would do."""

    inventory: Inventory
    build: Build | None
    release: str
    rings: Mapping[str, tuple[str, ...]]
    states: Mapping[str, HostState]
    away: Mapping[str, HostError]
    bases: Mapping[str, _Base | HostError]
    traffic: Traffic | None
    required: RequiredAnswer | None = None
    """Whether the environment that ``rollout.requires`` names has proven it."""

    @property
    def is_out_of_reach(self) -> bool:
        """Tell whether more hosts are away than the inventory allows, or those that it requires."""
        total = len(self.inventory.hosts)
        if self.required is not None and self.required.is_away:
            return True
        return len(self.away) > self.inventory.policy.max_unreachable.at_most(total)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be read."""
        return tuple(str(one) for one in self.bases.values() if isinstance(one, HostError))

    def record(self) -> dict[str, Any]:
        """Give it as ``plan --json`` prints it."""
        inventory, build = self.inventory, self.build
        digest = build.release.digest if build else ""
        return {
            "environment": inventory.environment,
            "bot": inventory.bot_name,
            "release": self.release,
            "digest": digest or None,
            "source": build.release.source if build else None,
            "sources": [_source(kind) for kind in build.trees.kinds] if build else [],
            "values_changed": self._values_changed(),
            "quarantined": next(
                (
                    f"{name}: {state.quarantine[digest]}"
                    for name, state in self.states.items()
                    if digest in state.quarantine
                ),
                None,
            ),
            "other_environment": others(inventory, self.states),
            "requires": self.required.record() if self.required is not None else None,
            "rings": [
                _ring(ring, self.rings[ring.name], inventory.machine_of)
                for ring in inventory.policy.rings
            ],
            "hosts": [
                self._host(name, ring.of(name))
                for ring in inventory.policy.rings
                for name in self.rings[ring.name]
            ],
            "left_out": dict(inventory.left_out),
            "renumbers": changed_numbers(inventory.policy),
            "changes_of_form": [one.record() for one in successions(inventory, self.states)],
            "power": {
                "traffic": self.traffic.record() if self.traffic is not None else None,
                "rings": forecast(inventory, self.rings, self.traffic),
            },
        }

    def _values_changed(self) -> dict[str, object] | None:
        """Say what of a release that runs on hosts gets other values, and nothing else.

        Of secrets it is known that they are others where nothing else is, but not which.
        """
        bases = {
            name: base
            for name, base in self.bases.items()
            if isinstance(base, _Base)
            and base.release != self.release
            and made_of(base.release) == made_of(self.release)
        }
        if self.build is None or not bases:
            return None
        names: set[str] = set()
        of_secrets = any(host.bot.secrets for host in self.inventory.hosts) and not self.away
        for ring in self.inventory.policy.rings:
            for name in [one for one in self.rings[ring.name] if one in bases]:
                host, base = self.inventory.host(name), bases[name]
                after = self.build.masked_environment(host, ring)
                old, new = variables(base.environment), variables(after)
                unit = _neutral(self.build.unit(host, ring), self.release)
                of_secrets = of_secrets and unit == _neutral(base.unit, base.release)
                names |= {one for one in old | new if old.get(one) != new.get(one)}
        names.discard(RELEASE_VARIABLE)
        return {
            "from": max((base.release for base in bases.values()), key=in_order),
            "env": sorted(names),
            "secrets": True if of_secrets and not names else None,
        }

    def _host(self, name: str, ring: Ring) -> dict[str, object]:
        host = self.inventory.host(name)
        record: dict[str, object] = {**host.place, "ring": ring.name}
        if name in self.away:
            return {**record, "error": self.away[name].message}
        state, build = self.states[name], self.build
        record |= {"from": state.running or None, "to": self.release, "error": None}
        is_there = state.release(self.release) is not None
        if build is None or is_there:
            record |= {"bytes": 0, "files": 0}
        if build is None:
            return record
        found = self.bases.get(name)
        base = found if isinstance(found, _Base) else _Base(state.current)
        if not is_there and self._has_tree(host, build):
            record |= {"bytes": len(build.instance_meta(host, ring)), "files": 0}
        elif not is_there:
            record["bytes"] = len(build.delta(host, base.manifest)) + len(build.meta(host, ring))
            record["files"] = len(delta(build.manifest(host), base.manifest))
        for what, before, after in (
            ("unit", base.unit, build.unit(host, ring)),
            ("environment", base.environment, build.masked_environment(host, ring)),
        ):
            record[f"{what}_diff"] = _diff(
                _neutral(before, base.release), _neutral(after, self.release), what
            )
        return record

    def _has_tree(self, host: Host, build: Build) -> bool:
        """Tell whether its machine has an instance's tree, or gets it with an earlier instance."""
        if host.instance is None:
            return False
        tree = build.tree_digest(host)
        there = [
            one
            for one in self.inventory.hosts
            if one.on_machine == host.on_machine
            and one.name in self.states
            and build.tree_digest(one) == tree
        ]
        return there[0] != host or tree in self.states[host.name].trees


def plan(
    inventory: Inventory,
    fleet: Fleet,
    build: Build | None,
    release: str | None,
    clock: Clock,
    *,
    is_forced: bool,
    required: Fleet | None = None,
) -> Plan:
    """Ask all hosts; raises UserError where no host has ``release``, a staged one.

    ``required`` reaches the hosts of the environment that must have proven it.
    """
    states, away = observe(fleet, [host.name for host in inventory.hosts])
    inventory = as_told(inventory, states)
    built, new = build.release if build is not None else None, new_rollout(clock, states)
    release = named(inventory, states, built, release, new, is_forced=is_forced).release
    if build is not None:
        build = build.under(release)
    inventory = as_one_batch(inventory, states, release)
    rings = ring_members.members(inventory, states, away, release=release)
    names = [name for ring in inventory.policy.rings for name in rings[ring.name]]

    def read(name: str) -> _Base:
        base = states[name].release(states[name].current)
        if base is None:
            return _Base()
        acts = fleet.acts(name)
        manifest, shown = acts.release.manifest(base.id), acts.release.show(base.id)
        return _Base(base.id, manifest, shown.unit, shown.environment)

    asked = [name for name in names if name in states] if build is not None else []
    bases = fleet.each(asked, read)
    seen = traffic(fleet, states, LineRules.from_policy(inventory.policy.judge), names)
    answer = None
    if required is not None and build is not None:
        answer = ask_built(fleet, names, build, required, clock.now())
    elif required is not None:
        answer = ask_staged(fleet, names, release, required, clock.now())
    return Plan(inventory, build, release, rings, states, away, bases, seen, answer)


def _source(kind: HostKind) -> dict[str, object]:
    return {
        "source": kind.source,
        "commit": kind.commit,
        "tree": kind.digest,
        "hosts": list(kind.hosts),
    }


def _neutral(text: str, release: str) -> str:
    """Take a release's own id out of a text, so that a diff shows what a person changed."""
    return text.replace(release, "RELEASE") if release else text


def _diff(before: str, after: str, what: str) -> list[str]:
    """Give the lines of a unified diff, without its file header."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), what, what, lineterm="", n=1
    )
    return list(lines)[2:]


def _ring(ring: Ring, hosts: tuple[str, ...], machines: Mapping[str, str]) -> dict[str, object]:
    return {
        "name": ring.name,
        "hosts": list(hosts),
        "batch": str(ring.batch),
        "batches": len(batches(ring, hosts, machines)),
        "soak_s": ring.soak.total_seconds(),
        "settle_s": ring.settle.total_seconds(),
        "gate": ring.gate.value,
        "window": str(ring.window) if ring.window is not None else None,
    }
