"""Who did an act, as it is shown."""

from __future__ import annotations

import pytest

from botdeploy.core.rollout.audit_names import actor


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ({"who": "deploy", "claimed": "ann@laptop"}, "ann@laptop (deploy)"),
        ({"who": "deploy", "claimed": "deploy@ci"}, "deploy@ci"),
        ({"who": "this host", "claimed": "this host"}, "this host"),
        ({"who": "ann@laptop"}, "ann@laptop"),
        ({"who": "", "claimed": "ann@laptop"}, "ann@laptop"),
        ({"who": None, "claimed": None}, ""),
    ],
)
def test_the_login_stands_beside_the_name_that_was_claimed(
    entry: dict[str, object], shown: str
) -> None:
    """Where both tell the same, one is shown; entries of older versions have one."""
    assert actor(entry) == shown
