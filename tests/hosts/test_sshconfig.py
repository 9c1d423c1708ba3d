"""ssh's config applies to an inventory's hosts as it would for ssh itself."""

from __future__ import annotations

import pwd
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from botdeploy.core.address import Address, Jump
from botdeploy.errors import UserError
from botdeploy.hosts import sshconfig
from botdeploy.hosts.sshconfig import Destination, SshConfig, home_of
from tests.effort import examples

if TYPE_CHECKING:
    from collections.abc import Callable


class Resolve(Protocol):
    """Completes an address, or the address of a name."""

    def __call__(self, what: str | Address) -> Destination:
        """Give where ssh would go."""


@pytest.fixture(autouse=True)
def own_system_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's own ssh files out."""
    monkeypatch.setattr(sshconfig, "SYSTEM_CONFIG", tmp_path / "etc" / "ssh_config")
    monkeypatch.setattr(sshconfig, "SYSTEM_KNOWN_HOSTS", (tmp_path / "etc" / "known_hosts",))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes files of ~/.ssh."""
    folder = tmp_path / ".ssh"
    folder.mkdir()

    def write_file(text: str, name: str = "config") -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


@pytest.fixture
def resolve(tmp_path: Path) -> Resolve:
    """Give a function that completes an address, or a name's address."""

    def complete(what: str | Address) -> Destination:
        address = Address(what, what) if isinstance(what, str) else what
        return SshConfig({"HOME": str(tmp_path)}).resolve(address)

    return complete


def test_without_a_config_the_usual_holds(resolve: Resolve, tmp_path: Path) -> None:
    """With no config at all: port 22, our own user, the usual keys and known_hosts."""
    place = resolve("host")
    ssh = tmp_path / ".ssh"
    assert (place.hostname, place.port) == ("host", 22)
    assert place.user == SshConfig({}).user
    assert place.identities == (ssh / "id_rsa", ssh / "id_ecdsa", ssh / "id_ed25519")
    assert place.known_hosts[:2] == (ssh / "known_hosts", ssh / "known_hosts2")
    assert place.known_hosts[2] == tmp_path / "etc" / "known_hosts"
    assert place.agent is None


def test_config_fills_what_the_inventory_leaves_open(
    resolve: Resolve, write: Callable[..., Path], tmp_path: Path
) -> None:
    """HostName, User, Port, IdentityFile and the rest are taken from the config."""
    write(
        "Host bot*\n"
        "  HostName %h.example.org\n  User %%me\n  Port 2200\n"
        "  IdentityFile ~/.ssh/%r@%h\n  IdentityFile %d/second\n  IdentitiesOnly yes\n"
        "  UserKnownHostsFile ~/.ssh/kh1 ~/.ssh/kh2\n  HostKeyAlias the-%n\n"
        "  ConnectTimeout 7\n  AddressFamily inet\n"
        "Host *\n  User nobody\n"
    )
    place = resolve("bot1")
    assert place.hostname == "bot1.example.org"
    assert place.port == 2200
    assert place.identities == (
        tmp_path / ".ssh" / "%%me@bot1.example.org",
        tmp_path / "second",
    )
    assert place.identities_only
    assert place.known_hosts[:2] == (tmp_path / ".ssh" / "kh1", tmp_path / ".ssh" / "kh2")
    assert place.host_key_alias == "the-bot1"
    assert place.connect_timeout_s == 7
    assert place.family == socket.AF_INET
    assert resolve("other").user == "nobody"


def test_inventory_wins(resolve: Resolve, write: Callable[..., Path], tmp_path: Path) -> None:
    """What the inventory says is not overruled by the config; its keys come first."""
    write(
        "Host *\n  User config\n  Port 99\n  IdentityFile ~/.ssh/config_key\n"
        "  UserKnownHostsFile ~/.ssh/kh\n  ProxyJump bastion\n  HostKeyAlias a\n"
    )
    place = resolve(
        Address(
            "w1",
            "10.0.0.1",
            port=22,
            user="deploy",
            identity_files=("~/key",),
            known_hosts_files=("/kh",),
            jumps=("me@gate:2022",),
            options=(("hostkeyalias", "b"), ("globalknownhostsfile", "/g1 /g2")),
        )
    )
    assert (place.port, place.user) == (22, "deploy")
    assert place.required_identities == (tmp_path / "key",)
    assert place.identities == (tmp_path / ".ssh" / "config_key",)
    assert place.known_hosts == (Path("/kh"), Path("/g1"), Path("/g2"))
    assert place.jumps == (Jump("gate", "me", 2022),)
    assert place.host_key_alias == "b"


def test_an_inventory_key_replaces_the_default_keys(resolve: Resolve) -> None:
    """With a key file in the inventory the default key files are not offered, as in ssh."""
    place = resolve(Address("w1", "w1", identity_files=("/key",)))
    assert place.required_identities == (Path("/key"),)
    assert place.identities == ()


