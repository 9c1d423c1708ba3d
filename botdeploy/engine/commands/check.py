"""What ``check`` tries: all that a rollout will need and that can be tried without changing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.core.judge.pass_caveats import MEND_LEVELS, NO_LEVELS
from botdeploy.core.lines.line import LineRules
from botdeploy.core.release import required_programs
from botdeploy.core.rollout.one_machine import mend_twins, twin_fault, twins
from botdeploy.core.text.phrases import few
from botdeploy.engine.evidence.traffic import states_no_level
from botdeploy.engine.fleet.by_machine import each_machine
from botdeploy.engine.fleet.ownership import OWNER, owner_item
from botdeploy.engine.watch.prober import try_probe
from botdeploy.errors import BotdeployError, HostError, UserError
from botdeploy.sources.render import Renderer
from botdeploy.sources.secrets import read_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.hosts.acts.acts import Acts
    from botdeploy.hosts.process.pipes import Session
    from botdeploy.hosts.process.program import HostConnection
    from botdeploy.sources.build import Build

_HEAD_BYTES = 512

_AT_ONCE = 3
"""What a rollout has run on a host: the lock's program, the journal's reader and an act."""

MACHINE = "machine"
"""The item of a check by which a host tells its machine's name."""
LEVELS = "levels"
"""The item of a check that tells of a bot whose lines state no level."""
_USAGE = (OWNER, MACHINE)
"""Items that are a fault of what the inventory names, and not of a host."""

_MEND_SESSIONS = "raise MaxSessions in its sshd_config to 10, sshd's own default"


@dataclass(frozen=True)
class RolloutNeeds:
    """What can be told of the release before any host is asked."""

    renderer: Renderer
    build: Build | None = None
    items: list[required_programs.Item] = field(default_factory=list)
    """What is wrong here, on the controller, or that nothing is."""

    @classmethod
    def of(
        cls,
        inventory: Inventory,
        made: Callable[[], Build | None],
        templates: Path | None,
        environ: Mapping[str, str],
    ) -> RolloutNeeds:
        """Make the release as ``canary`` would, and tell what it lacks."""
        renderer = Renderer(templates, inventory.variables)
        try:
            build = made()
        except BotdeployError as error:
            items = _unset(inventory, environ)
            if str(error) not in {one["message"] for one in items}:
                items.insert(0, required_programs.item("source", str(error)))
            return cls(renderer, None, items)
        kinds = build.trees.kinds if build is not None else ()
        told = [f"{one.source}: {few(one.hosts)}" for one in kinds] if len(kinds) > 1 else []
        if not told:
            told = [build.release.source if build is not None else ""]
        return cls(
            renderer, build, [required_programs.item("source", one, ok=True) for one in told]
        )

    def of_host(self, host: Host) -> tuple[str, list[required_programs.Item]]:
        """Give what the release wants of a host, encoded, and what is wrong with that itself."""
        bot = host.bot
        items = []
        try:
            unit = self.renderer.unit(host, "check", bot.env)
        except UserError as error:
            return "", [required_programs.item("unit", str(error))]
        if self.build is not None:
            tree = self.build.trees.of(host).files()
            files = {path: file.mode for path, file in tree.items()}
            found = (
                required_programs.command_item(bot, files),
                required_programs.build_item(bot, files),
            )
            items += [wrong for wrong in found if wrong is not None]
        return required_programs.encoded(
            bot, unit, self._head_of(host) if self.build is not None else None
        ), items

    def _head_of(self, host: Host) -> Callable[[str], bytes]:
        """Give what reads the beginning of a file of a host's tree."""
        assert self.build is not None  # noqa: S101 (asked for only then)
        files = self.build.trees.of(host).files()
        return lambda path: files[path].read()[:_HEAD_BYTES]


def _unset(inventory: Inventory, environ: Mapping[str, str]) -> list[required_programs.Item]:
    """Tell of every secret that has no value here; ``build`` tells of the first one only."""
    place = Path(inventory.path)
    base = place if place.is_dir() else place.parent
    wrong: dict[str, required_programs.Item] = {}
    for host in inventory.hosts:
        for name, reference in host.bot.secrets.items():
            if reference in wrong:
                continue
            try:
                read_secret(name, reference, base, environ)
            except UserError as error:
                mend = "give it a value where botdeploy runs, or change bot: secrets:"
                wrong[reference] = required_programs.item("secret", str(error), mend)
    return list(wrong.values())


