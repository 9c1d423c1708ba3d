"""The ``state`` record of a host's program, read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdeploy.core.host.host_state import (
    Approval,
    HostState,
    LockHolder,
    Phase,
    Predecessor,
    RefusedError,
    RolloutRecord,
    StagedRelease,
    StandingInstance,
    Switch,
    microseconds,
)
from botdeploy.core.host.running import unit_of
from botdeploy.core.text.untrusted import LATEST_US, instant, object_of, real, time_of, told, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

LONGEST_S = 10_000_000_000
"""Three hundred years: no machine runs, and no lease lasts, for longer."""


def from_record(record: Mapping[str, Any]) -> HostState:
    """Read the ``state`` record of a host's program; unknown fields are left out.

    Raises ValueError for a record that is not of this form.
    """
    try:
        return _from_record(record)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ValueError(f"the host's state record is damaged: {error}") from error


def _from_record(record: Mapping[str, Any]) -> HostState:
    phase = record.get("phase")
    lock = record.get("lock")
    rollout = record.get("rollout")
    hold = record.get("hold")
    return HostState(
        current=told(record.get("current", "")),
        previous=told(record.get("previous", "")),
        unit=unit_of(record),
        active_since_us=whole(record.get("active_since_us", 0), most=LATEST_US),
        uptime_s=whole(record.get("uptime_s", 0), most=LONGEST_S),
        boot_id=told(record.get("boot_id", "")),
        at=time_of(record.get("at")),
        is_prepared=bool(record.get("prepared", False)),
        switch=None if not phase else _switch(phase),
        releases=tuple(_staged(one) for one in record.get("releases", ())),
        rendered=tuple(told(one) for one in record.get("rendered") or ()),
        quarantine={told(key): told(why) for key, why in (record.get("quarantine") or {}).items()},
        refused=tuple(_refused(record.get("refused") or ())),
        switches=tuple(
            (whole(at_us, most=LATEST_US), told(release))
            for at_us, release in record.get("switches") or ()
        ),
        lock=None if not lock else lock_holder(lock),
        rollout=None
        if not rollout
        else RolloutRecord(
            **{
                name: (_time if name in {"since", "ended"} else told)(rollout.get(name) or "")
                for name in RolloutRecord.__dataclass_fields__
            }
        ),
        approvals=tuple(
            Approval(told(one.get("release")), told(one.get("ring")), at=_time_of(one.get("at")))
            for one in record.get("approved") or ()
        ),
        hold=_hold(hold),
        stuck=told(record.get("stuck") or ""),
        instance=told(record.get("instance") or ""),
        machine=told(record.get("machine") or ""),
        trees=tuple(told(one) for one in record.get("trees") or ()),
        standing=tuple(
            StandingInstance(
                *(told(one.get(name, "")) for name in StandingInstance.__dataclass_fields__)
            )
            for one in record.get("standing") or ()
        ),
        before=_predecessor(record.get("before")),
    )


def _staged(one: Mapping[str, Any]) -> StagedRelease:
    return StagedRelease(
        told(one["id"]),
        told(one.get("digest", "")),
        bool(one.get("proven")),
        told(one.get("proven_in", "")),
        _time_of(one.get("proven_at")),
        told(one.get("tree")),
        told(one.get("numbers", "")),
        told(one.get("recipe", "")),
    )


def _predecessor(record: Mapping[str, Any] | None) -> Predecessor | None:
    if not record:
        return None
    fields = Predecessor.__dataclass_fields__
    return Predecessor(*(told(record.get(name, "")) for name in fields))


def _refused(lines: Iterable[Any]) -> Iterator[RefusedError]:
    """Read what stands below the reason in the files of the quarantine; skip what is damaged."""
    for line in lines:
        try:
            one = object_of(str(line))
            yield RefusedError(
                told(one["fingerprint"]), told(one.get("text")), told(one.get("release"))
            )
        except (ValueError, KeyError):
            continue


def _hold(hold: Any) -> str:
    if not hold:
        return ""
    if isinstance(hold, str):
        return told(hold)
    why = f": {hold['why']}" if hold.get("why") else ""
    return told(f"{hold.get('who') or 'somebody'} since {hold.get('at') or 'some time'}{why}")


def _switch(record: Mapping[str, Any]) -> Switch:
    return Switch(
        phase=Phase(record["phase"]),
        try_id=told(record.get("run", "")),
        new=told(record.get("new", "")),
        old=told(record.get("old", "")),
        by=told(record.get("by", "")),
        why=told(record.get("why", "")),
        cause=told(record.get("cause", "")),
        armed_us=microseconds(time_of(record.get("armed"))),
        age_s=real(record.get("ran_s", record.get("age_s")) or 0, most=LONGEST_S),
        is_steady="ran_s" in record,
        lease_left_s=whole(record.get("lease_left_s") or 0, most=LONGEST_S),
        earlier=told(record.get("earlier", "")),
        unit=told(record.get("unit", "")),
        release=told(record.get("release", "")),
        numbers=told(record.get("numbers", "")),
    )


def lock_holder(record: Mapping[str, Any]) -> LockHolder:
    """Read the ``lock`` part of a record."""
    return LockHolder(
        id=told(record.get("id", "")),
        owner=told(record.get("owner", "")),
        kind=told(record.get("kind", "")),
        why=told(record.get("why", "")),
        since=_time(record.get("since")),
    )


def _time(value: object) -> str:
    """Give a time that is only told, never reckoned with; empty for one that is none."""
    try:
        return instant(value)
    except ValueError:
        return ""


def _time_of(value: object) -> datetime | None:
    return time_of(_time(value))
