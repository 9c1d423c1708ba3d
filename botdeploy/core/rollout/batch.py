"""A batch: which hosts of a ring are switched at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.model.policy import Ring


def next_batch(ring: Ring, members: Sequence[str], behind: Sequence[str]) -> tuple[str, ...]:
    """Give the first of those that are ``behind``: as many as the ring's ``batch`` says.

    A percentage is one of all ``members`` of the ring, and means at least one host.
    """
    return tuple(behind[: max(1, ring.batch.of(len(members)))])
