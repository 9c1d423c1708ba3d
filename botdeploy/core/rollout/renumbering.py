"""Renumbering: instances that stay, and whose index or count a release changes.

While two releases run beside each other that number the instances in two ways, two of them may do
the same share of the work. So those instances are one ring of their own, and one batch.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from botdeploy.core.host.host_state import is_same_number
from botdeploy.core.model.policy import Ring, Share
from botdeploy.core.rollout import ring_members
from botdeploy.core.rollout.host_standing import HOLDING, Standing
from botdeploy.core.rollout.next_step import Blame, End, Reason, Result, Revert, Wait
from botdeploy.core.rollout.succession import successions
from botdeploy.core.rollout.unnamed import unnamed
from botdeploy.errors import Hint, NotAgreed, Todo, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.core.model.policy import Policy
    from botdeploy.core.rollout.facts import Facts
    from botdeploy.core.rollout.next_step import Decision

RING = "renumbering"
"""What the ring is called that all of them are in."""


def numbers_before(state: HostState, release: str, predecessor: str = "") -> str:
    """Give the numbers by which an instance ran before ``release``; empty where by none.

    ``predecessor``: those of the one whose place it is still to take.
    """
    stood, switch = state.running or state.current, state.switch
    if switch is not None and (state.is_switching or stood == switch.new == release):
        stood, predecessor = switch.old, switch.numbers  # an open one goes back before the next
    elif stood == release:
        stood = predecessor = ""
    return state.numbers_of(stood) if stood else predecessor


def records(numbers: Mapping[str, tuple[str, str]]) -> list[dict[str, str | None]]:
    """Give them as machine output has them; no number is None."""
    return [
        {"host": name, "from": before or None, "to": after or None}
        for name, (before, after) in numbers.items()
    ]


def changed_numbers(policy: Policy) -> list[dict[str, str | None]]:
    """Give the numbers that a policy's rings change, as ``records`` does, and each host's ring."""
    return [
        {**one, "ring": ring.own[host].name if (host := one["host"] or "") in ring.own else None}
        for ring in policy.rings
        for one in records(ring.renumbers)
    ]


def renumbered(
    inventory: Inventory, states: Mapping[str, HostState], release: str
) -> dict[str, tuple[str, str]]:
    """Name the hosts whose numbers the release changes: host → what they were, what they are to be.

    Numbers are ``INDEX/COUNT``, or one of them; empty: none. With those that stay come the ones
    that begin to be numbered beside them, and hosts that can't be asked. The same before and after
    the switch.
    """
    found = {}
    places = {one.host: one.numbers for one in successions(inventory, states)}
    for host in inventory.hosts:
        state = states.get(host.name)
        place = places.get(host.name, "")
        before = numbers_before(state, release, place) if state is not None else ""
        after = _numbers_after(host, states, release)
        if state is None or not is_same_number(before, after):
            found[host.name] = (before, after)
    return found if any(before for before, _ in found.values()) else {}


def _numbers_after(host: Host, states: Mapping[str, HostState], release: str) -> str:
    """Give the numbers that the release has on a host; what is staged counts first."""
    state = states.get(host.name)
    staged = state.release(release) if state is not None else None
    return host.numbers if staged is None else staged.numbers


def as_one_batch(inventory: Inventory, states: Mapping[str, HostState], release: str) -> Inventory:
    """Put the hosts whose numbers the release changes into a ring of their own, behind the others.

    It has no gate and no hours: a person agrees to it. It soaks and settles for as long as that
    one of their own rings that takes longest, and each host gets its own ring's variables.
    """
    policy = inventory.policy
    changed = renumbered(inventory, states, release)
    if not changed or any(ring.renumbers for ring in policy.rings):
        return inventory
    everybody = replace(inventory, policy=replace(policy, only=None))
    own = ring_members.members(everybody, states, release=release)
    theirs = [ring for ring in policy.rings if not changed.keys().isdisjoint(own[ring.name])]
    by_name = {ring.name: ring for ring in policy.rings}
    whole = Ring(
        name=RING if RING not in by_name else f"{RING} of instances",
        selector="",
        hosts=tuple(changed),
        soak=max((ring.soak for ring in theirs), default=timedelta(0)),
        settle=max((ring.settle for ring in theirs), default=timedelta(0)),
        batch=Share(percent=100.0),
        renumbers=changed,
        own={name: by_name[ring] for ring in own for name in own[ring] if name in changed},
    )
    has_others = any(host.name not in changed for host in inventory.hosts)
    rings = (*(policy.rings if has_others else ()), whole)
    return replace(inventory, policy=replace(policy, rings=rings))


def refuse_renumbering(
    inventory: Inventory,
    states: Mapping[str, HostState],
    release: str,
    *,
    is_agreed: bool,
    last_ring: str | None = None,
) -> None:
    """Refuse to begin what would run two numberings side by side, or what nobody agreed to.

    Raises UserError or NotAgreed; nothing where a host has the new number already.
    """
    changed = renumbered(inventory, states, release)
    if not changed or any(states[n].running == release for n in changed if n in states):
        return
    _refuse_several_for_one(inventory, states)
    left = [one.name for one in unnamed(inventory, states)]
    if left:
        raise UserError(
            f"the release changes the numbers of instances that run, and {', '.join(left)}, which "
            "the inventory does not name, may run by an old one. Nothing was changed",
            hint=Hint(Todo.RETIRE, (left[0],)),
        )
    only = inventory.policy.only
    if last_ring is not None or (only is not None and not changed.keys() <= only):
        option = "--ring" if last_ring is not None else "--limit"
        raise UserError(
            f"the release changes the numbers of {', '.join(changed)}: they are switched together, "
            f"without {option}. Nothing was changed"
        )
    if not is_agreed:
        raise NotAgreed(records(changed))


def _refuse_several_for_one(inventory: Inventory, states: Mapping[str, HostState]) -> None:
    """Refuse numbers where one takes the place of several: the others run on by theirs."""
    for each in successions(inventory, states):
        if each.others:
            raise UserError(
                f"{each.host} is to take the place of one of several instances on {each.machine}, "
                f"and {', '.join(one or 'the plain bot' for one in each.others)} would run beside "
                "it by an old number. Nothing was changed. First go down to one instance on each "
                "machine (canary with the former inventory, then retire the others), and change "
                "the form with the next release"
            )


def whole_step(facts: Facts, ring: Ring) -> Decision | None:
    """Say what is due first in a ring that renumbers: nothing runs by two numberings for long.

    None where all of its hosts stand alike, or are on their way there.
    """
    if not ring.renumbers or facts.has_passed(ring.name):
        return None
    views = facts.views(ring.name)
    away = [name for name, view in views.items() if view.standing is Standing.AWAY]
    lapsed = [name for name, view in views.items() if view.standing is Standing.LAPSED]
    holding = tuple(name for name, view in views.items() if view.standing in HOLDING)
    pending = any(views[name].standing is Standing.PENDING for name in holding)
    if (lapsed and holding) or (away and pending):
        why = f"instances that change their numbers stay together ({facts.whys(lapsed or away)})"
        return Revert(holding, why, Blame.NOBODY)
    if away and not holding:
        why = f"every instance that changes its number must be reached ({facts.whys(away)})"
        return End(Result.UNREACHABLE, why, ring.name)
    if not holding and not facts.is_attended:
        why = f"{ring.name} changes the numbers of instances that run, and a person begins that"
        return Wait(Reason.RENUMBERS, why, ring.name)
    return None
