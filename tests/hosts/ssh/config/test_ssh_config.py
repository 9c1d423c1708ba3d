"""ssh's config applies to an inventory's hosts as it would for ssh itself."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from botdeploy.core.model.address import Address, Jump
from botdeploy.errors import UserError
from botdeploy.hosts.ssh.config import ssh_config
from botdeploy.hosts.ssh.config.ssh_config import SshConfig
from botdeploy.user_dirs import home_of, shell_of
from tests.effort import examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.hosts.ssh.config.ssh_config import Destination


class Resolve(Protocol):
    """Completes an address, or the address of a name."""

    def __call__(self, what: str | Address) -> Destination:
        """Give where ssh would go."""


@pytest.fixture(autouse=True)
def own_system_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's own ssh files out."""
    monkeypatch.setattr(ssh_config, "SYSTEM_CONFIG", tmp_path / "etc" / "ssh_config")
    monkeypatch.setattr(ssh_config, "SYSTEM_KNOWN_HOSTS", (tmp_path / "etc" / "known_hosts",))


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
    kinds = ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk")
    assert place.identities == tuple(ssh / f"id_{kind}" for kind in kinds)
    assert place.has_default_identities
    assert place.known_hosts[:2] == (ssh / "known_hosts", ssh / "known_hosts2")
    assert place.known_hosts[2] == tmp_path / "etc" / "known_hosts"
    assert place.agent is None


def test_config_fills_what_the_inventory_leaves_open(
    resolve: Resolve, write: Callable[..., Path], tmp_path: Path
) -> None:
    """HostName, User, Port, IdentityFile and the rest are taken from the config."""
    write(
        "Host bot*\n"
        "  HostName %h.example.org\n  User me\n  Port 2200\n"
        "  IdentityFile ~/.ssh/%r@%h\n  IdentityFile %d/second\n  IdentitiesOnly yes\n"
        "  UserKnownHostsFile ~/.ssh/kh1 ~/.ssh/kh2\n  HostKeyAlias The-%n\n"
        "  ConnectTimeout 7\n  AddressFamily inet\n"
        "Host *\n  User nobody\n"
    )
    place = resolve("bot1")
    assert place.hostname == "bot1.example.org"
    assert place.port == 2200
    assert place.identities == (
        tmp_path / ".ssh" / "me@bot1.example.org",
        tmp_path / "second",
    )
    assert place.identities_only
    assert place.known_hosts[:2] == (tmp_path / ".ssh" / "kh1", tmp_path / ".ssh" / "kh2")
    assert place.host_key_alias == "the-%n", "ssh expands nothing here, and knows no capitals"
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
    with pytest.raises(UserError, match="/nowhere: this ssh config file does not exist"):
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


def test_what_cannot_be_evaluated_matters_only_where_it_may_apply(
    resolve: Resolve, write: Callable[..., Path]
) -> None:
    """A condition of the future is an error, but only for hosts that the others let through."""
    path = write(
        "Host h\n  Port 5\nMatch host other moonphase full\n  User x\n"
        "Match moonphase full host another\n  User y\n"
    )
    assert resolve("h").port == 5
    for name, line in (("other", 3), ("another", 5)):
        with pytest.raises(UserError, match=f"{path}:{line}: Match moonphase is not supported"):
            resolve(name)


def test_what_is_wrong_in_a_block_matters_only_where_the_block_applies(
    resolve: Resolve, write: Callable[..., Path]
) -> None:
    """Open quotes, missing values and Includes that can't be read hurt their own hosts alone."""
    path = write('Host a\n  User "x\nHost b\n  Port\nHost c\n  Include dir\nHost d\n  User d\n')
    (path.parent / "dir").mkdir()
    assert resolve("d").user == "d"
    for name, problem in (
        ("a", "config:2: user: a quote is not closed"),
        ("b", "config:4: port has no value"),
        ("c", "dir: Is a directory"),
    ):
        with pytest.raises(UserError, match=problem):
            resolve(name)


def test_config_that_others_may_write_is_not_taken(
    resolve: Resolve, write: Callable[..., Path]
) -> None:
    """Its commands run as us; ssh refuses it too."""
    path = write("User x\n")
    path.chmod(0o664)
    with pytest.raises(UserError, match=f"{path}: bad owner or permissions.*chmod go-w {path}"):
        resolve("h")


