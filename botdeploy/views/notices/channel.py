"""A channel: one Apprise URL with a thread of its own, so that a slow one delays no other."""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from urllib.parse import unquote

from tenacity import (
    RetryError,
    Retrying,
    retry_if_result,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential,
    wait_random,
)

from botdeploy.core.text.secret_mask import Mask
from botdeploy.errors import BotdeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")

MOST_KEPT = 1000
"""Items that wait for a channel that does not answer; older ones are dropped."""
_LOGGER = logging.getLogger("apprise")


class Severity(StrEnum):
    """How serious a message is, in Apprise's words; services show it as a colour or an icon."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: plain text."""

    title: str
    body: str
    severity: Severity = Severity.INFO


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a channel waits; times in seconds."""

    gather_s: float = 1.5
    """How long it collects further items after the first, to put many hosts into one message."""
    attempts: int = 4
    first_pause_s: float = 0.5
    longest_pause_s: float = 8.0
    last_s: float = 5.0
    """How long a command that has ended waits for the last messages."""


class Channel(Generic[Item]):
    """Delivers items to one URL, several in one message, as fast as its service takes them.

    A message that fails is tried again with growing pauses, and after that together with what comes
    next, so an outage of the service delays notices rather than losing them. Nothing raises.
    """

    def __init__(
        self,
        name: str,
        read_url: Callable[[], str],
        compose: Callable[[Sequence[Item]], Message],
        timing: Timing,
    ) -> None:
        """Prepare a channel; its thread begins with the first item.

        ``name`` is what people are told of it, such as ``rollout.notify[0]``; the URL, which holds
        tokens, is never told. ``read_url`` may take its time and raise UserError.
        """
        self.name = name
        self._read_url = read_url
        self._compose = compose
        self._timing = timing
        self._items: list[Item] = []
        self._changed = threading.Condition()
        self._is_last = False
        self._given_up = threading.Event()
        self._why = ""
        self._seen = 0
        """How many items the last try took up."""
        self._was_last = False
        """Whether the last try was made when nothing more could come."""
        self._thread: threading.Thread | None = None

    def put(self, item: Item) -> None:
        """Take an item; returns at once."""
        with self._changed:
            if self._given_up.is_set():
                return
            self._items.append(item)
            del self._items[:-MOST_KEPT]
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
                self._thread.start()

    def finish(self) -> None:
        """Say that nothing more comes: what is there is sent at once, then the thread ends."""
        with self._changed:
            self._is_last = True
            self._changed.notify()

    def failure(self, deadline: float) -> str | None:
        """Wait for the end until ``deadline`` (monotonic), and say why it is none; None: all sent.

        A thread that hangs in its service's hands is left behind: it is a daemon.
        """
        if self._thread is None:
            return None
        self._thread.join(max(0.0, deadline - time.monotonic()))
        is_over = not self._thread.is_alive()
        self._given_up.set()
        if is_over and not self._items and not self._why:
            return None
        why = self._why or "it did not answer in time"
        return f"{self.name}: {why}"

    # --- in the thread ----------------------------------------------------------------------

    def _work(self) -> None:
        with _LastComplaint() as complaint:
            try:
                service, mask = self._open()
            except BotdeployError as error:
                self._give_up(str(error))
                return
            except Exception as error:  # noqa: BLE001 (a service's own code; nobody is above)
                self._give_up(f"it could not be set up: {type(error).__name__}")
                return
            while items := self._gather():
                why = self._deliver(service, items, complaint)
                self._after(items, mask(why)[:300] if why else "")
                if self._given_up.is_set():
                    return

    def _open(self) -> tuple[Any, Mask]:
        """Read the URL and make the service; gives it with what hides the URL's tokens."""
        import apprise

        url = self._read_url().strip()
        # In this very thread: Apprise's own pool would hold up the end of the program.
        own: dict[str, Any] = {"async_mode": False, "app_id": "botdeploy", "app_desc": "botdeploy"}
        if hasattr(apprise.AppriseAsset, "_service_timeout"):
            own["service_timeout"] = 0
        asset = apprise.AppriseAsset(**own)
        service = apprise.Apprise(asset=asset)
        if not service.add(url) or len(service) != 1:
            raise BotdeployError("it is not one URL that Apprise knows")
        kind = url.partition("://")[0]
        if re.fullmatch(r"[a-z0-9+]{1,20}", kind):
            self.name = f"{self.name} ({kind})"
        return service, Mask(_tokens(url))

    def _gather(self) -> list[Item]:
        """Wait for items, and a little more for those that come with them; none: it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_last or self._has_news())
            self._changed.wait_for(lambda: self._is_last, self._timing.gather_s)
            self._seen = len(self._items)
            self._was_last = self._is_last
            return list(self._items)

    def _has_news(self) -> bool:
        return len(self._items) > self._seen

    def _deliver(self, service: Any, items: list[Item], complaint: _LastComplaint) -> str:
        """Send, again and again for a while; gives why it failed, or nothing."""
        complaint.text = ""
        timing = self._timing
        try:
            message = self._compose(items)
            attempt = Retrying(
                stop=stop_after_attempt(timing.attempts) | stop_when_event_set(self._given_up),
                wait=wait_exponential(timing.first_pause_s, timing.longest_pause_s)
                + wait_random(0, timing.first_pause_s),
                retry=retry_if_result(lambda is_sent: not is_sent),
                sleep=sleep_using_event(self._given_up),
            )
            attempt(
                lambda: bool(
                    service.notify(
                        title=message.title,
                        body=message.body,
                        notify_type=message.severity.value,
                        body_format="text",
                    )
                )
            )
        except RetryError:
            return complaint.text or "the service did not take it"
        except Exception as error:  # noqa: BLE001 (a service's own code; a notice fails no rollout)
            return f"it could not be sent: {type(error).__name__}"
        return ""

    def _after(self, items: list[Item], why: str) -> None:
        with self._changed:
            self._why = why
            if not why:
                sent = set(map(id, items))
                self._items = [item for item in self._items if id(item) not in sent]
                self._seen = 0
            elif self._was_last:
                self._given_up.set()

    def _give_up(self, why: str) -> None:
        with self._changed:
            self._why = why
            self._given_up.set()


class _LastComplaint(logging.Handler):
    """Keeps the last complaint of Apprise's that came from this thread; none reach the terminal."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.text = " ".join(record.getMessage().split())

    def __enter__(self) -> Self:
        _LOGGER.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        _LOGGER.removeHandler(self)


def _tokens(url: str) -> list[str]:
    """Split a URL into all that may be a token in it: every part but the scheme."""
    rest = url.partition("://")[2] or url
    parts = [part for part in re.split(r"[/?&=:@#,;+]+", rest) if len(part) > 3]  # noqa: PLR2004
    return [url, rest, *parts, *(unquote(part) for part in parts)]