def _sessions(connection: HostConnection) -> required_programs.Item:
    """Have as many programs run at a time as a rollout has."""
    held: list[Session] = []
    try:
        held.extend(connection.start("exec cat") for _ in range(_AT_ONCE))
    except HostError as error:
        return required_programs.item("sessions", error.message, _MEND_SESSIONS)
    finally:
        for session in held:
            session.close()
    each = connection.sessions_each
    if each is None:
        return required_programs.item("sessions", f"{_AT_ONCE} programs at a time", ok=True)
    message = (
        f"its sshd allows {each} sessions per connection (MaxSessions): more connections are opened"
    )
    return required_programs.item("sessions", message, _MEND_SESSIONS, ok=True)


@dataclass(frozen=True, slots=True)
class HostChecks:
    """What was tried on one host."""

    name: str
    items: list[dict[str, Any]]

    def is_fine(self, *, usage: bool) -> bool:
        """Tell whether all is well but what the inventory names, or with ``usage`` only that."""
        return all(item["ok"] for item in self.items if (item["name"] in _USAGE) is usage)


def check(fleet: Fleet, names: Sequence[str], needs: RolloutNeeds) -> tuple[HostChecks, ...]:
    """Try every host as a rollout would."""
    found = []
    results = each_machine(fleet, names, lambda names: _check_machine(fleet, names, needs))
    machines: dict[str, str] = {}
    for name, result in results.items():
        if isinstance(result, HostError):
            unreached = {"name": "reachable", "ok": False, "message": result.message, "mend": ""}
            found.append(HostChecks(name, [unreached]))
            continue
        machines[name] = next((one["message"] for one in result if one["name"] == MACHINE), "")
        reached = {"name": "reachable", "ok": True, "message": "", "mend": ""}
        others = [one for one in result if one["name"] != MACHINE]
        found.append(HostChecks(name, [reached, *others]))
    for name, other in twins(fleet.inventory, machines).items():
        fault, mend = twin_fault(fleet.inventory, name, other), mend_twins(fleet.inventory)
        items = next(one.items for one in found if one.name == name)
        items.append({"name": MACHINE, "ok": False, "message": fault, "mend": mend})
    return tuple(found)


def _check_machine(
    fleet: Fleet, names: tuple[str, ...], needs: RolloutNeeds
) -> dict[str, list[dict[str, Any]] | HostError]:
    """Try the hosts of one machine one after the other; what they have in common once."""
    found: dict[str, list[dict[str, Any]] | HostError] = {}
    for name in names:
        try:
            found[name] = _checked(fleet, name, needs, of_machine=name == names[0])
        except HostError as error:
            found[name] = error
    return found


def _checked(
    fleet: Fleet, name: str, needs: RolloutNeeds, *, of_machine: bool
) -> list[dict[str, Any]]:
    """Give what a host says of itself, of what the release wants of it, and of the bot's probe.

    An item may hold values beside its texts, which the views put into words: the ``fault`` of the
    bot, and the ``owner``, the other environment that has the host.
    """
    host = fleet.host(name)
    wanted, items = needs.of_host(host)
    acts = fleet.acts(name)
    probe = host.bot.probe
    inventory = fleet.inventory
    return [
        *(
            owner_item(inventory, one) if one["name"] == OWNER else one
            for one in acts.setup.check(host.bot.run_as, wanted, of_machine=of_machine)
        ),
        *((_sessions(acts.connection),) if of_machine else ()),
        *items,
        *((try_probe(acts, probe),) if probe is not None else ()),
        *_levels(acts, LineRules.from_policy(inventory.policy.judge)),
    ]


def _levels(acts: Acts, rules: LineRules) -> tuple[required_programs.Item, ...]:
    """Tell of a bot none of whose lines states a level, and how to declare it: no fault."""
    try:
        is_silent = states_no_level(acts, rules)
    except HostError:  # its own items say why
        return ()
    if not is_silent:
        return ()
    return (required_programs.item(LEVELS, f"not excluded: {NO_LEVELS}", MEND_LEVELS, ok=True),)
