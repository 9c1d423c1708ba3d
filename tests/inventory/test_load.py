"""Loading an environment: hosts, bot and policy."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from botdeploy.core.model import Gate, Inventory, OnFail, ReadyKind, Share
from botdeploy.inventory import environments, load, select

HERE = Path(__file__).parent


def put(folder: Path, text: str, name: str = "prod.yml") -> Path:
    """Write a file below a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str) -> Inventory:
    """Load an inventory's text as the environment prod."""
    put(folder, text)
    return load("prod", folder)


def test_the_documented_inventory_means_what_it_says() -> None:
    """The example of the documentation gives its hosts, its bot and its rings."""
    inventory = load("contract", HERE)
    assert [host.name for host in inventory.hosts] == ["dev1", "b1", "w1", "w2", "w3"]
    dev1 = inventory.host("dev1")
    assert (dev1.address.hostname, dev1.address.user) == ("198.51.100.5", "deploy")
    assert dev1.groups == ("all", "internal")
    bot = dev1.bot
    assert inventory.bot_name == "echobot"
    assert bot.run_as == "echobot"
    assert bot.source == str(HERE.parent / "bots/echobot")
    assert len(bot.build) == 2
    assert bot.env == {"LOG_LEVEL": "info", "BETA_GUILDS": ""}
    assert bot.secrets == {"DISCORD_TOKEN": "env:DISCORD_TOKEN"}
    assert (bot.ready.kind, bot.ready.value) == (ReadyKind.PATTERN, "READY")
    internal, beta, canary, fleet = inventory.policy.rings
    assert (internal.hosts, internal.soak, internal.gate) == (
        ("dev1",),
        timedelta(days=2),
        Gate.APPROVE,
    )
    assert beta.env == {"BETA_GUILDS": "111111111111111111"}
    assert (canary.selector, canary.hosts) == (Share(count=1), ("w1", "w2", "w3"))
    assert (fleet.batch, fleet.hosts) == (Share(percent=25), ("w1", "w2", "w3"))
    assert inventory.policy.lease.ttl == timedelta(seconds=90)
    assert inventory.policy.on_fail is OnFail.FLEET
    assert "contract" in environments(HERE)
    assert select(inventory, "w*:!w2") == ("w1", "w3")