def test_lookup_is_by_the_name_that_ssh_would_be_given(
    resolve: Resolve, write: Callable[..., Path]
) -> None:
    """Ansible calls ssh with ansible_host, so this is what Host lines are compared with."""
    write("Host w1\n  Port 1\nHost 10.0.0.1\n  Port 2\n")
    assert resolve(Address("w1", "10.0.0.1")).port == 2


def test_user_file_comes_before_the_systems(
    resolve: Resolve, write: Callable[..., Path], tmp_path: Path
) -> None:
    """The first value counts: the user's file, then /etc/ssh/ssh_config."""
    write("Host h\n  User mine\n")
    write("Host *\n  User theirs\n  Port 77\n", "../etc/ssh_config")
    assert (tmp_path / "etc" / "ssh_config").exists()
    place = resolve("h")
    assert (place.user, place.port) == ("mine", 77)


def test_config_file_of_the_inventory_replaces_both(
    resolve: Resolve, write: Callable[..., Path]
) -> None:
    """``-F FILE`` reads that file alone, ``-F none`` none, and a missing one is an error."""
    write("Host *\n  Port 1\n")
    other = write("Host *\n  User other\n", "other")
    place = resolve(Address("h", "h", options=(("configfile", str(other)),)))
    assert (place.port, place.user) == (22, "other")
    assert resolve(Address("h", "h", options=(("configfile", "none"),))).port == 22
    with pytest.raises(UserError, match="/nowhere: no such ssh config"):
        resolve(Address("h", "h", options=(("configfile", "/nowhere"),)))


def test_include_reads_more_files(resolve: Resolve, write: Callable[..., Path]) -> None:
    """Include takes wildcards and several names, relative to ~/.ssh."""
    write("Include conf.d/*.conf more\nHost *\n  User last\n")
    write("Host a\n  Port 11\n", "conf.d/1.conf")
    write("Host b\n  Port 22\n  User bee\n", "conf.d/2.conf")
    write("Host a b c\n  IdentityFile /more\n", "more")
    assert (resolve("a").port, resolve("a").user) == (11, "last")
    assert resolve("b").user == "bee"
    assert resolve("c").identities == (Path("/more"),)


def test_include_inside_a_block_holds_only_there(
    resolve: Resolve, write: Callable[..., Path]
) -> None:
    """What is included inside a Host block needs that block to match, and the block goes on."""
    write("Host a b\n  Include inner\n  Port 5\nHost *\n  Port 6\n")
    write("User both\nHost b c\n  User nested\n  Port 7\n", "inner")
    assert (resolve("a").user, resolve("a").port) == ("both", 5)
    assert resolve("b").port == 7
    assert resolve("c").port == 6
    assert resolve("c").user != "nested"


def test_include_that_includes_itself_is_told(resolve: Resolve, write: Callable[..., Path]) -> None:
    """A circle of Includes is an error, not an endless loop."""
    write("Include config\n")
    with pytest.raises(UserError, match="Include goes deeper"):
        resolve("h")


def test_match_applies(resolve: Resolve, write: Callable[..., Path]) -> None:
    """Match by host, user and command applies as in ssh."""
    write(
        "Host h\n  HostName real\n  User me\n"
        "Match host real user me\n  Port 1\n"
        'Match originalhost g exec "test %n = g"\n  Port 2\n'
        'Match originalhost g exec "false"\n  User wrong\n'
        "Match all\n  IdentityFile /all\n"
    )
    assert resolve("h").port == 1
    assert (resolve("g").port, resolve("g").user == "wrong") == (2, False)
    assert resolve("g").identities == (Path("/all"),)


def test_unknown_match_is_told(resolve: Resolve, write: Callable[..., Path]) -> None:
    """A condition that can't be evaluated is an error and not silently true."""
    path = write("Match localnetwork 10.0.0.0/8\n  User x\n")
    with pytest.raises(UserError, match=f"{path}: Match localnetwork is not supported"):
        resolve("h")


@pytest.mark.parametrize(
    ("text", "jumps", "command"),
    [
        ("ProxyJump me@gate:22,second", (Jump("gate", "me", 22), Jump("second")), None),
        ("ProxyJump none", (), None),
        ("ProxyCommand nc %h %p -u %r", (), "nc h 22 -u deploy"),
        ("ProxyCommand none", (), None),
        ("ProxyJump gate\nProxyCommand nc", (Jump("gate"),), None),
        ("ProxyCommand nc\nProxyJump gate", (), "nc"),
        ("ProxyCommand none\nProxyJump gate", (), None),
        ("ProxyJump h", (), None),
        ("ProxyJump h,gate", (), None),
    ],
)
def test_way_to_the_host(
    resolve: Resolve,
    write: Callable[..., Path],
    text: str,
    jumps: tuple[Jump, ...],
    command: str | None,
) -> None:
    """Of ProxyJump and ProxyCommand the first counts; no host jumps over itself."""
    write(text + "\n")
    place = resolve(Address("h", "h", user="deploy"))
    assert (place.jumps, place.proxy_command) == (jumps, command)


