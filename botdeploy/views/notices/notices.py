"""Notices to the team about a rollout, and to the bot's users about a ring, through Apprise."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botdeploy.core.events import Event, Kind
from botdeploy.core.verdict import Outcome
from botdeploy.errors import ExitCode, UserError
from botdeploy.inventory import announce
from botdeploy.views.notices.channel import Channel, Message, Severity, Timing
from botdeploy.views.notices.text import compose, harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.model.policy import Ring
    from botdeploy.views.notices.repeat_filter import RepeatFilter

    ReadUrl = Callable[[str], str]

_SENT = frozenset(
    (Kind.ROLLOUT_STARTED, Kind.VERDICT, Kind.PROMOTED, Kind.REVERTED, Kind.HOST_FAILED)
)
_CHANGES = frozenset((Kind.STAGED, Kind.SWITCHED, Kind.VERDICT, Kind.PROMOTED, Kind.REVERTED))


@dataclass(frozen=True, slots=True)
class NotedRun:
    """The command whose notices are sent."""

    is_attended: bool
    who: str = ""
    changes: Mapping[str, str] = field(default_factory=dict)
    """Its ``--set`` values, for announcements."""
    is_rollback: bool = False


class Notices:
    """Listens to a command's events. Never raises, never waits but in ``close``.

    A run with a person in front of it tells its start and its end. One of cron's tells only what
    it did, and otherwise a trouble once, not at every tick.
    """

    def __init__(
        self,
        inventory: Inventory,
        read_url: ReadUrl,
        mask: Callable[[str], str],
        repeats: RepeatFilter,
        run: NotedRun,
        timing: Timing | None = None,
    ) -> None:
        """Prepare channels; nothing is read or reached before there is something to tell.

        ``read_url`` gives the URL that a value of ``notify`` or ``to`` is or refers to; it is
        called in the channel's own thread, and raises UserError.
        """
        self.failures: list[str] = []
        """What could not be told, and why, in words without tokens; complete after ``close``."""
        self._timing = timing or Timing()
        self._repeats = repeats
        self._run = run
        self._waiting: list[Event] = []
        self._waits: Event | None = None
        self._has_begun = False
        self._was_reverted = False
        self._about: Event | None = None
        bot = inventory.bot_name

        def to_team(events: Sequence[Event]) -> Message:
            return compose(bot, events, mask)

        self._team: list[Channel[Event]] = [
            Channel(name, _reader(read_url, value), to_team, self._timing)
            for name, value in _named("rollout.notify", inventory.policy.notify)
        ]
        self._announcements = Announcements(
            inventory, read_url, run, self._timing, self.failures.append, mask
        )

    def __call__(self, event: Event) -> None:
        """Take one event; a bug in here costs a notice, not the rollout."""
        try:
            self._take(event)
            self._announcements(event)
        except Exception as error:  # noqa: BLE001 (see above)
            self.failures.append(f"a notice of {event.kind.value}: {type(error).__name__}")

    def close(self) -> list[str]:
        """Wait a few seconds at most for what is under way; gives the failures. Repeatable."""
        channels: list[Channel[Any]] = [*self._team, *self._announcements.channels]
        for channel in channels:
            channel.finish()
        deadline = time.monotonic() + self._timing.last_s
        for channel in channels:
            failure = channel.failure(deadline)
            if failure is not None and failure not in self.failures:
                self.failures.append(failure)
        return self.failures

    def _take(self, event: Event) -> None:
        if event.release is not None:
            self._about = event
        match event.kind:
            case Kind.WAITING:
                self._waits = event  # the outcome follows at once and says it with what to type
            case Kind.OUTCOME:
                self._end(event)
            case Kind.ROLLOUT_STARTED if not self._run.is_attended:
                pass  # every tick of cron's begins with it
            case _:
                is_start = event.kind is Kind.ROLLOUT_STARTED
                self._has_begun = self._has_begun or is_start or event.kind in _CHANGES
                self._was_reverted = self._was_reverted or event.kind is Kind.REVERTED
                if event.kind in _SENT:
                    self._waiting.append(event)
                if self._has_begun:
                    self._send(self._waiting)
                    self._waiting = []

    def _end(self, event: Event) -> None:
        """Tell how it ended, unless nothing happened or it was told before."""
        code = ExitCode(int(event.data["code"]))
        waits = str(self._waits.data.get("reason", "")) if self._waits is not None else ""
        ring = self._waits.ring if self._waits is not None else None
        about = self._about
        needs_person = code is not ExitCode.DONE or waits in ("gate", "hold")
        what = " ".join((about.rollout or "" if about else "", waits or str(int(code)), ring or ""))
        if not needs_person:
            self._repeats.forget()
        if not (
            self._has_begun or (not self._run.is_attended and self._is_news(code, what, event))
        ):
            return
        if needs_person:
            self._repeats.remember(what, event.at)
        end = Event(
            Kind.OUTCOME,
            event.at,
            event.environment,
            rollout=about.rollout if about else None,
            release=about.release if about else None,
            ring=ring,
            data={
                **event.data,
                "waits": waits,
                "was_reverted": self._was_reverted,
                "by": self._run.who,
            },
        )
        self._send([*self._waiting, end])

    def _is_news(self, code: ExitCode, what: str, event: Event) -> bool:
        """Tell whether a tick of cron's that did nothing met a trouble worth a notice."""
        if code in (ExitCode.DONE, ExitCode.LOCKED):
            return False  # two cron jobs that meet are no news
        if code is ExitCode.HELD and not self._repeats.can_remember:
            return False  # it would be told at every tick
        return not self._repeats.is_known(what, event.at)

    def _send(self, events: Sequence[Event]) -> None:
        for channel in self._team:
            for event in events:
                channel.put(event)


