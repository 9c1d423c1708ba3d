"""Fabric, imported without the test helpers that come with it.

invoke.context imports ``unittest.mock`` for a class that only tests of Fabric tasks use, and that
imports asyncio and ssl: a fifth of the time that Fabric takes to import. Whoever makes such a
mock here still gets the real one.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

_MOCK = "unittest.mock"


class _Mock:
    """Stands for ``unittest.mock.Mock`` until one is made."""

    def __new__(cls, *arguments: Any, **more: Any) -> Any:
        """Give a real mock."""
        from unittest.mock import Mock

        return Mock(*arguments, **more)


def _import() -> ModuleType:
    is_here = _MOCK in sys.modules
    if not is_here:
        placeholder = ModuleType(_MOCK)
        placeholder.Mock = _Mock  # type: ignore[attr-defined]
        sys.modules[_MOCK] = placeholder
    try:
        import fabric
    finally:
        if not is_here:
            del sys.modules[_MOCK]
    # It looks up the user, which fails for a uid without a passwd entry; links name theirs.
    fabric.config.get_local_user = lambda: None
    module: ModuleType = fabric
    return module


fabric: Any = _import()