@pytest.mark.parametrize(
    "options", [(("proxyjump", "none"),), (("proxycommand", "none"),)], ids=["jump", "command"]
)
def test_inventory_can_switch_the_way_off(
    resolve: Resolve, write: Callable[..., Path], options: tuple[tuple[str, str], ...]
) -> None:
    """``none`` in the inventory goes directly whatever the config says."""
    write("ProxyJump gate\n")
    assert resolve(Address("h", "h", options=options)).jumps == ()


def test_hop_has_its_own_settings_and_the_targets_keys_last(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    """A hop is looked up on its own; the target's keys and known_hosts serve it as well."""
    write("Host gate\n  HostName gate.example.org\n  User jumper\n  IdentityFile /gate\n")
    config = SshConfig({"HOME": str(tmp_path)})
    target = Address(
        "w1", "10.0.0.1", user="deploy", identity_files=("~/key",), known_hosts_files=("/kh",)
    )
    hop = config.resolve_jump(Jump("gate", port=2022), target)
    assert (hop.hostname, hop.port, hop.user) == ("gate.example.org", 2022, "jumper")
    assert hop.identities == (Path("/gate"), tmp_path / "key")
    assert hop.required_identities == ()
    assert hop.known_hosts[:2] == (Path("/kh"), tmp_path / ".ssh" / "known_hosts")


@pytest.mark.parametrize(
    ("setting", "agent"),
    [
        ("", Path("/run/agent")),
        ("IdentityAgent none", None),
        ("IdentityAgent SSH_AUTH_SOCK", Path("/run/agent")),
        ("IdentityAgent $OTHER", Path("/run/other")),
        ("IdentityAgent /run/named", Path("/run/named")),
    ],
)
def test_agent(
    write: Callable[..., Path], tmp_path: Path, setting: str, agent: Path | None
) -> None:
    """The agent is the environment's unless the config names another, or none."""
    write(setting + "\n")
    environ = {"HOME": str(tmp_path), "SSH_AUTH_SOCK": "/run/agent", "OTHER": "/run/other"}
    assert SshConfig(environ).resolve(Address("h", "h")).agent == agent


@pytest.mark.parametrize("port", ["0", "65536", "ssh", "-1"])
def test_bad_port_is_told(resolve: Resolve, write: Callable[..., Path], port: str) -> None:
    """A Port that is none is an error that says where."""
    write(f"Port {port}\n")
    with pytest.raises(UserError, match=f"Port '{port}' for h is not a port"):
        resolve("h")


def test_home_is_found_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under cron HOME may be unset or empty: then the password file's home counts."""
    record = pwd.struct_passwd(("bot", "x", 1, 1, "", "/home/of/bot", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: record)
    assert home_of({}) == Path("/home/of/bot")
    assert home_of({"HOME": ""}) == Path("/home/of/bot")
    assert home_of({"HOME": "/else"}) == Path("/else")
    assert SshConfig({}).resolve(Address("h", "h", options=(("configfile", "none"),))).user == "bot"


LINES = st.sampled_from(
    [
        "Host a",
        "Host b*",
        "Host * !b2",
        "Host a b1",
        "Match host b1",
        "Match originalhost a,b2",
        "Match user alice",
        "Match all",
        "User alice",
        "User bob",
        "Port 1001",
        "Port = 1002",
        "HostName %h.example.org",
        'HostName "real"',
        "ProxyJump gate",
        "ProxyJump none",
        "IdentityFile /k1",
        "IdentityFile /k2",
        "IdentitiesOnly yes",
        "HostKeyAlias alias",
        "Include {inner}",
        "# comment",
        "",
    ]
)


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh here")
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(LINES, max_size=10), st.lists(LINES, max_size=5), st.sampled_from(["a", "b1", "b2"])
)
@example(lines=["IdentityFile /k1", "IdentityFile /k1"], inner=[], name="a")
def test_agrees_with_ssh(tmp_path: Path, lines: list[str], inner: list[str], name: str) -> None:
    """For any mixture of blocks and Includes we come to the same as ``ssh -G``."""
    file, included = tmp_path / "config", tmp_path / "inner"
    included.write_text("\n".join(one for one in inner if "Include" not in one) + "\n")
    file.write_text("\n".join(lines).replace("{inner}", str(included)) + "\n")
    asked = subprocess.run(
        ["ssh", "-G", "-F", str(file), name], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        return
    theirs: dict[str, list[str]] = {}
    for one in asked.stdout.splitlines():
        key, _, value = one.partition(" ")
        theirs.setdefault(key, []).append(value)
    place = SshConfig({"HOME": str(tmp_path)}).resolve(
        Address(name, name, options=(("configfile", str(file)),))
    )
    assert [place.hostname] == theirs["hostname"]
    assert [place.user] == theirs["user"]
    assert [str(place.port)] == theirs["port"]
    assert [place.identities_only] == [value == "yes" for value in theirs["identitiesonly"]]
    assert place.host_key_alias == theirs.get("hostkeyalias", [None])[0]
    named = [str(path) for path in place.identities if path.parent == Path("/")]
    assert named == [value for value in theirs["identityfile"] if value.startswith("/k")]
    jump = [] if theirs.get("proxyjump", ["none"]) == ["none"] else theirs["proxyjump"]
    assert [str(hop) for hop in place.jumps] == jump
