"""What ``botdeploy init`` writes must be usable as it stands."""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path, PurePosixPath

import pytest
import yaml

from botdeploy import starter
from botdeploy.errors import UserError
from botdeploy.inventory import load
from botdeploy.sources.render import packaged_templates


def unit(text: str) -> configparser.ConfigParser:
    """Parse a unit file, as far as it is an INI file."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def test_starter_has_inventory_templates_and_schedules() -> None:
    """A starter is an inventory, two templates, a cron file, a service and its timer."""
    assert set(starter.files("prod")) == {
        "inventories/prod.yml",
        "templates/unit.service.j2",
        "templates/environment.j2",
        "schedule/prod.cron",
        "schedule/botdeploy-prod.service",
        "schedule/botdeploy-prod.timer",
    }


def test_every_placeholder_is_filled() -> None:
    """No text keeps a mark that was to be replaced, and each one names the environment."""
    for path, text in starter.files("beta-2").items():
        assert not re.search(r"@[A-Z]+@", text), path
        if not path.startswith("templates/"):
            assert "beta-2" in text, path


def test_inventory_is_yaml_with_bot_and_rollout() -> None:
    """The inventory parses, and has hosts, a bot and rings."""
    inventory = yaml.safe_load(starter.files("prod")["inventories/prod.yml"])
    assert inventory["all"]["hosts"]
    assert {"name", "source", "command"} <= set(inventory["all"]["vars"]["bot"])
    assert inventory["all"]["vars"]["rollout"]["rings"]


def test_inventory_loads_as_it_is(tmp_path: Path) -> None:
    """The inventory is valid before a word of it is changed: three hosts, two rings."""
    for path, text in starter.files("prod").items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    inventory = load("prod", tmp_path / "inventories", os.environ)
    assert [host.name for host in inventory.hosts] == ["bot1", "bot2", "bot3"]
    assert [ring.name for ring in inventory.policy.rings] == ["canary", "fleet"]


def test_templates_are_the_default_ones() -> None:
    """The templates that a project begins with are those that it would use without them."""
    folder = packaged_templates()
    files = starter.files("prod")
    for name in ("unit.service.j2", "environment.j2"):
        assert files[f"templates/{name}"] == (folder / name).read_text("utf-8")


def test_schedules_call_the_program_in_the_folder() -> None:
    """Cron and systemd both change to the folder and call the program by its full path."""
    files = starter.files("prod", folder="/home/ada/bots", program="/home/ada/.local/bin/botdeploy")
    line = files["schedule/prod.cron"].splitlines()[-1]
    assert line == (
        "*/5 * * * *  deploy  cd '/home/ada/bots' && '/home/ada/.local/bin/botdeploy' promote prod"
    )
    service = unit(files["schedule/botdeploy-prod.service"])["Service"]
    assert service["ExecStart"] == "/home/ada/.local/bin/botdeploy promote prod"
    assert service["WorkingDirectory"] == "/home/ada/bots"


def test_waiting_is_no_failure_of_the_timer() -> None:
    """A lock held by somebody else and a missing approval leave the service green."""
    service = unit(starter.files("prod")["schedule/botdeploy-prod.service"])["Service"]
    assert service["SuccessExitStatus"].split() == ["4", "5"]


@pytest.mark.parametrize(
    "name", ["", "../prod", "a b", "a;b", "-prod", ".prod", "a\nb", "a/b", "x" * 65, "prod\n"]
)
def test_unsafe_names_are_refused(name: str) -> None:
    """A name that would leave its folder or its line is refused."""
    with pytest.raises(UserError, match="no name for an environment"):
        starter.files(name)


@pytest.mark.parametrize("folder", ["bots", "/a b", "/a'b", "/a%b", "/a\nb", ""])
def test_unsafe_folders_are_refused(folder: str) -> None:
    """A folder that cron or systemd would read otherwise is refused."""
    with pytest.raises(UserError, match="cannot stand in cron"):
        starter.files("prod", folder=folder)


def test_paths_stay_inside() -> None:
    """Every path is relative and goes down only."""
    for path in starter.files("prod"):
        parts = PurePosixPath(path).parts
        assert not path.startswith("/")
        assert ".." not in parts