def test_final_match_as_red_hat_ships_it(resolve: Resolve, write: Callable[..., Path]) -> None:
    """``Match final all`` in the system's files is a second pass over all of them."""
    write("Host h\n  HostName real.example.org\nHost real.example.org\n  User second\n")
    write("Include ssh_config.d/*.conf\n", "../etc/ssh_config")
    write(
        "Match final all\n  Include crypto.conf\n  GSSAPIAuthentication yes\n"
        "  ForwardX11Trusted yes\n  Port 2222\n",
        "../etc/ssh_config.d/50-redhat.conf",
    )
    write("Ciphers aes256-gcm@openssh.com\nIdentityFile /k\n", "../etc/crypto.conf")
    place = resolve("h")
    assert (place.hostname, place.user, place.port) == ("real.example.org", "second", 2222)
    assert place.identities == (Path("/k"),)
    assert resolve(Address("h", "h", user="deploy", port=22)).port == 22


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("user deploy", True),
        ("user de*,!deploy", False),
        ("!user deploy", False),
        ("host=h", True),
        ("host = h", True),
        ("!host = h", False),
        ("localnetwork 127.0.0.0/8", True),
        ("localnetwork 203.0.113.0/24,127.0.0.1/32", True),
        ("localnetwork ::1/128", None),
        ("localnetwork 203.0.113.0/24", False),
        ("!localnetwork 203.0.113.0/24", True),
        ("tagged t1", True),
        ("tagged t2", False),
        ("sessiontype exec", True),
        ("sessiontype shell", False),
        ('command "exec /bin/sh*"', True),
        ("command rsync*", False),
        ("version *", True),
        ("version NotSsh*", False),
        ("canonical", False),
        ("final", True),
        ("all", True),
        ("!all", False),
    ],
)
def test_match_conditions(
    resolve: Resolve,
    write: Callable[..., Path],
    condition: str,
    holds: bool | None,  # noqa: FBT001
) -> None:
    """Every condition of OpenSSH 10 is evaluated; the inventory's user and tag count."""
    write(f"Match {condition}\n  Port 77\n")
    address = Address("h", "h", user="deploy", options=(("tag", "t1"),))
    place = resolve(address)
    assert holds is None or (place.port == 77) == holds, "None: as this machine has it"


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


@pytest.mark.parametrize("port", ["0", "65536", "no-service", "-1"])
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