class Announcements:
    """Tells the bot's users when their ring begins, has passed, or has its release taken back."""

    def __init__(
        self,
        inventory: Inventory,
        read_url: ReadUrl,
        run: NotedRun,
        timing: Timing,
        failed: Callable[[str], None],
        mask: Callable[[str], str],
    ) -> None:
        """Prepare a channel for each URL of each ring that announces something."""
        self._inventory = inventory
        self._run = run
        self._failed = failed
        self._mask = mask
        self._done: set[tuple[str, str]] = set()
        self._taken_back: dict[str, Event] = {}
        """Of each ring the first event that tells it of its release; told when the command ends."""
        self._back: set[str] = set()
        """Hosts that went back from the release for good."""
        self._has_failed = False
        """Whether this command found the fault, and not one before it."""
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._own: dict[str, str] = {}
        """Of hosts that change their numbers, all at once: the ring that each is in otherwise."""
        self._channels: dict[str, list[Channel[str]]] = {}
        for index, ring in enumerate(inventory.policy.rings):
            if not ring.announce:
                continue
            key = f"rollout.rings[{index}].announce.to" if ring.announce_to else "rollout.notify"
            self._channels[ring.name] = [
                Channel(f"{name}, announcing", _reader(read_url, value), _joined, timing)
                for name, value in _named(key, ring.announce_to or inventory.policy.notify)
            ]

    @property
    def channels(self) -> list[Channel[str]]:
        """All channels, of all rings."""
        return [one for channels in self._channels.values() for one in channels]

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event.kind:
            case Kind.ROLLOUT_STARTED:
                self._begin(event)
            case Kind.SWITCHED:
                ring = event.ring or ""
                self._announce(event, self._own.get(event.host or "", ring), "begin")
            case Kind.PROMOTED:
                # A ring has passed when those of its hosts have that change their numbers, too.
                own = set(self._own.values())
                for ring in sorted(own) if self._is_last(event.ring) else {event.ring or ""} - own:
                    self._announce(event, ring, "end")
            case Kind.REVERTED:
                self._went_back(event)
            case Kind.VERDICT if event.data.get("outcome") == Outcome.FAIL:
                self._has_failed = True
                self._taken_back.setdefault(event.ring or "", event)
            case Kind.OUTCOME:
                self._end(ExitCode(int(event.data["code"])))
            case _:
                return

    def _ring_of(self, event: Event) -> str:
        """Name the ring of a host that went back: a rollback's event tells none."""
        host = event.host or ""
        rings = self._inventory.policy.rings
        found = event.ring or next((one.name for one in rings if host in one.hosts), "")
        return self._own.get(host, found)

    def _went_back(self, event: Event) -> None:
        """Keep what is for good: no lease's end, no start again, no leftover of a rollout before.

        What a release did that was not ready, or did not stay, its host tells itself.
        """
        is_leftover = event.rollout is None and not self._run.is_rollback
        if event.is_tried_again or is_leftover or event.data.get("to") == event.release:
            return
        self._has_failed = self._has_failed or event.data.get("by") == "host"
        self._back.add(event.host or "")
        self._taken_back.setdefault(self._ring_of(event), event)

    def _end(self, code: ExitCode) -> None:
        """Announce what was taken back; who is interrupted before leaves it to the next command.

        Where an earlier one found the fault, it has told each ring of which a host went back.
        """
        for ring, event in self._taken_back.items():
            hosts = self._hosts.get(ring, ())
            is_left = code is ExitCode.INTERRUPTED and self._back.isdisjoint(hosts)
            is_news = not is_left and (self._has_failed or self._back.issuperset(hosts))
            if self._run.is_rollback or (is_news and (ring, "begin") in self._done):
                self._announce(event, ring, "failed")

    def _begin(self, event: Event) -> None:
        rows = event.data.get("renumbers", ())
        self._own = {one["host"]: one["ring"] for one in rows if one.get("ring")}
        self._hosts = {}
        for one in event.data["rings"]:
            name = one["name"]
            for host in one["hosts"]:
                ring = self._own.get(host, name)
                self._hosts[ring] = (*self._hosts.get(ring, ()), host)
            rings = {self._own.get(host, name) for host in one["hosts"]} or {name}
            # What an earlier run of this rollout announced is not announced again.
            self._done |= {(ring, "begin") for ring in rings if one.get("begun")}
            if one.get("passed") and name not in self._own.values():
                self._done |= {(ring, "end") for ring in rings}

    def _is_last(self, ring: str | None) -> bool:
        """Tell whether a ring is the one that changes numbers, which comes behind all others."""
        return bool(self._own) and ring not in {one.name for one in self._inventory.policy.rings}

    def _announce(self, event: Event, name: str, moment: str) -> None:
        ring = next((one for one in self._inventory.policy.rings if one.name == name), None)
        if ring is None or (name, moment) in self._done:
            return
        self._done.add((name, moment))
        text = ring.announce.get(moment)
        if not text:
            return
        try:
            announcement = announce.render(text, self._known(event, ring))
        except UserError as error:
            self._failed(f"announce.{moment} of ring {name}: {error}")
            return
        for channel in self._channels[name]:
            if announcement:
                channel.put(harmless(self._mask(announcement)))

    def _known(self, event: Event, ring: Ring) -> dict[str, object]:
        names = self._hosts.get(ring.name) or ((event.host,) if event.host else ())
        by_name = {host.name: host for host in self._inventory.hosts}
        hosts = [by_name[name] for name in names if name in by_name]
        return announce.values(
            bot=self._inventory.bot_name,
            environment=self._inventory.environment,
            ring=ring.name,
            release=event.release or "",
            hosts=hosts,
            env=announce.env_of(ring, hosts or self._inventory.hosts) | dict(self._run.changes),
        )


def _joined(texts: Sequence[str]) -> Message:
    return Message("", "\n\n".join(texts), Severity.INFO)


def _named(key: str, values: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"{key}[{index}]", value) for index, value in enumerate(values)]


def _reader(read_url: ReadUrl, value: str) -> Callable[[], str]:
    return lambda: read_url(value)
