"""The inventories that come with the examples are valid, and mean what their comments say."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from botdeploy.core.model.policy import Gate
from botdeploy.inventory import load

PROJECT = Path(__file__).parents[2]


def test_lab_inventory_deploys_version_1_to_four_hosts() -> None:
    """``botdeploy canary lab`` deploys the example bot's first version, from any folder."""
    inventory = load("lab", PROJECT / "inventories", os.environ)
    assert [host.name for host in inventory.hosts] == ["h1", "h2", "h3", "h4"]
    bot = inventory.hosts[0].bot
    assert Path(bot.source).resolve() == PROJECT / "examples" / "echobot" / "v1"
    for file in inventory.hosts[0].address.identity_files:
        assert Path(file).resolve() == PROJECT / ".lab" / "lab" / "id_ed25519"
    for file in inventory.hosts[0].address.known_hosts_files:
        assert Path(file).resolve() == PROJECT / ".lab" / "lab" / "known_hosts"
    assert inventory.hosts[0].address.known_hosts_files


def test_discord_inventory_goes_from_the_team_to_everyone() -> None:
    """The Discord bot's rings begin with the team and end with the fleet."""
    inventory = load("inventory.yml", PROJECT / "examples" / "discord", os.environ)
    rings = inventory.policy.rings
    assert [ring.name for ring in rings] == ["internal", "beta", "canary", "fleet"]
    assert [ring.gate for ring in rings[:2]] == [Gate.NONE, Gate.APPROVE]
    assert rings[0].soak == timedelta(days=2)
    assert Path(inventory.hosts[0].bot.source).is_dir()
    assert inventory.hosts[0].bot.secrets == {"DISCORD_TOKEN": "env:DISCORD_TOKEN"}


@pytest.mark.parametrize(
    "place",
    [
        *sorted(PROJECT.glob("inventories/*.yml")),
        *sorted(PROJECT.glob("examples/*/inventory.yml")),
        *sorted(PROJECT.glob("examples/*/inventories/*.yml")),
        PROJECT / "docs/inventory.md",
        PROJECT / "docs/promote.md",
        PROJECT / "README.md",
    ],
    ids=lambda place: str(place.relative_to(PROJECT)),
)
def test_no_example_has_a_gate_before_its_first_ring(place: Path) -> None:
    """A gate opens its own ring: before the first one it would stop what nobody has tried yet."""
    parts = place.read_text(encoding="utf-8").split("rings:")[1:]
    firsts = [part.split("name:", 2)[1] for part in parts if "name:" in part]
    assert all("gate: approve" not in first for first in firsts)


def test_one_vps_has_a_dev_bot_a_canary_and_a_baseline() -> None:
    """Four instances on one machine; the workers share a token, and dev has its own."""
    inventory = load("inventory.yml", PROJECT / "examples" / "vps", os.environ)
    assert inventory.machines == {"192.0.2.10:22": ("dev", "work/1", "work/2", "work/3")}
    assert [host.unit for host in inventory.hosts] == [
        *("echobot@dev.service", "echobot@1.service", "echobot@2.service", "echobot@3.service")
    ]
    assert [(ring.name, ring.hosts) for ring in inventory.policy.rings] == [
        ("internal", ("dev",)),
        ("canary", ("work/1",)),
        ("fleet", ("work/2", "work/3")),
    ]
    tokens = [host.bot.secrets["CHAT_TOKEN"] for host in inventory.hosts]
    assert tokens == ["env:TOKEN_DEV", *["env:TOKEN_WORK"] * 3]
    assert Path(inventory.hosts[0].bot.source).is_dir()


def test_internal_first_has_one_machine_and_a_gate_for_the_users() -> None:
    """Two instances with an account each; the second ring is opened by a person."""
    inventory = load("prod", PROJECT / "examples" / "internal" / "inventories", os.environ)
    assert inventory.machines == {"192.0.2.10:22": ("dev", "main")}
    assert [(ring.name, ring.hosts, ring.gate) for ring in inventory.policy.rings] == [
        ("internal", ("dev",), Gate.NONE),
        ("users", ("main",), Gate.APPROVE),
    ]
    assert inventory.policy.rings[0].soak == timedelta(days=2)
    tokens = [host.bot.secrets["CHAT_TOKEN"] for host in inventory.hosts]
    assert tokens == ["env:TOKEN_DEV", "env:TOKEN_MAIN"]


def test_the_queue_has_four_workers_on_two_machines() -> None:
    """All of them ask one RabbitMQ."""
    inventory = load("prod", PROJECT / "examples" / "queue" / "inventories", os.environ)
    assert inventory.machines == {
        "192.0.2.21:22": ("w1/1", "w1/2"),
        "192.0.2.22:22": ("w2/1", "w2/2"),
    }
    assert [ring.name for ring in inventory.policy.rings] == ["canary", "fleet"]
    assert {host.bot.secrets["AMQP_URL"] for host in inventory.hosts} == {"env:AMQP_URL"}


@pytest.mark.parametrize("example", ["internal", "queue", "segments"])
def test_versions_of_an_example_have_the_same_files(example: str) -> None:
    """A version is the one before with a small change, not a copy gone astray."""
    found = {
        place: {path.name for path in place.iterdir() if path.is_file()}
        for place in (PROJECT / "examples" / example).glob("v*")
    }
    assert len(found) >= 3
    assert len({frozenset(names) for names in found.values()}) == 1


def test_the_inventories_that_the_docs_show_mean_what_is_said_of_them(tmp_path: Path) -> None:
    """Both forms of several instances on one machine."""
    page = (PROJECT / "docs/inventory.md").read_text(encoding="utf-8")
    section = page[page.index("## Several instances on one machine") :]
    named, counted = (part.split("```")[0] for part in section.split("```yaml\n")[1:3])
    (tmp_path / "named.yml").write_text(named, encoding="utf-8")
    (tmp_path / "counted.yml").write_text(counted, encoding="utf-8")
    inventory = load("named", tmp_path, os.environ)
    assert inventory.machines == {"192.0.2.10:22": ("dev", "main")}
    assert inventory.hosts[1].bot.secrets == {"DISCORD_TOKEN": "env:TOKEN_MAIN"}
    inventory = load("counted", tmp_path, os.environ)
    assert list(inventory.several) == ["w1", "w2"]
    assert inventory.host("w2/1").bot.env == {"SHARD_ID": "3", "SHARD_COUNT": "6"}