@pytest.mark.parametrize(
    ("environ", "user"), [({"USER": "ci"}, "ci"), ({"LOGNAME": "log"}, "log"), ({}, "12345")]
)
def test_uid_without_a_passwd_entry(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], user: str
) -> None:
    """In a container nobody may know the uid: USER, LOGNAME or the uid itself is the name."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    config = SshConfig(environ)
    assert config.home == Path("/")
    assert config.resolve(Address("h", "h")).user == user


@pytest.mark.parametrize(
    ("config", "hostname", "port"),
    [
        ("", "bot.example.org", 5),
        ("CanonicalizeMaxDots 0\n", "bot.example.org", 5),
        ("CanonicalizePermittedCNAMEs *.example.org:*.example.net\n", "real.example.net", 6),
        ("CanonicalizePermittedCNAMEs *.example.com:*.example.net\n", "bot.example.org", 5),
        ("ProxyJump gate\n", "bot", 22),
        ("ProxyJump gate\nCanonicalizeHostname always\n", "bot.example.org", 5),
        ("CanonicalDomains none\n", "bot", 7),
    ],
)
def test_full_names(
    resolve: Resolve,
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    hostname: str,
    port: int,
) -> None:
    """CanonicalizeHostname finds a host's full name, by which the files are read again."""
    names = {"bot.example.org.": "real.example.net"}

    def look_up(name: str, *more: int) -> list[object]:
        if more[-1] == socket.AI_NUMERICHOST or name not in names:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(0, 0, 0, names[name], ("192.0.2.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    write(
        f"{config}Match final host *.org\n  Port 5\nHost *.net\n  Port 6\nMatch final\n  Port 7\n"
        "Host *\n  CanonicalizeHostname yes\n  CanonicalDomains nowhere.example example.org\n"
    )
    if "gate" in config and "always" not in config:
        port = 7  # The files are read again, although the name stays.
    place = resolve("bot")
    assert (place.hostname, place.port) == (hostname, port)
    write("CanonicalizeHostname yes\nCanonicalDomains x.example\nCanonicalizeFallbackLocal no\n")
    with pytest.raises(UserError, match="no domain of CanonicalDomains has a host bot"):
        resolve("bot")


# --- ssh itself as the judge --------------------------------------------------------------------

SSH = shutil.which("ssh")
NAMES = ("a", "b1", "B2", "a.example.org", "192.0.2.7", "127.1")
USERS = ("alice", "bob")


@cache
def ssh_version() -> tuple[int, int]:
    """Give the version of the ssh that is installed."""
    said = subprocess.run([SSH or "ssh", "-V"], capture_output=True, text=True, check=False).stderr
    major, minor = said.partition("OpenSSH_")[2].split("p")[0].split(".")[:2]
    return int(major), int(minor)


def patterns(names: st.SearchStrategy[str], joint: str) -> st.SearchStrategy[str]:
    """Draw a list of patterns, some of them negated."""
    one = st.tuples(st.sampled_from(["", "", "!"]), names).map("".join)
    return st.lists(one, min_size=1, max_size=3).map(joint.join)


HOST_PATTERNS = st.sampled_from(
    ["a", "b1", "B2", "b2", "b*", "?1", "*", "*.example.org", "real.example.org", "192.0.2.?"]
)
USER_PATTERNS = st.sampled_from(["alice", "bob", "a*", "*", "Alice", "root"])
#: Values as words, quoted in the ways that ssh knows.
QUOTED = st.sampled_from(["{}", '"{}"', "'{}'"])
SEPARATORS = st.sampled_from([" ", "\t", "  ", "=", " = ", "\t=\t"])
COMMENTS = st.sampled_from(["", "", "", " # comment", "\t#", ' # "open', "  \t", "\r"])
INDENTS = st.sampled_from(["", "  ", "\t"])


def any_case(words: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Draw keywords in lower, upper and usual case."""
    return words.flatmap(lambda word: st.sampled_from([word, word.lower(), word.upper()]))


@st.composite
def settings_lines(draw: st.DrawFn) -> str:
    """Draw a line that sets something."""
    keyword, values = draw(
        st.sampled_from(
            [
                ("User", ["alice", "bob"]),
                ("Port", ["1001", "1002", "22"]),
                ("HostName", ["real.example.org", "%h.example.org", "Upper", "%%", "192.0.2.9"]),
                ("IdentityFile", ["/k1", "/k2", "/with space", "none"]),
                ("CertificateFile", ["/c1", "/c2"]),
                ("IdentitiesOnly", ["yes", "no", "true", "FALSE"]),
                ("HostKeyAlias", ["alias", "Other", "%n"]),
                ("ConnectTimeout", ["5", "1m", "1m30s", "none"]),
                ("AddressFamily", ["inet", "inet6", "any"]),
                ("BindAddress", ["127.0.0.1", "*"]),
                ("IdentityAgent", ["/run/agent", "none", "SSH_AUTH_SOCK"]),
                ("CanonicalizeHostname", ["no", "yes", "always"]),
                ("CanonicalDomains", ["none"]),
                ("IPQoS", ["throughput"]),
            ]
        )
    )
    value = draw(st.sampled_from(values))
    form = '"{}"' if " " in value else draw(QUOTED)
    sign = draw(SEPARATORS)
    return f"{draw(any_case(st.just(keyword)))}{sign}{form.format(value)}{draw(COMMENTS)}"


WAYS = st.sampled_from(
    [
        "ProxyJump gate",
        "ProxyJump=me@gate:2022",
        "ProxyJump first,second",
        "ProxyJump none",
        "ProxyCommand nc -X 5 %h %p",
        'ProxyCommand = "nc" %h',
        "ProxyCommand none",
        "UserKnownHostsFile /kh1 /kh2 # c",
        "UserKnownHostsFile=none",
        "GlobalKnownHostsFile /g1",
    ]
)


@st.composite
def blocks(draw: st.DrawFn) -> str:
    """Draw a line that begins a block."""
    if draw(st.booleans()):
        names = draw(patterns(HOST_PATTERNS, " "))
        return f"{draw(any_case(st.just('Host')))}{draw(SEPARATORS)}{names}{draw(COMMENTS)}"
    kinds = ["host", "originalhost", "user", "localuser", "exec", "final", "canonical"]
    if ssh_version() >= (9, 4):
        kinds += ["localnetwork", "tagged"]
    if ssh_version() >= (10, 0):
        kinds += ["sessiontype", "version"]
    words: list[str] = []
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=3)):
        sign = "!" if draw(st.integers(0, 3)) == 0 else ""
        argument = {
            "host": patterns(HOST_PATTERNS, ","),
            "originalhost": patterns(HOST_PATTERNS, ","),
            "user": patterns(USER_PATTERNS, ","),
            "localuser": patterns(USER_PATTERNS, ","),
            "exec": st.sampled_from(
                ['"test %h = %n"', "true", '"test %p = 1001"', '"test %r = alice"']
            ),
            "localnetwork": st.sampled_from(["127.0.0.0/8", "203.0.113.0/24,198.51.100.1/32"]),
            "tagged": st.sampled_from(["t1", "t*", "*"]),
            "sessiontype": st.sampled_from(["exec", "shell"]),
            "version": st.sampled_from(["OpenSSH_*", "Other*"]),
        }.get(kind)
        word = draw(any_case(st.just(kind)))
        if argument is None:
            words.append(sign + word)
        else:
            words += [sign + word + draw(st.sampled_from([" ", " ", "="])) + draw(argument)]
    if len(words) < 2 and (not words or draw(st.booleans())):
        words.append("all")
    return f"{draw(any_case(st.just('Match')))} {' '.join(words)}{draw(COMMENTS)}"


@pytest.mark.parametrize(
    ("shell", "expected"),
    [("", "/bin/sh"), ("/bin/bash", "/bin/bash"), ("/usr/sbin/nologin", "/bin/sh")],
)
def test_commands_run_in_the_users_shell(shell: str, expected: str) -> None:
    """The shell is the user's, as with ssh, unless it is none."""
    assert shell_of({"SHELL": shell} if shell else {}) == expected


def test_shell_that_does_not_run_is_told(write: Callable[..., Path], tmp_path: Path) -> None:
    """A SHELL that does not exist is told where its answer would count, and only there."""
    write("Host other\nMatch exec true\n  Port 2\nHost w1\n  Port 3\n")
    config = SshConfig({"HOME": str(tmp_path), "SHELL": "/nowhere/shell"})
    with pytest.raises(
        UserError, match=r"config:2: Match exec: cannot run /nowhere/shell: No such"
    ):
        config.resolve(Address("w1", "w1"))
    write("Match host other exec true\n  Port 2\n")
    config = SshConfig({"HOME": str(tmp_path), "SHELL": "/nowhere/shell"})
    assert config.resolve(Address("w1", "w1")).port == 22


LINES = st.one_of(
    settings_lines(),
    settings_lines(),
    WAYS,
    blocks(),
    st.sampled_from(
        ["Include {inner}", "Include {folder}/*.conf", "include = {folder}/n*", "# c", ""]
    ),
)
FILES = st.lists(st.tuples(INDENTS, LINES).map("".join), max_size=12)


def asked(file: Path, name: str, *more: str) -> dict[str, list[str]] | None:
    """Ask ssh itself; None where it refuses the file."""
    command = [SSH or "ssh", "-G", "-F", str(file), *more, name, "command"]
    said = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if said.returncode != 0:
        return None
    theirs: dict[str, list[str]] = {}
    for line in said.stdout.splitlines():
        key, _, value = line.partition(" ")
        theirs.setdefault(key, []).append(value)
    return theirs


def none_as(value: str | None) -> str | None:
    return None if value == "none" else value


@pytest.mark.programs
@pytest.mark.skipif(SSH is None, reason="no ssh here")
@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    outer=FILES,
    inner=FILES,
    other=FILES,
    name=st.sampled_from(NAMES),
    user=st.sampled_from([None, *USERS]),
    port=st.sampled_from([None, 1001]),
)
@example(
    outer=["IdentityFile /k1", "IdentityFile /k1"],
    inner=[],
    other=[],
    name="a",
    user=None,
    port=None,
)
@example(
    outer=["Include {inner}", "Host real.example.org", "Port 1002"],
    inner=["HostName real.example.org", "Match final all", "User bob", "CertificateFile /c1"],
    other=[],
    name="a",
    user=None,
    port=None,
)
@example(
    outer=["Match user alice", "HostName 192.0.2.9 # web", "Port 1001 # p"],
    inner=[],
    other=[],
    name="a",
    user="alice",
    port=None,
)
def test_agrees_with_ssh(
    tmp_path: Path,
    outer: list[str],
    inner: list[str],
    other: list[str],
    name: str,
    user: str | None,
    port: int | None,
) -> None:
    """For any mixture of blocks, conditions, quotes and Includes we come to what ssh comes to."""
    file, included, folder = tmp_path / "config", tmp_path / "inner", tmp_path / "folder"
    folder.mkdir(exist_ok=True)

    def write(place: Path, lines: list[str], *, nested: bool = False) -> None:
        kept = [one for one in lines if nested or "nclude" not in one]
        text = "\n".join(kept) + "\n"
        place.write_text(text.replace("{inner}", str(included)).replace("{folder}", str(folder)))

    write(file, outer, nested=True)
    write(included, inner)
    write(folder / "1.conf", other)
    write(folder / "name", other[::-1])
    flags = [*(["-l", user] if user else []), *(["-p", str(port)] if port else [])]
    theirs = asked(file, name, *flags)
    if theirs is None:
        return
    place = SshConfig({"HOME": str(tmp_path)}).resolve(
        Address(name, name, user=user, port=port, options=(("configfile", str(file)),))
    )
    assert [place.hostname] == theirs["hostname"]
    assert [place.user] == theirs["user"]
    assert [str(place.port)] == theirs["port"]
    assert [place.identities_only] == [value == "yes" for value in theirs["identitiesonly"]]
    assert place.host_key_alias == theirs.get("hostkeyalias", [None])[0]
    if not place.has_default_identities:
        theirs_named = [one for one in theirs["identityfile"] if one != "none"]
        assert [str(path) for path in place.identities] == theirs_named
    assert [str(path) for path in place.certificates] == theirs.get("certificatefile", [])
    jump = none_as(theirs.get("proxyjump", ["none"])[0])
    assert ",".join(map(str, place.jumps)) == (jump or "")
    command = none_as(theirs.get("proxycommand", ["none"])[0])
    tokens = {"%h": place.hostname, "%p": str(place.port)}
    for token, value in tokens.items():
        command = command.replace(token, value) if command else None
    assert place.proxy_command == command
    timeout = none_as(theirs["connecttimeout"][0])
    assert place.connect_timeout_s == (float(timeout) if timeout else None)
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "any": socket.AF_UNSPEC}
    assert place.family == family[theirs["addressfamily"][0]]
    assert place.bind_address == theirs.get("bindaddress", [None])[0]
    agent = theirs.get("identityagent", [None])[0]
    assert place.agent == (Path(agent) if agent == "/run/agent" else None)
    known = [
        one
        for one in (*theirs["userknownhostsfile"], *theirs["globalknownhostsfile"])
        for one in one.split()
        if one.startswith(("/kh", "/g"))
    ]
    assert [str(one) for one in place.known_hosts if one.parent == Path("/")] == known


