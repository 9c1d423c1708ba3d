"""Ansible's host patterns: ``web*``, ``group:&other``, ``!host``, ``~regex``, ``group[0:2]``."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING

from botdeploy.errors import UserError
from botdeploy.inventory import regex_timeout
from botdeploy.inventory.host_range import is_host_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ALL = "all"
UNGROUPED = "ungrouped"
"""Ansible's two standing groups."""

_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]{1,9})|([0-9]{1,9}):([0-9]{0,9}))\]")
_DASH = re.compile(r"(.+)\[([0-9]+)-([0-9]*)\]")
_TERM = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_WILD = frozenset(".?*[")
_SIGNS = "&!"
_ADDRESSES = re.compile(r"(?i)(?=.*::)[0-9a-f:.*?\[\]-]+")
_INSTANCE = re.compile(r"/[^\s:/]*$")


@dataclass(frozen=True, slots=True)
class Names:
    """What patterns are matched against: hosts in inventory order, and each group's hosts."""

    hosts: Sequence[str]
    groups: Mapping[str, Sequence[str]]
    several: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Hosts that stand for several instances: only their exact name means them all."""

    def match(self, pattern: str) -> tuple[str, ...]:
        """List the hosts that a pattern means, in inventory order; there may be none.

        Raises UserError for a pattern that cannot be read or whose subscript is out of range.
        """
        terms = split(pattern)
        chosen: set[str] = set()
        plain = [term for term in terms if term[0] not in "&!"]
        for term in plain or [ALL]:
            chosen.update(self._host(term) or self._one(term))
        for term in terms:
            if term[0] == "&":
                chosen.intersection_update(self._one(term[1:]))
        for term in terms:
            if term[0] == "!":
                chosen.difference_update(self._one(term[1:]))
        return tuple(host for host in self.hosts if host in chosen)

    def _host(self, term: str) -> Sequence[str]:
        """Give the host, or its instances, that a term names, whatever group has that name too."""
        if term == ALL:
            return ()
        return [term] if term in self.hosts else self.several.get(term, ())

    def _one(self, term: str) -> list[str]:
        """Match one term, in the order that its subscript counts in."""
        if not term:
            raise UserError("a host pattern has nothing behind its '!' or '&'")
        if term[0] == "~":
            return self._enumerate(term)
        _refuse_dash(term)
        match = _SUBSCRIPT.fullmatch(term)
        if match is None:
            return self._enumerate(term)
        found = self._enumerate(match[1])
        if match[2] is None:
            begin, end = int(match[3]), int(match[4] or len(found))
            return found[begin : end + 1]
        if not found:
            return []
        try:
            return [found[int(match[2])]]
        except IndexError:
            raise UserError(
                f"the host pattern '{term}' is out of range: {match[1]} has {len(found)} hosts"
            ) from None

    def _enumerate(self, term: str) -> list[str]:
        test = _tester(term)
        groups = [name for name in self.groups if test(name)]
        if term == ALL:
            groups = [ALL]
        found = [host for name in groups for host in self.groups.get(name, ())]
        if term == ALL:
            found = list(self.hosts)
        found.extend(self.several.get(term, ()))
        if not groups or term[0] == "~" or _WILD.intersection(term):
            found.extend(host for host in self.hosts if test(host))
        return list(dict.fromkeys(found))


def _refuse_dash(term: str) -> None:
    """Refuse ``web[1-2]``: a range of members in Ansible, but a wildcard to everyone else."""
    match = _DASH.fullmatch(term)
    if match is not None:
        base, begin, end = match.groups()
        raise UserError(
            f"the host pattern '{term}' may mean two things: write {base}[{begin}:{end}] for hosts "
            f"of '{base}' by their place, from 0, or a regular expression such as "
            f"'~name[{begin}-{end}]$' for names"
        )


def split(pattern: str) -> list[str]:
    """Split a pattern at commas, or else at colons that are not part of a range or address.

    Raises UserError for an empty pattern, and for one that separates in both ways: between
    commas Ansible takes ``web:!w3`` for one name, which nothing has.
    """
    if "," in pattern:
        terms = [term.strip() for term in pattern.split(",")]
    elif _is_address(pattern.strip()):
        terms = [pattern.strip()]
    else:
        terms = _TERM.findall(pattern)
    found = [term for term in terms if term]
    if not found:
        raise UserError(f"the host pattern {pattern!r} is empty")
    for term in found:
        if not (_TERM.fullmatch(term) or _is_address(term) or term.lstrip(_SIGNS)[:1] == "~"):
            raise UserError(
                f"the host pattern '{pattern}' separates by ',' and otherwise in '{term}'; "
                "write ',' between all names"
            )
    return found


def _is_address(term: str) -> bool:
    """Tell whether colons in a term are an address's: one host's, its instance's, or a wildcard."""
    name = _INSTANCE.sub("", term.lstrip(_SIGNS))
    return is_host_name(name) or _ADDRESSES.fullmatch(name) is not None


def _tester(term: str) -> Callable[[str], object]:
    if term[0] == "~":
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                re.compile(term[1:])
        except (re.error, OverflowError, RecursionError) as error:
            raise UserError(
                f"the host pattern '{term}' is no regular expression: {error}"
            ) from None
        return lambda name: _matches(term, name)
    return lambda name: fnmatchcase(name, term)


def _matches(term: str, name: str) -> bool:
    try:
        return regex_timeout.match(term[1:], name) is not None
    except regex_timeout.TooLongError as error:
        raise UserError(f"the host pattern '{term}': {error}") from None


def names_of(
    hosts: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    several: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Names:
    """Put Ansible's two standing groups beside an inventory's own."""
    return Names(hosts, {ALL: hosts, UNGROUPED: (), **groups}, several)


def why_none(pattern: str, every: Names, left_out: Mapping[str, str]) -> str:
    """Say why a pattern means no host, where one that it means is no part of the environment."""
    out = next((host for host in every.match(pattern) if host in left_out), None)
    return "" if out is None else f": '{out}' is no part of it, because {left_out[out]}"
