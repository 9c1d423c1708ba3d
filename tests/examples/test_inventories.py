"""The inventories that come with the examples are valid, and mean what their comments say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from botdeploy.core.model import Gate
from botdeploy.inventory import load

PROJECT = Path(__file__).parents[2]


def test_lab_inventory_deploys_version_1_to_four_hosts() -> None:
    """``botdeploy canary lab`` deploys the example bot's first version, from any folder."""
    inventory = load("lab", PROJECT / "inventories")
    assert [host.name for host in inventory.hosts] == ["h1", "h2", "h3", "h4"]
    bot = inventory.hosts[0].bot
    assert Path(bot.source).resolve() == PROJECT / "examples" / "echobot" / "v1"
    for file in inventory.hosts[0].address.identity_files:
        assert Path(file).resolve() == PROJECT / ".lab" / "lab" / "id_ed25519"
    for file in inventory.hosts[0].address.known_hosts_files:
        assert Path(file).resolve() == PROJECT / ".lab" / "lab" / "known_hosts"
    assert inventory.hosts[0].address.known_hosts_files


def test_discord_inventory_goes_from_the_team_to_everyone() -> None:
    """The Discord bot's rings begin behind a gate and end with the fleet."""
    inventory = load("inventory.yml", PROJECT / "examples" / "discord")
    rings = inventory.policy.rings
    assert [ring.name for ring in rings] == ["internal", "beta", "canary", "fleet"]
    assert rings[0].gate is Gate.APPROVE
    assert rings[0].soak == timedelta(days=2)
    assert Path(inventory.hosts[0].bot.source).is_dir()
    assert inventory.hosts[0].bot.secrets == {"DISCORD_TOKEN": "env:DISCORD_TOKEN"}