@pytest.mark.programs
@pytest.mark.skipif(SSH is None, reason="no ssh here")
@pytest.mark.parametrize(
    "option",
    [
        "ProxyCommand ssh -o StrictHostKeyChecking=no -W host:22 gate",
        "ProxyCommand = nc -x a=b host 22",
        'ProxyCommand="/opt/my nc" host',
        'ProxyCommand "/opt/my nc"',
        "ProxyCommand nc host # c",
        "ProxyJump alice@gate:2222 # c",
        'ProxyJump "gate"',
        "Port\t2222",
        " Port = 2222 ",
        '"Port" 2222',
        'Port "2222" # c',
        "HostName real # c",
        "HostName = 'real'",
        "User=a#b",
        'HostKeyAlias "a=b c" # d',
        "IdentityFile /a=b # c",
        'IdentityFile "/a b"',
        'CertificateFile "/a b"',
        "BindAddress 127.0.0.1 # c",
        'UserKnownHostsFile="/kh=1" "/kh 2" # c',
        "GlobalKnownHostsFile /g1 '/g2' # c",
    ],
)
def test_an_option_in_arguments_is_split_as_ssh_splits_it(resolve: Resolve, option: str) -> None:
    """An equals sign, a blank, quotes and a comment mean in ``-o`` what they mean to ssh."""
    theirs = asked(Path("none"), "w1", "-o", option)
    assert theirs is not None
    args = shlex.join(["-F", "none", "-o", option])
    place = resolve(Address("w1", "w1").with_ssh_args(args))
    ours = {
        "hostname": [place.hostname],
        "user": [place.user],
        "port": [str(place.port)],
        "proxycommand": [place.proxy_command or "none"],
        "proxyjump": [",".join(map(str, place.jumps)) or "none"],
        "hostkeyalias": [place.host_key_alias or "none"],
        "bindaddress": [place.bind_address or "none"],
        "identityfile": [str(path) for path in place.required_identities],
        "certificatefile": [str(path) for path in place.certificates],
        "userknownhostsfile": [" ".join(str(path) for path in place.known_hosts)],
        "globalknownhostsfile": [" ".join(str(path) for path in place.known_hosts[2:])],
    }
    name = option.replace("=", " ").split()[0].strip('"').lower()
    files = theirs["globalknownhostsfile"][0]
    if name == "userknownhostsfile":
        files = f"{theirs[name][0]} {place.known_hosts[-1]}"
    theirs[name] = [files] if name.endswith("knownhostsfile") else theirs[name]
    assert ours[name] == theirs[name]


