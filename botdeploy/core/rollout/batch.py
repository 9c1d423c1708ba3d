"""A batch: which hosts of a ring are switched at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.model.policy import Ring


def batch_size(ring: Ring, members: Sequence[str]) -> int:
    """Give how many hosts are switched at once: a percentage is one of all ``members``."""
    return max(1, ring.batch.of(len(members)))


def next_batch(ring: Ring, members: Sequence[str], behind: Sequence[str]) -> tuple[str, ...]:
    """Give the first of those that are ``behind``."""
    return tuple(behind[: batch_size(ring, members)])
