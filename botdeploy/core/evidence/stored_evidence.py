"""The stored form of evidence: one line of JSON that stays on its host, small and checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence.counts import Counts
from botdeploy.core.evidence.coverage import Coverage
from botdeploy.core.evidence.incidents import FirstSeen, Incident, incident_order
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.text.untrusted import LATEST_US, json_of, real, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from botdeploy.core.evidence.evidence import Evidence

VERSION = 1


def write(evidence: Evidence) -> str:
    """Write everything as one line of compact JSON, the same for the same evidence."""
    releases = sorted({key[0] for key in evidence.cells})
    names = sorted(
        {*evidence.first_seen, *(name for one in evidence.cells.values() for name in one.errors)}
    )
    release_at = {name: at for at, name in enumerate(releases)}
    name_at = {name: at for at, name in enumerate(names)}
    cells = [
        [
            release_at[name],
            start // evidence.bucket_us,
            part - start,
            counts.until_us - start,
            *_packed(counts, name_at),
        ]
        for (name, start, part), counts in sorted(evidence.cells.items())
    ]
    return json.dumps(
        {
            "v": VERSION,
            "host": evidence.host,
            "bucket_us": evidence.bucket_us,
            "releases": releases,
            "names": names,
            "cells": cells,
            "spans": evidence.coverage.opened,
            "seen": {
                name_at[name]: [
                    one.at_us,
                    one.release,
                    one.level,
                    int(one.is_fatal),
                    one.sample,
                ]
                for name, one in sorted(evidence.first_seen.items())
            },
            "incidents": [
                [
                    one.at_us,
                    one.release,
                    one.kind,
                    one.text,
                    one.fingerprint,
                    one.status,
                    one.count,
                ]
                for one in sorted(evidence.incident_set, key=incident_order)
            ],
            "reader": evidence.reader,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def read(text: str | bytes, make: Callable[..., Evidence]) -> Evidence:
    """Read what ``write`` wrote into what ``make`` gives; raises ValueError for anything else."""
    try:
        data = json_of(text, is_lenient=True)
        if data["v"] != VERSION:
            raise ValueError(f"evidence of version {data['v']} is not known here")
        _check_whole([data["bucket_us"]], least=1)
        out = make(data["host"], bucket_us=data["bucket_us"])
        releases, names = data["releases"], data["names"]
        for at, number, part, until, *packed in data["cells"]:
            _check_whole([number, part, until])
            start = number * out.bucket_us
            counts = _unpacked(packed, names)
            counts.until_us = start + until
            out.cells[releases[at], start, start + part] = counts
        out.coverage = Coverage(data["spans"])
        out.first_seen = {
            names[int(at)]: FirstSeen(when, release, level, bool(fatal), sample)
            for at, (when, release, level, fatal, sample) in data["seen"].items()
        }
        out.incident_set = {Incident(*one) for one in data["incidents"]}
        out.reader = data["reader"]
        _check(out)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"not evidence: {error!r}") from error
    return out


def _check(evidence: Evidence) -> None:
    """Raise ValueError or TypeError for what no reading of a journal can have told."""
    _check_types([evidence.host], str)
    _check_types([evidence.reader], dict)
    for (name, start, part), counts in evidence.cells.items():
        _check_types([name, *counts.errors], str)
        _check_whole([start, part, counts.until_us, *counts.errors.values()])
        _check_whole([counts.lines, counts.handled, counts.dropped, counts.probed])
        _check_whole([*counts.latency_bins.values(), *counts.system.values()])
        for value in (counts.latency_sum, counts.latency_squares, *counts.latency_bins):
            real(value)
    for begin, end in evidence.coverage.opened:
        _check_whole([begin, end])
    for name, first in evidence.first_seen.items():
        _check_types([name, first.release, first.sample], str)
        _check_whole([first.at_us, first.level])
    for one in evidence.incident_set:
        _check_types([one.release, one.kind, one.text, one.fingerprint], str)
        _check_whole([one.at_us, one.count, one.status or 0], least=-LATEST_US)


def _check_types(values: Iterable[object], kind: type) -> None:
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"{told(value)!r} is no {kind.__name__}")


def _check_whole(values: Iterable[object], least: int = 0) -> None:
    for value in values:
        if not isinstance(value, int) or not least <= value <= LATEST_US:
            raise ValueError(f"{told(value)!r} is no number that it can be")


def _packed(counts: Counts, name_at: Mapping[str, int]) -> list[Any]:
    packed: list[Any] = [
        counts.lines,
        counts.handled,
        [part for name, n in sorted(counts.errors.items()) for part in (name_at[name], n)],
        [counts.latency_sum, counts.latency_squares, *_run_of(counts.latency_bins)]
        if counts.latency_count
        else 0,
        {kind.value: n for kind, n in sorted(counts.system.items())} or 0,
        counts.dropped,
        counts.probed,
    ]
    while packed and not packed[-1]:
        packed.pop()
    return packed


def _unpacked(packed: list[Any], names: list[str]) -> Counts:
    packed = packed + [0] * (7 - len(packed))
    counts = Counts(lines=packed[0], handled=packed[1], dropped=packed[5], probed=packed[6])
    errors = packed[2] or []
    counts.errors = {names[errors[at]]: errors[at + 1] for at in range(0, len(errors), 2)}
    if packed[3]:
        counts.latency_sum, counts.latency_squares = packed[3][:2]
        counts.latency_bins = _bins_of(packed[3][2:])
        counts.latency_count = sum(counts.latency_bins.values())
    if packed[4]:
        counts.system = {SystemKind(kind): n for kind, n in packed[4].items()}
    return counts


def _run_of(bins: Mapping[int, int]) -> list[int]:
    """Write bins as: first number, then the count of each bin, minus for empty ones in a row."""
    if not bins:
        return []
    first = min(bins)
    out = [first]
    empty = 0
    for number in range(first, max(bins) + 1):
        count = bins.get(number, 0)
        if count == 0:
            empty += 1
            continue
        if empty:
            out.append(-empty)
            empty = 0
        out.append(count)
    return out


def _bins_of(run: list[int]) -> dict[int, int]:
    bins: dict[int, int] = {}
    if not run:
        return bins
    number = run[0]
    for one in run[1:]:
        if one < 0:
            number -= one
        else:
            bins[number] = one
            number += 1
    return bins