@pytest.mark.programs
@pytest.mark.skipif(SSH is None, reason="no ssh here")
@pytest.mark.parametrize(
    "args",
    [
        "-o HostName=192.0.2.99",
        "-o HostName=192.0.2.99 -o HostName=192.0.2.98",
        "-o HostName=%h.example.org",
        "-o HostName=%%%h",
        "-p 2223 -o HostName=real",
    ],
)
@pytest.mark.parametrize("given", ["w1", "192.0.2.1"])
def test_hostname_in_arguments_is_an_option_and_not_the_name_that_ssh_is_given(
    resolve: Resolve, write: Callable[..., Path], given: str, args: str
) -> None:
    """It wins over the name and the config; Host lines are compared with the name."""
    file = write(
        "Match host real\n  User match\n"
        "Host w1\n  Port 2222\n  HostName other\nHost 192.0.2.99\n  Port 99\n"
    )
    theirs = asked(file, given, *shlex.split(args))
    assert theirs is not None
    place = resolve(Address("w1", given).with_ssh_args(f"-F {file} {args}"))
    assert [place.hostname] == theirs["hostname"]
    assert [str(place.port)] == theirs["port"]
    assert [place.user] == theirs["user"]


TOKENS = ("%%", "%C", "%L", "%d", "%h", "%i", "%k", "%l", "%n", "%p", "%r", "%u")


