"""Ansible's tree of groups: who is in which, and whose variables win."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdeploy.inventory.host_range import MOST_HOSTS
from botdeploy.inventory.pattern import ALL, UNGROUPED
from botdeploy.inventory.similar_names import suspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.inventory.located import Located, Place
    from botdeploy.inventory.similar_names import Suspect

PRIORITY = "ansible_group_priority"

Variables = dict[str, "Located"]


@dataclass(slots=True, eq=False)
class Group:
    """A group as the inventory files state it."""

    name: str
    hosts: dict[str, None] = field(default_factory=dict)
    """Its own hosts, in the order in which they were stated."""
    children: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    variables: Variables = field(default_factory=dict)
    priority: int = 1
    depth: int = 0


@dataclass(slots=True, eq=False)
class GroupHost:
    """A host as the inventory files state it."""

    name: str
    place: Place
    variables: Variables = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    """Every group it is in, directly or through a child, nearest to ``all`` first."""


class GroupTree:
    """The groups and hosts of an inventory, as its files are read."""

    def __init__(self) -> None:
        """Begin with the two groups that are always there."""
        self.groups: dict[str, Group] = {ALL: Group(ALL), UNGROUPED: Group(UNGROUPED)}
        self.members: dict[str, GroupHost] = {}
        self.suspects: list[Suspect] = []
        """Variables whose names are nearly one of ours."""
        self._link(ALL, UNGROUPED)

    def group(self, name: str) -> Group:
        """Look a group up, or add it."""
        return self.groups.setdefault(name, Group(name))

    def add_host(self, group: str, name: str, place: Place) -> GroupHost:
        """Put a host into a group; adding it again changes nothing."""
        self.group(group).hosts[name] = None
        if name not in self.members:
            if len(self.members) >= MOST_HOSTS:
                raise place.fault(f"there are more than {MOST_HOSTS} hosts", group)
            self.members[name] = GroupHost(name, place)
        return self.members[name]

    def add_child(self, parent: str, child: str, place: Place) -> None:
        """Put a group into a group; raises InventoryError when that makes a circle."""
        if child == ALL:
            raise place.fault("the group 'all' cannot be a child", parent)
        if parent == child or child in self._above(parent):
            raise place.fault(f"the groups '{parent}' and '{child}' contain each other", child)
        self._link(parent, child)

    def set_variable(self, group: str, name: str, value: Located, place: Place) -> None:
        """Set a group's variable; ``ansible_group_priority`` sets the group's rank instead."""
        if name != PRIORITY:
            self.look_at(name, value, place)
            self.group(group).variables[name] = value
            return
        try:
            self.group(group).priority = int(value.value)
        except (TypeError, ValueError, OverflowError):
            value.fail("must be a whole number", name)

    def set_host_variable(self, member: GroupHost, name: str, value: Located, place: Place) -> None:
        """Set a host's variable."""
        self.look_at(name, value, place)
        member.variables[name] = value

    def look_at(self, name: str, value: Located, place: Place) -> None:
        """Note a variable whose name is nearly one of ours."""
        if (found := suspect(name, value, place)) is not None:
            self.suspects.append(found)

    def complete(self) -> None:
        """Apply Ansible's rules: all holds every group, ungrouped every host without one."""
        for group in list(self.groups.values()):
            if group.name != ALL and not group.parents:
                self._link(ALL, group.name)
        direct: dict[str, list[str]] = {name: [] for name in self.members}
        for group in self.groups.values():
            for host in group.hosts:
                direct[host].append(group.name)
        ungrouped = self.groups[UNGROUPED].hosts
        for host, inside in direct.items():
            if set(inside) <= {ALL, UNGROUPED}:
                if host not in ungrouped:
                    ungrouped[host] = None
                    inside.append(UNGROUPED)
            elif host in ungrouped:
                del ungrouped[host]
                inside.remove(UNGROUPED)
        self._rank()
        for host, inside in direct.items():
            names = set(inside).union(*(self._above(name) for name in inside))
            ranked = sorted((self.groups[name] for name in names), key=rank)
            self.members[host].groups = [group.name for group in ranked]

    def hosts_of(self, group: str) -> list[str]:
        """List a group's hosts: its own, then its children's, level by level, as Ansible does."""
        found = dict.fromkeys(
            host for name in self._below(group) for host in self.groups[name].hosts
        )
        return list(found)

    def _link(self, parent: str, child: str) -> None:
        if child not in self.group(parent).children:
            self.group(parent).children.append(child)
            self.group(child).parents.append(parent)

    def _above(self, name: str) -> set[str]:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            for parent in self.group(waiting.pop()).parents:
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)
        return seen

    def _below(self, name: str) -> Iterator[str]:
        seen: dict[str, None] = {name: None}
        level = [name]
        while level:
            yield from level
            following = dict.fromkeys(
                child for group in level for child in self.groups[group].children
            )
            level = [child for child in following if child not in seen]
            seen.update(dict.fromkeys(level))

    def _rank(self) -> None:
        """Set each group's depth: the longest way down to it from ``all``."""
        waiting = [ALL]
        while waiting:
            group = self.groups[waiting.pop()]
            for child in group.children:
                if self.groups[child].depth <= group.depth:
                    self.groups[child].depth = group.depth + 1
                    waiting.append(child)


def rank(group: Group) -> tuple[int, int, str]:
    """Order groups as Ansible merges their variables: the last one wins."""
    return (group.depth, group.priority, group.name)
