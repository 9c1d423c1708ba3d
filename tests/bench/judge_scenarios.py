"""Simulated fleets: what hosts of a bot print in quiet and rough scenarios, good or faulty.

Written for these measurements alone: minutes of counts, not lines. Each run has its own seed.
There are two worlds. In the first a burst of errors lies within a minute, and minutes are alike but
for outages and incidents. In the second (``in_second_world``) minutes are correlated, as a rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

Floats = Any
Ints = Any
"""Arrays; numpy is not installed where types are checked."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """How a fleet behaves while nothing is wrong with the release."""

    rate: float = 10.0
    """Events a minute and host, on the mean."""
    hosts: int = 6
    past: int = 720
    """Minutes of history."""
    watch: int = 60
    errors: float = 0.02
    """Errors an event."""
    burst: float = 3.0
    """Mean lines of an error, geometric."""
    host_sd: float = 0.4
    """Spread of the hosts' error rates (log-normal)."""
    drift: float = 0.15
    """How far a host's error rate is from its own past when the watch begins."""
    share_sd: float = 0.4
    """Spread of the hosts' traffic."""
    day: float = 0.5
    """Amplitude of the daily rhythm."""
    outages: float = 1 / 6
    """Outages of the whole fleet an hour: errors times 15 for 5 minutes."""
    incidents: float = 1.0
    """Incidents a host and day: errors times 15 for 3 minutes."""
    unseen: float = 0.5
    """Errors never seen before a host and day."""
    noise: float = 3.0
    """Bursts of errors that a start prints, on the mean."""
    wander: float = 0.05
    """How far a host's latency strays by itself (log; memory of half an hour)."""
    fleet_wander: float = 0.15
    """The same for the latency of the whole fleet."""
    latency_sd: float = 0.6
    host_wander: float = 0.0
    """How far a host's error rate strays by itself from hour to hour (log; memory of 3 hours)."""
    traffic_variance: float = 0.0
    """Variance of traffic that comes in crowds, as a share of its mean squared."""
    incident_min: float = 0.0
    """Mean length of incidents that end by chance; 0: all last 3 minutes."""
    kinds: int = 6
    """Known kinds of errors; the k-th comes 1/k as often as the first."""
    spread_min: float = 0.0
    """Minutes over which the lines of a burst are spread; 0: all lie in one minute."""
    companions: float = 0.0
    """Other errors that one never seen before brings, and times that each returns, on the mean."""
    shock: float = 0.0
    """What an outage of the fleet adds to the log-latency, more or less on each host."""


REAL = Scenario()
IDEAL = Scenario(
    burst=1.0,
    host_sd=0.0,
    drift=0.0,
    day=0.0,
    outages=0.0,
    incidents=0.0,
    unseen=0.0,
    noise=0.0,
    wander=0.0,
    fleet_wander=0.0,
)
NASTY = Scenario(burst=10.0, incidents=6.0, host_sd=0.8, drift=0.3)
OTHER = Scenario(
    burst=5.0,
    drift=0.2,
    host_wander=0.3,
    traffic_variance=0.1,
    incidents=2.0,
    incident_min=8.0,
    wander=0.1,
)
"""Another kind of roughness, which nothing in the judge was tuned on."""