@pytest.mark.programs
@pytest.mark.skipif(SSH is None, reason="no ssh here")
@pytest.mark.parametrize("keyword", ["Match exec", "ProxyCommand"])
def test_tokens_are_those_of_ssh(tmp_path: Path, keyword: str) -> None:
    """Each token of ssh stands for the same as with ssh."""
    said = tmp_path / "said"
    tokens = TOKENS if keyword == "Match exec" else ("%%", "%h", "%n", "%p", "%r")
    command = f"echo {' '.join(tokens)} | tee {said}"
    head = "Host h\nHostName Real.%h.example\nUser alice\nPort 77\nHostKeyAlias Key\n"
    home = pwd.getpwuid(os.getuid()).pw_dir
    file = tmp_path / "config"
    if keyword == "Match exec":
        file.write_text(f'{head}Match exec "{command}"\n')
        assert asked(file, "h") is not None
    else:
        file.write_text(f"{head}ProxyCommand {command}\n")
        subprocess.run([SSH or "ssh", "-F", str(file), "h"], capture_output=True, check=False)
    theirs = said.read_text()
    said.unlink()
    place = SshConfig({"HOME": home}).resolve(
        Address("h", "h", options=(("configfile", str(file)),))
    )
    if place.proxy_command:
        subprocess.run(["/bin/sh", "-c", place.proxy_command], check=True)
    assert said.read_text() == theirs
