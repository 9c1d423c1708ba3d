"""What others do: grep, a threshold, Kayenta's rule and a Poisson test, on the same runs."""

from __future__ import annotations

from math import lgamma, log
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tests.bench.judge_scenarios import Floats, Run

GRACE = 2


def _watched(run: Run) -> tuple[Floats, Floats, Floats, Floats]:
    """Give errors and events of the canary and of the rest, a minute after the grace."""
    past = run.scenario.past + GRACE
    errors = run.errors.sum(axis=2)
    for minute, host, _ in run.unseen:
        errors[host, minute] += 1
    return (
        errors[0, past:],
        run.events[0, past:],
        errors[1:, past:].sum(axis=0),
        run.events[1:, past:].sum(axis=0),
    )


def grep(run: Run) -> int:
    """Abort at the first error line; gives the minute, 0 for never."""
    own, _, _, _ = _watched(run)
    found = np.flatnonzero(own)
    return int(found[0]) + GRACE + 1 if len(found) else 0


def threshold(run: Run) -> int:
    """Abort at the fifth minute whose error ratio is over 2.5 times the usual one."""
    own, events, _, _ = _watched(run)
    past = run.scenario.past
    usual = run.errors[:, :past].sum() / max(1, run.events[:, :past].sum())
    bad = np.flatnonzero(own > 2.5 * usual * np.maximum(events, 1))
    return int(bad[4]) + GRACE + 1 if len(bad) >= 5 else 0


def kayenta(run: Run) -> int:
    """Abort where the Mann-Whitney interval (98 %) of the shift clears 25 % of its estimate.

    The metric is errors a minute, of the canary and of the mean baseline host; looked at every
    ten minutes from the twentieth on.
    """
    own, _, rest, _ = _watched(run)
    mean = rest / (run.scenario.hosts - 1)
    for end in range(20 - GRACE, len(own) + 1, 10):
        one, other = own[:end].astype(float), mean[:end].astype(float)
        shifts = np.sort((one[:, None] - other[None, :]).ravel())
        n = len(one)
        half = 2.326 * np.sqrt(n * n * (2 * n + 1) / 12.0)
        low = shifts[max(0, int(n * n / 2.0 - half))]
        if low > 0.25 * abs(np.median(shifts)) and low > 0.0:
            return end + GRACE
    return 0


def poisson(run: Run) -> int:
    """Abort once a conditional Poisson test (5 %, one-sided) says so, asked every minute."""
    own, events, rest, others = (np.cumsum(one) for one in _watched(run))
    for t in range(len(own)):
        total = int(own[t] + rest[t])
        share = (events[t] + 1.0) / (events[t] + others[t] + 2.0)
        if own[t] and _upper(int(own[t]), total, share) < 0.05:
            return t + GRACE + 1
    return 0


def _upper(least: int, total: int, share: float) -> float:
    """Give the chance of ``least`` or more of ``total``, each with chance ``share``."""
    if least <= total * share:
        return 1.0
    out = 0.0
    for many in range(least, total + 1):
        term = np.exp(
            lgamma(total + 1)
            - lgamma(many + 1)
            - lgamma(total - many + 1)
            + many * log(share)
            + (total - many) * log(1.0 - share)
        )
        out += term
        if term < 1e-12:
            break
    return out