def in_second_world(scenario: Scenario) -> Scenario:
    """Give a scenario other habits, with the same parameters."""
    return replace(scenario, spread_min=3.0, companions=1.0, shock=0.7, traffic_variance=0.15)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the release."""

    errors: float = 1.0
    """Ratio of its error rate to the old one."""
    is_one_kind: bool = False
    new: float = 0.0
    """A new error, so many times a minute."""
    traffic: float = 1.0
    slow: float = 1.0
    """Ratio of its latency to the old one."""
    outage: int = 0
    """Minutes of an outage of the whole fleet in this very watch (no fault of the release)."""


@dataclass(slots=True)
class Run:
    """One fleet over its past and its watch; host 0 is the canary."""

    scenario: Scenario
    events: Ints
    """Host by minute."""
    errors: Ints
    """Host by minute by kind."""
    unseen: list[tuple[int, int, int]]
    """(minute, host, kind) of errors that are in no past but this, in order."""
    work: Floats
    """Host by minute: sums of log-latencies, one for each event."""
    squares: Floats


def simulate(scenario: Scenario, fault: Fault, seed: tuple[int, ...]) -> Run:
    """Let a fleet live for its past and its watch."""
    rng = np.random.default_rng(seed)
    hosts, past = scenario.hosts, scenario.past
    minutes = past + scenario.watch
    time = np.arange(minutes)
    share = np.exp(rng.normal(0.0, scenario.share_sd, hosts))
    share /= share.mean()
    day = 1.0 + scenario.day * np.sin(2.0 * np.pi * (time / 1440.0 + rng.random()))
    mean = scenario.rate * share[:, None] * day[None, :]
    mean[0, past:] *= fault.traffic
    if scenario.traffic_variance:
        mean = mean * rng.gamma(
            1.0 / scenario.traffic_variance, scenario.traffic_variance, mean.shape
        )
    events = rng.poisson(mean)

    level = np.repeat(np.exp(rng.normal(0.0, scenario.host_sd, hosts))[:, None], minutes, axis=1)
    level[:, past:] *= np.exp(rng.normal(0.0, scenario.drift, hosts))[:, None]
    if scenario.host_wander:
        level = level * np.exp(_stray(rng, (hosts, minutes), scenario.host_wander, 180.0))
    outages = _raise(level, rng, scenario.outages / 60.0, 5.0)
    for host in range(hosts):
        _raise(level[host], rng, scenario.incidents / 1440.0, 3.0, scenario.incident_min)
    if fault.outage:
        begin = past + 3 + int(rng.integers(0, 15))
        level[:, begin : begin + fault.outage] *= 15.0
        outages.append((begin, begin + fault.outage))

    weights = 1.0 / np.arange(1, scenario.kinds + 1)
    weights /= weights.sum()
    ratio = np.ones((hosts, minutes, scenario.kinds))
    if fault.is_one_kind:
        ratio[0, past:, 1] = fault.errors
    else:
        ratio[0, past:, :] = fault.errors
    usual = events * scenario.errors / scenario.burst * level
    bursts = rng.poisson(usual[:, :, None] * weights * ratio)
    noise = np.zeros_like(bursts)
    for _ in range(rng.poisson(scenario.noise)):
        noise[0, past + int(1.5 * rng.random()), rng.integers(scenario.kinds)] += 1
    if scenario.spread_min:
        errors = _spread(_lines(rng, bursts, scenario.burst), rng, scenario.spread_min)
        errors += _lines(rng, noise, scenario.burst)
    else:
        errors = _lines(rng, bursts + noise, scenario.burst)

    unseen: list[tuple[int, int, int]] = []
    for host in range(hosts):
        many = rng.poisson(scenario.unseen / 1440.0 * minutes)
        unseen += [(int(at), host, -1) for at in rng.random(many) * minutes]
    unseen = [(at, host, number) for number, (at, host, _) in enumerate(sorted(unseen))]
    if scenario.companions:
        unseen = _accompanied(unseen, rng, scenario.companions, minutes)
    if fault.new:
        many = rng.poisson(fault.new * scenario.watch)
        unseen += [(past + int(at), 0, 10**6) for at in rng.random(many) * scenario.watch]

    centre = rng.normal(5.0, 0.3, hosts)[:, None] + _stray(rng, (1, minutes), scenario.fleet_wander)
    centre = centre + _stray(rng, (hosts, minutes), scenario.wander)
    centre[0, past:] += np.log(fault.slow)
    if scenario.shock:
        for since, until in outages:
            struck = scenario.shock * np.exp(rng.normal(0.0, 0.3, hosts))
            centre[:, max(0, int(since)) : max(0, int(np.ceil(until)))] += struck[:, None]
    spread = scenario.latency_sd
    work = events * centre + rng.standard_normal((hosts, minutes)) * spread * np.sqrt(events)
    inner = rng.chisquare(np.maximum(1, events - 1)) * spread**2 * (events > 1)
    squares = np.divide(work**2, events, out=np.zeros_like(work), where=events > 0) + inner
    return Run(scenario, events, errors, sorted(unseen), work, squares)


def _raise(
    level: Floats, rng: np.random.Generator, rate: float, length: float, chance: float = 0.0
) -> list[tuple[float, float]]:
    """Let errors come 15 times as often for ``length`` minutes, ``rate`` times a minute.

    ``chance``: the mean of lengths that are left to chance. Gives when, in minutes.
    """
    minutes = level.shape[-1]
    spans = []
    for begin in rng.random(rng.poisson(rate * (minutes + length))) * (minutes + length) - length:
        end = begin + (rng.exponential(chance) if chance else length)
        for minute in range(max(0, int(np.floor(begin))), min(minutes, int(np.ceil(end)))):
            level[..., minute] *= 1.0 + 14.0 * (min(end, minute + 1) - max(begin, minute))
        spans.append((begin, end))
    return spans


def _lines(rng: np.random.Generator, bursts: Ints, mean: float) -> Ints:
    """Give how many lines so many bursts have, ``mean`` each."""
    out = bursts.copy()
    if mean > 1.0:
        some = bursts > 0
        out[some] += rng.negative_binomial(bursts[some], 1.0 / mean)
    return out


def _spread(lines: Ints, rng: np.random.Generator, minutes: float) -> Ints:
    """Spread each burst's lines over so many minutes from some moment of its minute on."""
    out = np.zeros_like(lines)
    host, minute, kind = np.repeat(np.nonzero(lines), lines[lines > 0], axis=1)
    late = minute + np.floor(rng.random(len(minute)) + minutes * rng.random(len(minute)))
    kept = late < lines.shape[1]
    np.add.at(out, (host[kept], late[kept].astype(int), kind[kept]), 1)
    return out


def _accompanied(
    unseen: list[tuple[int, int, int]], rng: np.random.Generator, mean: float, minutes: int
) -> list[tuple[int, int, int]]:
    """Let each error never seen before bring others, and each of them return within minutes."""
    out = []
    for at, host, number in unseen:
        for companion in range(1 + rng.poisson(mean)):
            late = [0.0, *rng.exponential(10.0, rng.poisson(mean))]
            found = {at + int(one) for one in late}
            out += [(when, host, 1000 * number + companion) for when in found if when < minutes]
    return sorted(out)


def _stray(
    rng: np.random.Generator, shape: tuple[int, int], spread: float, memory: float = 30.0
) -> Floats:
    """Let values stray around 0 with a memory of so many minutes (Ornstein-Uhlenbeck)."""
    keep = np.exp(-1.0 / memory)
    step = rng.standard_normal(shape) * spread * np.sqrt(1.0 - keep * keep)
    out = np.empty(shape)
    now = rng.standard_normal(shape[0]) * spread
    for minute in range(shape[1]):
        now = keep * now + step[:, minute]
        out[:, minute] = now
    return out


def at_rate(scenario: Scenario, rate: float) -> Scenario:
    """Give the same scenario with another traffic."""
    return replace(scenario, rate=rate)


def seed_of(name: str) -> int:
    """Give the seed of a row; scenarios were called worlds when the page's figures were drawn."""
    return crc32(name.replace("scenario", "world").encode())
