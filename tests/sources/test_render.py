"""Rendering: the default unit, a bot's changes to it, and templates of one's own."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from importlib import resources
from pathlib import Path

import pytest

from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot, Readiness, ReadyKind, SecretsBy
from botdeploy.core.model.inventory import Host
from botdeploy.errors import UserError
from botdeploy.sources.render import Renderer, packaged_templates

ID = "20261122T210500Z-3f9c2ab1"
FOLDER = "/opt/echobot/current"
BOT = Bot(name="echobot", command=".venv/bin/python -m echobot", source="/x")


def host_of(bot: Bot) -> Host:
    """Give a host that runs a bot."""
    return Host("w1", Address("w1", "w1.example.org"), bot, groups=("workers",))


def unit_of(bot: Bot) -> dict[str, list[str]]:
    """Render the default unit and give its directives."""
    text = Renderer().unit(host_of(bot), ID)
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_default_unit_is_the_same_for_every_release() -> None:
    """Only the first line names the release, so that systemd need not read the unit again."""
    unit = unit_of(BOT)
    assert unit["WorkingDirectory"] == [FOLDER]
    assert unit["EnvironmentFile"] == [f"{FOLDER}/.botdeploy/environment"]
    assert unit["ExecStart"] == [f"{FOLDER}/.venv/bin/python -m echobot"]
    assert unit["Environment"] == ["PYTHONUNBUFFERED=1"]
    assert unit["Type"] == ["exec"]
    assert unit["User"] == ["echobot"]
    assert unit["ReadWritePaths"] == ["/opt/echobot/shared"]
    assert unit["SyslogIdentifier"] == ["echobot"]
    assert unit["TimeoutStopSec"] == ["20"]
    first, _, rest = Renderer().unit(host_of(BOT), ID).partition("\n")
    assert first.startswith("#")
    assert ID in first
    assert ID not in rest
    assert "LoadCredential" not in unit


def test_user_stop_timeout_and_notify_come_from_the_bot() -> None:
    """What the inventory says stands in the unit; notify also gets its time to start."""
    ready = Readiness(ReadyKind.NOTIFY, timeout=timedelta(seconds=120))
    unit = unit_of(
        replace(BOT, user="bots", stop_timeout=timedelta(milliseconds=2500), ready=ready)
    )
    assert unit["User"] == ["bots"]
    assert unit["TimeoutStopSec"] == ["2.5"]
    assert (unit["Type"], unit["TimeoutStartSec"]) == (["notify"], ["120"])


def test_credentials_are_loaded_by_name() -> None:
    """With secrets_by: credential each secret is a file of its own and not in the environment."""
    bot = replace(
        BOT,
        secrets={"TOKEN": "env:TOKEN", "KEY": "file:key"},
        secrets_by=SecretsBy.CREDENTIAL,
    )
    assert unit_of(bot)["LoadCredential"] == [
        f"KEY:{FOLDER}/.botdeploy/credentials/KEY",
        f"TOKEN:{FOLDER}/.botdeploy/credentials/TOKEN",
    ]


def test_every_directive_can_be_replaced_removed_and_added() -> None:
    """bot.unit has the last word; what carries the release is added to."""
    bot = replace(
        BOT,
        unit={
            "Restart": ("always",),
            "ProtectHome": (),
            "SystemCallFilter": ("@system-service",),
            "MemoryMax": ("512M",),
            "ExecStartPre": ("/bin/a", "/bin/b"),
            "Environment": ("FOO=bar",),
            "ReadWritePaths": ("/srv/data",),
        },
    )
    unit = unit_of(bot)
    assert unit["Restart"] == ["always"]
    assert "ProtectHome" not in unit
    assert unit["SystemCallFilter"] == ["@system-service"]
    assert unit["MemoryMax"] == ["512M"]
    assert unit["ExecStartPre"] == ["/bin/a", "/bin/b"]
    assert unit["Environment"][-1] == "FOO=bar"
    assert unit["ReadWritePaths"] == ["/opt/echobot/shared", "/srv/data"]


def test_a_bot_may_write_ten_times_what_journald_allows_by_itself() -> None:
    """There is always a bound, which an inventory may set otherwise."""
    unit = unit_of(BOT)
    assert (unit["LogRateLimitIntervalSec"], unit["LogRateLimitBurst"]) == (["30s"], ["100000"])
    own = unit_of(replace(BOT, unit={"LogRateLimitBurst": ("500",)}))
    assert (own["LogRateLimitIntervalSec"], own["LogRateLimitBurst"]) == (["30s"], ["500"])


def test_a_directive_cannot_bring_others_along() -> None:
    """A line end in an inventory's value is refused with the directive's name."""
    with pytest.raises(UserError, match="unit: Restart"):
        unit_of(replace(BOT, unit={"Restart": ("no\nUser=root",)}))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_default_unit_and_finds_it_safe(tmp_path: Path) -> None:
    """systemd-analyze knows every directive and gives an exposure of at most 2.5."""
    bot = replace(
        BOT,
        command="/bin/true 'a b' '%n' '$HOME' ';' '\"'",
        secrets={"T": "env:T"},
        secrets_by=SecretsBy.CREDENTIAL,
    )
    place = tmp_path / "echobot.service"
    place.write_text(Renderer().unit(host_of(bot), ID))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(place)], capture_output=True, text=True, check=False
    )
    if "Failed to" in verified.stderr and "bus" in verified.stderr:
        pytest.skip(verified.stderr)
    assert verified.stderr == ""
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=25", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unrecognized option" in rated.stderr:
        pytest.skip("this systemd cannot rate a unit offline")
    assert rated.returncode == 0, rated.stdout[-200:]


HARNESS = """
set -uf
LC_ALL=C TAB='\t' BOT=echobot user=echobot id=$2 INSTANCE=$4
is_id() { case $1 in '' | .* | *[!A-Za-z0-9._-]* | *..*) return 1 ;; esac; }
is_number() { case $1 in '' | *[!0-9]*) return 1 ;; esac; }
. "$1/places.sh"
. "$1/unit.sh"
check_unit "$3" || { echo "$refusal"; exit 1; }
"""


@pytest.mark.parametrize(
    "bot",
    [
        BOT,
        replace(BOT, command="sh -c 'a ; exec b $X %n'"),
        replace(BOT, secrets={"T": "env:T"}, secrets_by=SecretsBy.CREDENTIAL),
        replace(BOT, ready=Readiness(ReadyKind.NOTIFY)),
        replace(BOT, unit={"MemoryMax": ("512M",), "Environment": ("A=1",), "ProtectHome": ()}),
    ],
)
@pytest.mark.parametrize("instance", [None, "dev"])
def test_a_host_takes_the_units_that_we_write(
    bot: Bot, instance: str | None, tmp_path: Path
) -> None:
    """A host refuses units that would give more than a bot's rights; ours never do."""
    parts = Path(str(resources.files("botdeploy"))) / "hosts/shell"
    host = replace(host_of(bot), instance=instance)
    unit = tmp_path / host.unit
    unit.write_text(Renderer().unit(host, ID))
    done = subprocess.run(
        ["sh", "-c", HARNESS, "sh", str(parts), ID, str(unit), instance or ""],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- environment --------------------------------------------------------------------------------


def test_an_environment_file_holds_every_variable_sorted() -> None:
    """The release comes first; order in the inventory does not make another release."""
    env = {"B": "it's", "A": "x y", "C": "", "D": "a\nb"}
    text = Renderer().environment(host_of(BOT), ID, env)
    lines = text.splitlines()
    assert lines[0].startswith("#")
    assert ID in lines[0]
    assert lines[1] == f"BOTDEPLOY_RELEASE={ID}"
    assert lines[2:] == ["A='x y'", "B='it'\"'\"'s'", "C=", "D='a", "b'"]


def test_the_release_variable_is_botdeploy_s_own() -> None:
    """An inventory that sets it would make every host say that it runs that."""
    with pytest.raises(UserError, match="BOTDEPLOY_RELEASE is set by botdeploy"):
        Renderer().environment(host_of(BOT), ID, {"BOTDEPLOY_RELEASE": "x"})


# --- templates of one's own ---------------------------------------------------------------------


def test_the_bot_s_templates_come_before_the_project_s_and_those_before_ours(
    tmp_path: Path,
) -> None:
    """Each file is looked up by itself; what is not there is taken from the next place."""
    (tmp_path / "bot").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project/unit.service.j2").write_text("[Service]\nExecStart=/bin/project\n")
    (tmp_path / "project/environment.j2").write_text("# project\n")
    (tmp_path / "bot/environment.j2").write_text(
        "# bot\n{% for k, v in env.items() %}{{ k }}={{ v | systemd_quote }}\n{% endfor %}"
    )
    renderer = Renderer(tmp_path / "project")
    host = host_of(replace(BOT, templates=str(tmp_path / "bot")))
    assert "/bin/project" in renderer.unit(host, ID)
    assert renderer.environment(host, ID, {"A": "b c"}).endswith("\nA='b c'\n")
    assert "NoNewPrivileges" in Renderer(tmp_path / "none").unit(host_of(BOT), ID)


def test_a_template_sees_bot_host_release_env_and_service(tmp_path: Path) -> None:
    """Everything that the documentation promises is there, and a default can be built on."""
    (tmp_path / "unit.service.j2").write_text(
        "[Service]\n"
        "# {{ bot.name }} {{ host.name }} {{ host.groups | join(',') }} "
        "{{ host.variables.region }} {{ release }} {{ env.LEVEL }}\n"
        "ExecStart={{ service.ExecStart[0] }} --name {{ 'a $b' | unit_quote }}\n"
    )
    text = Renderer(tmp_path, {"w1": {"region": "eu"}}).unit(host_of(BOT), ID, {"LEVEL": "info"})
    assert f"# echobot w1 workers eu {ID} info" in text
    assert text.endswith('--name "a $$b"\n')


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("[Service]\nExecStart=/x\n{{ nope }}\n", r"unit\.service\.j2:3: 'nope' is undefined"),
        ("[Service]\n{% for %}\n", r"unit\.service\.j2:2: "),
        ("ExecStart=/x\n{{ 1 / 0 }}", r"unit\.service\.j2:2: division by zero"),
        ("ExecStart=/x\n{{ host.variables.nope }}", r"unit\.service\.j2:2: .*nope"),
        ("{% include 'gone.j2' %}", "template gone.j2 is not there"),
        ("{{ ''.__class__.__mro__ }}", "unsafe|undefined"),
        ("[Service]\nUser=x\n", "has no ExecStart="),
    ],
)
def test_a_faulty_template_is_named_with_its_line(
    tmp_path: Path, template: str, words: str
) -> None:
    """The person who wrote it is told where; nothing was touched."""
    (tmp_path / "unit.service.j2").write_text(template)
    with pytest.raises(UserError, match=words):
        Renderer(tmp_path).unit(host_of(BOT), ID)


def test_a_template_cannot_change_what_it_sees(tmp_path: Path) -> None:
    """The sandbox keeps one host's template from changing another host's values."""
    (tmp_path / "unit.service.j2").write_text("ExecStart=/x\n{{ env.update({'A': '1'}) }}")
    with pytest.raises(UserError, match=r"unsafe|not safely"):
        Renderer(tmp_path).unit(host_of(BOT), ID, {})


def test_botdeploy_s_own_templates_are_found() -> None:
    """In a checkout and in a wheel alike."""
    assert {place.name for place in packaged_templates().glob("*.j2")} >= {
        "unit.service.j2",
        "environment.j2",
    }
