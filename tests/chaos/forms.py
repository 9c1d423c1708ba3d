"""The two forms of a bot on a stand: alone on its host, or one of two instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.hosts.acts.actkit import BOT, LIFE, Actor, Release, release
from tests.hosts.acts.instancekit import HOME, RUN, STATE, Instance, TreeRelease, named

if TYPE_CHECKING:
    from tests.hosts.acts.actkit import Reply
    from tests.lab.host import Host

_LIFE = LIFE.replace(
    'LOG = "/opt/echobot/shared/life"',
    "from pathlib import Path\n"
    'LOG = str(Path(__file__).resolve().parent / "data" / "life")\n'
    'NAME = os.environ["BOTDEPLOY_RELEASE"]',
).replace("echobot-life", "echobot-life-INSTANCE")


@dataclass(frozen=True)
class Form:
    """Where a bot stands on its host, and who calls the program for it."""

    instance: str = ""
    """The name of an instance; empty: the plain form."""

    @property
    def suffix(self) -> str:
        """What names of acts and units have added."""
        return f"@{self.instance}" if self.instance else ""

    @property
    def unit(self) -> str:
        """The bot's unit."""
        return f"{BOT}{self.suffix}.service"

    @property
    def guard(self) -> str:
        """The guard's unit."""
        return f"botdeploy-guard-{BOT}{self.suffix}.service"

    @property
    def home(self) -> str:
        """The folder of current, releases and shared."""
        return f"{HOME}{self._below}"

    @property
    def state(self) -> str:
        """The folder of what the host knows."""
        return f"{STATE}{self._below}"

    @property
    def run(self) -> str:
        """The folder of lock and lease."""
        return f"{RUN}{self._below}"

    @property
    def _below(self) -> str:
        return f"/instances/{self.instance}" if self.instance else ""

    @property
    def life(self) -> tuple[str, str]:
        """Where the bot notes its life: in its data, and where that can't be written."""
        if self.instance:
            return f"{self.home}/shared/data/life", f"/dev/shm/{BOT}-life-{self.instance}"
        return f"{self.home}/shared/life", f"/dev/shm/{BOT}-life"

    def actor(self, host: Host) -> Actor:
        """Give a new controller."""
        return Instance(host, self.instance, environment="prod") if self.instance else Actor(host)

    def release(self, name: str, *, code: str = "", delay: float = 0.0, **more: Any) -> Release:
        """Make a release; ``code`` comes before what notes the bot's life."""
        head = f"{code}NAME, DELAY = {name!r}, {delay!r}\n"
        if not self.instance:
            return release(name, code=head + LIFE, **more)
        text = head + _LIFE.replace("INSTANCE", self.instance)
        return named(name, self.instance, code=text, **more)


def send(actor: Actor, made: Release) -> Reply:
    """Send a release, in the way of its form."""
    if isinstance(actor, Instance) and isinstance(made, TreeRelease):
        return actor.send(made)
    return actor.stage(made)


PLAIN, DEV, MAIN = Form(), Form("dev"), Form("main")
