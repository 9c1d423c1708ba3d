"""Tools: what every command that changes something is handed where the program starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from botdeploy.core.events import Listener
    from botdeploy.core.logline import LogLine
    from botdeploy.engine.clock import Clock
    from botdeploy.engine.fleet import Fleet
    from botdeploy.engine.manifests import ManifestCache
    from botdeploy.engine.watch import Watch


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run needs from where the program starts."""

    fleet: Fleet
    clock: Clock
    emit: Listener
    manifests: ManifestCache
    owner: str
    stop: threading.Event
    on_line: Callable[[str, LogLine], None] = lambda _host, _line: None
    make_watch: Callable[..., Watch] | None = None
    """What judges a run, where it is not the journals; for tests."""
