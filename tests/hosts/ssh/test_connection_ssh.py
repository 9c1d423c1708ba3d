"""SSH connections against a real SSH server on loopback: keys, losses, gateways, leaks."""

from __future__ import annotations

import base64
import gc
import os
import resource
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import fabric
import paramiko
import pytest

from botdeploy.core.model.address import Address
from botdeploy.errors import (
    AddressRefused,
    AuthenticationFailed,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
    OutcomeUnknown,
    Unreachable,
    UserError,
)
from botdeploy.hosts.acts.acts import Acts
from botdeploy.hosts.acts.call import Caller
from botdeploy.hosts.acts.lock import LockRequest
from botdeploy.hosts.ssh import link as link_module
from botdeploy.hosts.ssh import retry
from botdeploy.hosts.ssh.channels import silence
from botdeploy.hosts.ssh.channels.packetizer import WatchfulPacketizer
from botdeploy.hosts.ssh.channels.silence import SilenceLimits
from botdeploy.hosts.ssh.config import ssh_config
from botdeploy.hosts.ssh.connector import Connector
from botdeploy.hosts.ssh.keys.known_hosts import fingerprint
from tests.hosts.connection_contract import (
    ConnectionContract,
    closing,
    count_descriptors,
    wait_until,
)
from tests.hosts.ssh.sshserver import Relay, SshServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from botdeploy.hosts.process.program import HostConnection

pytestmark = pytest.mark.programs

HOST_KEY = paramiko.ECDSAKey.generate()
OTHER_HOST_KEY = paramiko.ECDSAKey.generate()
RSA_HOST_KEY = paramiko.RSAKey.generate(2048)
USER_KEY = paramiko.ECDSAKey.generate()
OTHER_USER_KEY = paramiko.ECDSAKey.generate()


@dataclass
class Home:
    """A user's home folder with ssh's files, and the connectors made for it."""

    path: Path
    connectors: list[Connector] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def known_hosts(self) -> Path:
        return self.path / ".ssh" / "known_hosts"

    def write_key(self, key: paramiko.PKey, name: str = "id_ecdsa", *, mode: int = 0o600) -> Path:
        path = self.path / ".ssh" / name
        key.write_private_key_file(str(path))
        path.chmod(mode)
        return path

    def know(self, port: int, key: paramiko.PKey = HOST_KEY) -> None:
        with self.known_hosts.open("a") as stream:
            stream.write(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")

    def connector(self, **settings: float) -> Connector:
        connector = Connector({"HOME": str(self.path), **self.environ}, time.time, **settings)
        self.connectors.append(connector)
        return connector


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Give a home with a key and no known_hosts; the machine's own ssh files don't count."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.setattr(ssh_config, "SYSTEM_CONFIG", tmp_path / "none")
    monkeypatch.setattr(ssh_config, "SYSTEM_KNOWN_HOSTS", ())
    made = Home(tmp_path)
    made.write_key(USER_KEY)
    yield made
    for connector in made.connectors:
        connector.close()


@pytest.fixture
def new_server() -> Iterator[Callable[..., SshServer]]:
    """Give a function that starts servers, which end with the test."""
    servers: list[SshServer] = []

    def start(*host_keys: paramiko.PKey) -> SshServer:
        servers.append(SshServer(host_keys or [HOST_KEY], accepted=[USER_KEY]))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(new_server: Callable[..., SshServer]) -> SshServer:
    """Give a running server that accepts the home's key."""
    return new_server()


@pytest.fixture
def relay(server: SshServer, home: Home) -> Iterator[Relay]:
    """Give a link to the server that can be cut; the server is known at its port."""
    made = Relay(server.port)
    home.know(made.port)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pause for milliseconds between tries."""
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(retry, "LONGEST_PAUSE_S", 0.002)


@pytest.fixture
def connection(server: SshServer, home: Home) -> Iterator[HostConnection]:
    """Give an open connection to the loopback server."""
    home.know(server.port)
    yield from closing(home.connector().connect(at(server.port)))


def at(port: int, **settings: object) -> Address:
    """Give the address of a server on loopback."""
    return replace(
        Address("w1", "127.0.0.1", port=port, user="deploy"),
        **settings,  # type: ignore[arg-type]
    )


class TestSshConnection(ConnectionContract):
    """The contract, over SSH."""


# --- host keys --------------------------------------------------------------------------------


def test_fabric_alone_would_accept_any_key(server: SshServer, home: Home) -> None:
    """Stock Fabric logs in at a host whose key nobody knows: the reason for our own policy."""
    key = str(home.path / ".ssh" / "id_ecdsa")
    stock = fabric.Connection(
        "127.0.0.1", port=server.port, user="deploy", connect_kwargs={"key_filename": key}
    )
    stock.open()
    assert stock.is_connected
    stock.close()


def test_fabrics_own_policy_is_never_asked(
    new_server: Callable[..., SshServer], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fabric's AutoAddPolicy sees no key: of a host, of a gateway, known or unknown."""
    asked: list[object] = []
    monkeypatch.setattr(
        paramiko.AutoAddPolicy, "missing_host_key", lambda *seen: asked.append(seen)
    )
    gateway, unknown, behind = new_server(), new_server(), new_server()
    home.know(gateway.port)
    home.know(behind.port)
    connector = home.connector()
    assert connector.connect(at(behind.port, jumps=(f"deploy@127.0.0.1:{gateway.port}",))).is_alive
    for way in ((), (f"deploy@127.0.0.1:{gateway.port}",)):
        with pytest.raises(HostKeyUnknown):
            connector.connect(at(unknown.port, jumps=way))
    with pytest.raises(HostKeyUnknown):
        connector.connect(at(behind.port, jumps=(f"deploy@127.0.0.1:{unknown.port}",)))
    assert unknown.logins == []
    assert asked == []


def test_unknown_host_key_is_refused(server: SshServer, home: Home) -> None:
    """A host whose key is in no known_hosts is refused before any login is tried."""
    with pytest.raises(HostKeyUnknown) as caught:
        home.connector().connect(at(server.port))
    message = str(caught.value)
    assert message.startswith("w1: ")
    assert f"ecdsa-sha2-nistp256 {fingerprint(HOST_KEY.asbytes())}" in message
    assert f"ssh-keyscan -p {server.port} -t ecdsa 127.0.0.1 >> {home.known_hosts}" in message
    assert server.logins == []
    assert server.connections == 1


@pytest.mark.parametrize("way", ["direct", "alias"])
def test_where_no_host_was_ever_known_the_folder_is_made(
    server: SshServer, home: Home, tmp_path: Path, way: str
) -> None:
    """A new user has no ~/.ssh yet: what is printed works as it stands there, too."""
    file = tmp_path / "no such folder" / ".ssh" / "known_hosts"
    address = replace(at(server.port), known_hosts_files=(str(file),))
    if way == "alias":
        address = address.with_ssh_args("-o HostKeyAlias=w1")
    with pytest.raises(HostKeyUnknown) as caught:
        home.connector().connect(address)
    command = str(caught.value).rpartition("accept it: ")[2]
    assert f">> '{file}'" in command
    if way == "alias":  # ssh-keyscan may not be there, and asks again
        subprocess.run(["/bin/sh", "-c", command], check=True)
        assert "w1 ecdsa" in file.read_text()
        assert file.parent.stat().st_mode & 0o77 == 0
    else:
        assert command.startswith(f"mkdir -p -m 700 '{file.parent}' && ssh-keyscan")


@pytest.mark.parametrize("setting", ["/dev/null", "none"])
@pytest.mark.parametrize("where", ["arguments", "config"])
def test_known_hosts_that_keep_nothing_are_named(
    server: SshServer, home: Home, setting: str, where: str
) -> None:
    """UserKnownHostsFile=/dev/null can't make a host known: the setting is what is wrong."""
    address = at(server.port)
    if where == "config":
        (home.path / ".ssh" / "config").write_text(f"UserKnownHostsFile {setting}\n")
    else:
        address = address.with_ssh_args(
            f"-o UserKnownHostsFile={setting} -o StrictHostKeyChecking=no"
        )
    with pytest.raises(HostKeyUnknown) as caught:
        home.connector().connect(address)
    message = str(caught.value)
    assert f"UserKnownHostsFile is {setting}, so no host key can be stored" in message
    assert "botdeploy always checks host keys" in message
    assert ">> /dev/null" not in message
    assert ">> ~/.ssh/known_hosts" in message


def test_printed_command_makes_the_key_known(server: SshServer, home: Home) -> None:
    """The command in the message, run as it stands, makes the next connection work."""
    (home.path / ".ssh" / "config").write_text("Host *\n  HostKeyAlias bots\n")
    with pytest.raises(HostKeyUnknown) as caught:
        home.connector().connect(at(server.port))
    command = str(caught.value).rpartition("accept it: ")[2]
    assert command.startswith("echo 'bots ecdsa-sha2-nistp256 ")
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert home.connector().connect(at(server.port)).run("echo in").stdout == b"in\n"


def test_changed_host_key_is_refused(server: SshServer, home: Home) -> None:
    """A key other than the known one is refused with both fingerprints, file and line."""
    home.known_hosts.write_text("# a comment\n")
    home.know(server.port, OTHER_HOST_KEY)
    with pytest.raises(HostKeyChanged) as caught:
        home.connector().connect(at(server.port))
    message = str(caught.value)
    assert fingerprint(HOST_KEY.asbytes()) in message
    assert fingerprint(OTHER_HOST_KEY.asbytes()) in message
    assert f"{home.known_hosts}:2 says" in message
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}' -f {home.known_hosts}" in message
    assert server.logins == []


def test_revoked_host_key_is_refused_although_known(server: SshServer, home: Home) -> None:
    """A key that any line revokes is refused, also when another line lists it."""
    home.know(server.port)
    with home.known_hosts.open("a") as stream:
        stream.write(f"@revoked * {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
    with pytest.raises(HostKeyChanged, match=r"is revoked in .*known_hosts:2: "):
        home.connector().connect(at(server.port))
    assert server.logins == []


@pytest.mark.parametrize("where", ["arguments", "config"])
def test_list_of_revoked_keys_counts(server: SshServer, home: Home, where: str) -> None:
    """A key that RevokedHostKeys lists is refused although it is known; so is an unread list."""
    home.know(server.port)
    revoked = home.path / "revoked"
    address = at(server.port)
    if where == "config":
        (home.path / ".ssh" / "config").write_text(f"RevokedHostKeys {revoked}\n")
    else:
        address = address.with_ssh_args(f"-o RevokedHostKeys={revoked}")
    for text, problem in (
        (None, "cannot be read"),
        (b"SSHKRL\n\0\0\0", "cannot be read .* not a KRL"),
        (f"# old\n{HOST_KEY.get_name()} {HOST_KEY.get_base64()} w1\n".encode(), "is revoked in "),
    ):
        if text is not None:
            revoked.write_bytes(text)
        with pytest.raises(HostKeyChanged, match=problem):
            home.connector().connect(address)
    assert server.logins == []
    revoked.write_text(f"{OTHER_HOST_KEY.get_name()} {OTHER_HOST_KEY.get_base64()}\n")
    assert home.connector().connect(address).is_alive


def test_authority_alone_is_not_taken_for_the_host_key(server: SshServer, home: Home) -> None:
    """A certificate authority's line does not make the same plain key acceptable."""
    home.known_hosts.write_text(
        f"@cert-authority * {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n"
    )
    with pytest.raises(HostKeyUnknown, match="the host has no certificate"):
        home.connector().connect(at(server.port))
    assert server.logins == []


@pytest.mark.parametrize("known", [RSA_HOST_KEY, HOST_KEY], ids=["rsa", "ecdsa"])
def test_host_is_asked_for_the_key_type_it_is_known_by(
    new_server: Callable[..., SshServer], home: Home, known: paramiko.PKey
) -> None:
    """A host with keys of several types connects when only one of them is known."""
    server = new_server(HOST_KEY, RSA_HOST_KEY)
    home.know(server.port, known)
    assert home.connector().connect(at(server.port)).run("exit 2").exit_status == 2


def test_known_host_with_only_another_type_is_refused(
    new_server: Callable[..., SshServer], home: Home
) -> None:
    """A known host that suddenly has only a key of another type counts as changed."""
    server = new_server(RSA_HOST_KEY)
    home.know(server.port, HOST_KEY)
    with pytest.raises(HostKeyChanged):
        home.connector().connect(at(server.port))


def test_key_known_without_a_port_is_known(server: SshServer, home: Home) -> None:
    """A key listed for the bare name counts on another port too, as for ssh."""
    home.known_hosts.write_text(f"127.0.0.1 {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
    assert home.connector().connect(at(server.port)).is_alive


def test_inventory_names_other_known_hosts_files(server: SshServer, home: Home) -> None:
    """known_hosts files of the address are used instead of the user's own."""
    home.know(server.port, OTHER_HOST_KEY)
    file = home.path / "other"
    home.known_hosts.rename(home.path / "wrong")
    file.write_text(f"[127.0.0.1]:{server.port} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
    address = at(server.port, known_hosts_files=(str(file),))
    assert home.connector().connect(address).is_alive


def test_unreadable_known_hosts_is_an_error(server: SshServer, home: Home) -> None:
    """A known_hosts that can't be read is told, and nothing is accepted instead."""
    home.known_hosts.mkdir()
    with pytest.raises(HostKeyUnknown, match="cannot read"):
        home.connector().connect(at(server.port))


# --- logging in -------------------------------------------------------------------------------


def test_refused_key_is_told_and_not_tried_again(server: SshServer, home: Home) -> None:
    """A refused login names user, host and key, and knocks only once."""
    home.know(server.port)
    path = home.write_key(OTHER_USER_KEY)
    with pytest.raises(AuthenticationFailed) as caught:
        home.connector().connect(at(server.port))
    message = str(caught.value)
    assert f"deploy@127.0.0.1:{server.port}" in message
    assert f"the host refused {path}" in message
    assert f"ssh -p {server.port} deploy@127.0.0.1" in message
    assert server.connections == 1


def test_inventory_key_comes_first(server: SshServer, home: Home) -> None:
    """A key file of the inventory is offered first, and the defaults then not at all."""
    home.know(server.port)
    home.write_key(OTHER_USER_KEY)
    path = home.write_key(USER_KEY, "deploy_key")
    address = at(server.port, identity_files=("~/.ssh/deploy_key",))
    assert path.exists()
    assert home.connector().connect(address).is_alive
    assert server.logins == [("deploy", USER_KEY.asbytes())]


def test_missing_key_file_of_the_inventory_is_named(server: SshServer, home: Home) -> None:
    """A key file that the inventory names and that is not there is the error."""
    home.know(server.port)
    address = at(server.port, identity_files=("/nowhere/key",))
    with pytest.raises(AuthenticationFailed, match=r"/nowhere/key: the key file does not exist"):
        home.connector().connect(address)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the file is empty"),
        ("hello", "unknown or damaged format"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHl9 me@home", "it is a public key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "puttygen"),
    ],
)
def test_bad_key_file_is_named(server: SshServer, home: Home, content: str, reason: str) -> None:
    """A key file that is none is named, with what it looks like."""
    home.know(server.port)
    path = home.path / "key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(AuthenticationFailed, match=rf"{path}: .*not a private key.*{reason}"):
        home.connector().connect(at(server.port, identity_files=(str(path),)))


def test_key_that_others_may_read_is_refused(server: SshServer, home: Home) -> None:
    """A private key readable by others is refused as by ssh, with the command that mends it."""
    home.know(server.port)
    path = home.write_key(USER_KEY, "open_key", mode=0o644)
    with pytest.raises(AuthenticationFailed, match=rf"chmod 600 {path}"):
        home.connector().connect(at(server.port, identity_files=(str(path),)))
    assert server.logins == []


def test_encrypted_key_without_an_agent_is_told(server: SshServer, home: Home) -> None:
    """A key with a passphrase says that it needs an agent, and how to give it to one."""
    home.know(server.port)
    path = home.path / ".ssh" / "id_ecdsa"
    path.unlink()
    USER_KEY.write_private_key_file(str(path), password="secret")
    path.chmod(0o600)
    with pytest.raises(AuthenticationFailed, match=rf"encrypted.*ssh-add {path}"):
        home.connector().connect(at(server.port))
    with pytest.raises(AuthenticationFailed, match=rf"encrypted.*ssh-add {path}"):
        home.connector().connect(at(server.port, identity_files=(str(path),)))


def test_host_that_wants_passwords_says_so(server: SshServer, home: Home) -> None:
    """A host that takes no keys at all is told as such."""
    home.know(server.port)
    server.methods = "password,keyboard-interactive"
    home.write_key(OTHER_USER_KEY)
    with pytest.raises(
        AuthenticationFailed, match="the host only accepts password, keyboard-interactive"
    ):
        home.connector().connect(at(server.port))


def test_no_key_at_all_is_told(server: SshServer, home: Home) -> None:
    """A user without any key hears that there was none to offer."""
    home.know(server.port)
    (home.path / ".ssh" / "id_ecdsa").unlink()
    with pytest.raises(AuthenticationFailed, match="no private key was found"):
        home.connector().connect(at(server.port))


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """Give the socket of a running ssh-agent."""
    if not shutil.which("ssh-agent") or not shutil.which("ssh-add"):
        pytest.skip("no ssh-agent here")
    path = tmp_path / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(path.exists)
    yield path
    process.terminate()
    process.wait()


def add_to_agent(agent: Path, path: Path) -> None:
    """Put a key file into an agent."""
    environ = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
    subprocess.run(["ssh-add", "-q", str(path)], env=environ, check=True)


def test_agent_key_logs_in(server: SshServer, home: Home, agent: Path) -> None:
    """A key that only the agent holds logs in, from several threads at once."""
    home.know(server.port)
    path = home.path / ".ssh" / "id_ecdsa"
    add_to_agent(agent, path)
    path.unlink()
    home.environ["SSH_AUTH_SOCK"] = str(agent)
    connector = home.connector()
    results: list[int | None] = []

    def log_in() -> None:
        results.append(connector.connect(at(server.port)).run("exit 6").exit_status)

    threads = [threading.Thread(target=log_in) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [6] * 8


def test_many_agent_keys_do_not_hide_an_inventory_key(
    server: SshServer, home: Home, agent: Path
) -> None:
    """However many keys an agent holds, the inventory's own is offered before them."""
    home.know(server.port)
    for number in range(8):
        add_to_agent(agent, home.write_key(paramiko.ECDSAKey.generate(), f"other{number}"))
    home.environ["SSH_AUTH_SOCK"] = str(agent)
    address = at(server.port, identity_files=("~/.ssh/id_ecdsa",))
    assert home.connector().connect(address).is_alive
    assert server.logins == [("deploy", USER_KEY.asbytes())]


def test_identities_only_keeps_the_agent_out(server: SshServer, home: Home, agent: Path) -> None:
    """With IdentitiesOnly nothing of the agent is offered but keys named as files."""
    home.know(server.port)
    path = home.path / ".ssh" / "id_ecdsa"
    add_to_agent(agent, home.write_key(OTHER_USER_KEY, "other"))
    add_to_agent(agent, path)
    path.unlink()
    path.with_suffix(".pub").write_text(f"{USER_KEY.get_name()} {USER_KEY.get_base64()} me\n")
    home.environ["SSH_AUTH_SOCK"] = str(agent)
    (home.path / ".ssh" / "config").write_text("IdentitiesOnly yes\n")
    address = at(server.port, identity_files=(str(path),))
    assert home.connector().connect(address).is_alive
    assert server.logins == [("deploy", USER_KEY.asbytes())]


def test_public_key_file_names_a_key_of_the_agent(
    server: SshServer, home: Home, agent: Path
) -> None:
    """``IdentityFile key.pub`` offers the agent's key of that name, whatever its mode."""
    home.know(server.port)
    path = home.path / ".ssh" / "id_ecdsa"
    add_to_agent(agent, home.write_key(OTHER_USER_KEY, "other"))
    add_to_agent(agent, path)
    path.unlink()
    public = home.path / "work.pub"
    public.write_text(f"{USER_KEY.get_name()} {USER_KEY.get_base64()} me\n")
    public.chmod(0o644)
    for setting in ({"identity_files": (str(public),)}, {}):
        if not setting:
            (home.path / ".ssh" / "config").write_text(f"IdentityFile {public}\n")
        with pytest.raises(AuthenticationFailed, match=r"it is a public key, and no agent holds"):
            home.connector().connect(at(server.port, **setting))
    home.environ["SSH_AUTH_SOCK"] = str(agent)
    for setting in ({"identity_files": (str(public),)}, {}):
        server.logins.clear()
        assert home.connector().connect(at(server.port, **setting)).is_alive
        assert server.logins == [("deploy", USER_KEY.asbytes())]


@pytest.mark.parametrize("is_default", [True, False])
@pytest.mark.parametrize("in_agent", [True, False])
def test_configured_key_comes_before_the_agents_others(
    server: SshServer,
    home: Home,
    agent: Path,
    is_default: bool,  # noqa: FBT001
    in_agent: bool,  # noqa: FBT001
) -> None:
    """However many keys an agent holds, one that the config names is offered before them.

    So is a default one that the agent holds too, as with ssh.
    """
    home.know(server.port)
    for number in range(8):
        add_to_agent(agent, home.write_key(paramiko.ECDSAKey.generate(), f"other{number}"))
    path = home.path / ".ssh" / "id_ecdsa"
    if not is_default:
        path = path.rename(home.path / ".ssh" / "named")
        (home.path / ".ssh" / "config").write_text(f"IdentityFile {path}\n")
    if in_agent:
        add_to_agent(agent, path)
    home.environ["SSH_AUTH_SOCK"] = str(agent)
    assert home.connector().connect(at(server.port)).is_alive
    asked = [blob for _, blob in server.logins]
    if is_default and not in_agent:
        assert asked.index(USER_KEY.asbytes()) == 8, "as with ssh"
    else:
        assert asked == [USER_KEY.asbytes()]


def certify(path: Path, *options: str, by: Path | None = None) -> Path:
    """Have a key certified, by an authority of its own unless another is given."""
    authority = by or path.with_name("authority")
    if not authority.exists():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(authority)], check=True
        )
    public = path.with_name(f"{path.name}.pub")
    made = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], capture_output=True, check=True)
    public.write_bytes(made.stdout)
    command = ["ssh-keygen", "-q", "-s", str(authority), "-I", "id", "-n", "deploy", *options]
    subprocess.run([*command, str(public)], check=True)
    return path.with_name(f"{path.name}-cert.pub")


def blob_of(path: Path) -> bytes:
    """Give the bytes of a public key or certificate file."""
    return base64.b64decode(path.read_text().split()[1])


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
@pytest.mark.parametrize("place", ["beside", "config", "arguments", "agent", "agent alone"])
def test_certificate_is_offered_and_then_the_plain_key(
    server: SshServer, home: Home, agent: Path, kind: str, place: str
) -> None:
    """A certificate beside its key, in the config, in arguments or in the agent comes first.

    Where the host does not take it (expired, of a foreign authority), the plain key still does.
    """
    home.know(server.port)
    (home.path / ".ssh" / "id_ecdsa").unlink()
    path = home.path / ".ssh" / f"id_{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
    certificate = certify(path, "-V", "20200101:20210101")
    plain = blob_of(path.with_name(f"{path.name}.pub"))
    server.accepted = {plain, blob_of(certificate)}
    address = at(server.port)
    if place in {"config", "arguments"}:
        certificate = certificate.rename(home.path / "other-cert.pub")
        if place == "config":
            (home.path / ".ssh" / "config").write_text(f"CertificateFile {certificate}\n")
        else:
            address = address.with_ssh_args(f"-o CertificateFile={certificate}")
    blob = blob_of(certificate)
    if place.startswith("agent"):
        add_to_agent(agent, path)
        home.environ["SSH_AUTH_SOCK"] = str(agent)
        certificate.unlink()
        if place == "agent alone":
            path.unlink()
    assert home.connector().connect(address).run("exit 3").exit_status == 3
    if place == "agent":
        assert server.logins == [("deploy", plain)], "the key file itself is a default one"
        return
    server.accepted = {plain} if place != "agent alone" else {blob}
    server.logins.clear()
    assert home.connector().connect(address).run("exit 3").exit_status == 3
    expected = [blob, plain] if place != "agent alone" else [plain, blob]
    assert [one for _, one in server.logins] == expected


def test_certificate_without_its_key_is_named(server: SshServer, home: Home) -> None:
    """A certificate whose private key is nowhere, and a file that is none, are told."""
    home.know(server.port)
    path = home.write_key(OTHER_USER_KEY, "other")
    certificate = certify(path)
    server.accepted.clear()
    with pytest.raises(AuthenticationFailed) as caught:
        home.connector().connect(
            at(server.port).with_ssh_args(
                f"-o CertificateFile={certificate} -o CertificateFile={path}"
            )
        )
    assert f"{certificate}: its private key is neither in a key file nor in the agent" in str(
        caught.value
    )
    assert f"{path}: not a certificate" in str(caught.value)
    assert server.logins == [("deploy", USER_KEY.asbytes())]


def test_host_that_needs_no_key_lets_us_in(server: SshServer, home: Home) -> None:
    """The ssh of a mesh VPN lets in by the method "none", with and without keys of ours."""
    home.know(server.port)
    server.needs_no_key = True
    assert home.connector().connect(at(server.port)).is_alive
    assert server.asked_for_none == 0, "a key that is taken costs no question more"
    server.accepted.clear()
    assert home.connector().connect(at(server.port)).run("exit 4").exit_status == 4
    (home.path / ".ssh" / "id_ecdsa").unlink()
    assert home.connector().connect(at(server.port)).run("exit 4").exit_status == 4


def test_dead_agent_is_no_hindrance(server: SshServer, home: Home) -> None:
    """A stale SSH_AUTH_SOCK does not keep a key file from working."""
    home.know(server.port)
    home.environ["SSH_AUTH_SOCK"] = str(home.path / "nobody")
    assert home.connector().connect(at(server.port)).is_alive


def test_keys_are_read_once(server: SshServer, home: Home) -> None:
    """One connector reads a key file once, however many hosts it is for."""
    home.know(server.port)
    connector = home.connector()
    connector.connect(at(server.port))
    (home.path / ".ssh" / "id_ecdsa").unlink()
    home.known_hosts.unlink()
    assert connector.connect(at(server.port)).is_alive
    assert connector.connections == 2


def test_broken_ssh_config_is_the_users_error(server: SshServer, home: Home) -> None:
    """A fault in ~/.ssh/config is told with the file, before anything is tried."""
    (home.path / ".ssh" / "config").write_text("Match nonsense x host 127.0.0.1\n")
    with pytest.raises(UserError, match=r"^w1: .*config:1: Match nonsense is not supported"):
        home.connector().connect(at(server.port))
    assert server.connections == 0


def test_refused_arguments_are_their_own_hosts_error(server: SshServer, home: Home) -> None:
    """Arguments of ssh that can't be followed keep us from this host, and from no other."""
    home.know(server.port)
    address = at(server.port)
    connector = home.connector()
    with pytest.raises(AddressRefused, match=r"^w1: .*'knownhostscommand' is not supported; list"):
        connector.connect(address.with_ssh_args("-o KnownHostsCommand=/bin/x"))
    assert server.connections == 0
    assert connector.connect(address.with_ssh_args("-o IPQoS=throughput -v")).is_alive


def test_connects_from_the_named_address(server: SshServer, home: Home) -> None:
    """BindAddress, also as -b, is the address that we come from; a foreign one is told."""
    home.know(server.port)
    connector = home.connector()
    link = connector.connect(at(server.port).with_ssh_args("-b 127.0.0.2")).fabric  # type: ignore[attr-defined]
    assert link.transport.sock.getsockname()[0] == "127.0.0.2"
    with pytest.raises(Unreachable, match="Cannot assign requested address"):
        connector.connect(at(server.port).with_ssh_args("-o BindAddress=192.0.2.250"))


# --- trying again -----------------------------------------------------------------------------


def test_hang_up_before_the_handshake_is_tried_again(server: SshServer, home: Home) -> None:
    """A host that is too busy for the first tries (MaxStartups) is reached by a later one."""
    home.know(server.port)
    server.drop_first = 3
    assert home.connector().connect(at(server.port)).is_alive
    assert server.connections == 4


def test_host_that_keeps_us_out_is_not_asked_again(server: SshServer, home: Home) -> None:
    """What OpenSSH 9.8 says to an address that it penalises is quoted, and it is left alone."""
    home.know(server.port)
    server.drop_first = 100
    server.farewell = b"Not allowed at this time\r\n"
    with pytest.raises(AuthenticationFailed, match=r"'Not allowed at this time': .*PerSourcePen"):
        home.connector().connect(at(server.port))
    assert server.connections == 1


def test_what_a_busy_host_says_is_quoted(server: SshServer, home: Home) -> None:
    """MaxStartups is named by sshd itself; it passes, so it is tried again."""
    home.know(server.port)
    server.farewell = b"Exceeded MaxStartups\r\n"
    server.drop_first = 2
    assert home.connector().connect(at(server.port)).is_alive
    server.drop_first = 100
    with pytest.raises(Unreachable, match=r"said 'Exceeded MaxStartups' \(5 tries"):
        home.connector().connect(at(server.port))


def test_gives_up_after_five_tries(server: SshServer, home: Home) -> None:
    """A host that always hangs up is unreachable, with the number of tries."""
    server.drop_first = 100
    with pytest.raises(
        Unreachable, match=r"closed the connection during the SSH handshake.*\(5 tries in 0 s\)"
    ):
        home.connector().connect(at(server.port))
    assert server.connections == 5


def test_closed_port_is_told(home: Home) -> None:
    """Nothing listening is told with address and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(
        Unreachable, match=rf"w1: connection refused by 127.0.0.1:{port}: check that sshd runs"
    ):
        home.connector().connect(at(port))


def test_unknown_name_is_told_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not exist is not tried again."""
    asked: list[object] = []

    def look_up(*place: object) -> None:
        asked.append(place)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(Unreachable, match=r"^w9: unknown name no-such-host\.invalid"):
        home.connector().connect(Address("w9", "no-such-host.invalid"))
    assert len(asked) == 1


def test_failing_name_server_is_asked_again(
    server: SshServer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that can't be looked up for a moment is found by the next try."""
    home.known_hosts.write_text(f"* {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
    real = socket.getaddrinfo
    asked: list[object] = []

    def look_up(name: str, *rest: int) -> object:
        asked.append(name)
        if len(asked) < 3:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real("127.0.0.1", *rest)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert home.connector().connect(at(server.port, hostname="w1.example.org")).is_alive
    assert asked == ["w1.example.org"] * 3


def test_something_else_than_ssh_is_told(home: Home) -> None:
    """A web server on the port is told as what it is, at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            sock, _ = listener.accept()
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n" * 200)
            sock.recv(1000)
            sock.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unreachable, match="is not SSH"):
            home.connector().connect(at(listener.getsockname()[1]))
        thread.join()


def test_silent_host_ends_with_the_deadline(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that accepts and then says nothing costs no more than the handshake's timeout."""
    monkeypatch.setattr(link_module, "HANDSHAKE_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Unreachable, match=r"the SSH handshake was not complete within"):
            home.connector(total_timeout_s=0.3).connect(at(port))


def test_may_open_as_many_connections_as_the_system_allows(home: Home) -> None:
    """A soft limit of open files below what a large fleet needs is raised as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_240 if hard == resource.RLIM_INFINITY else min(10_240, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        home.connector()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- losses -----------------------------------------------------------------------------------


def test_outcome_is_unknown_when_the_host_dies(
    connection: HostConnection, server: SshServer
) -> None:
    """A connection that ends in the middle of a program gives None, never a status."""
    killer = threading.Timer(0.3, server.kill_connections)
    killer.start()
    done = connection.run("echo begun; exec sleep 60", timeout_s=30)
    killer.join()
    assert done.exit_status is None
    assert done.stdout == b"begun\n"
    assert done.unknown_because == "the connection ended before the program"
    assert not connection.is_alive


def test_session_ends_without_status_when_the_host_dies(
    connection: HostConnection, server: SshServer
) -> None:
    """A reader sees the end, no status, and no half of a line."""
    session = connection.start("printf 'whole\\nhalf'; exec sleep 60")
    lines = session.lines(timeout_s=30)
    assert next(lines) == b"whole"
    server.kill_connections()
    assert list(lines) == []
    assert session.exit_status is None
    assert session.unknown_because == "the connection ended before the program"


def test_never_connects_again_by_itself(connection: HostConnection, server: SshServer) -> None:
    """After a loss a program is not started over a new connection behind the caller's back."""
    server.kill_connections()
    wait_until(lambda: not connection.is_alive)
    with pytest.raises(Unreachable, match="nothing was done"):
        connection.run("true")
    assert server.connections == 1


def test_cut_link_is_noticed(
    relay: Relay, server: SshServer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that goes silent without closing ends the connection, and all that waits on it."""
    limits = SilenceLimits(look_every=0.02, ask_after=0.1, give_up_after=0.2)
    monkeypatch.setattr(silence, "DIRECT", limits)
    monkeypatch.setattr(silence, "INDIRECT", limits)
    connection = home.connector().connect(at(relay.port))
    session = connection.start("echo up; exec sleep 60")
    lines = session.lines()
    assert next(lines) == b"up"
    relay.cut()
    assert list(lines) == []
    assert session.exit_status is None
    assert not connection.is_alive
    assert server.connections == 1


def test_silence_alone_is_no_loss(
    server: SshServer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that has nothing to say, but answers when asked, is kept."""
    limits = SilenceLimits(look_every=0.01, ask_after=0.05, give_up_after=0.5)
    monkeypatch.setattr(silence, "DIRECT", limits)
    monkeypatch.setattr(silence, "INDIRECT", limits)
    home.know(server.port)
    connection = home.connector().connect(at(server.port))
    done = connection.run("sleep 1.2; echo still here")
    assert done.stdout == b"still here\n"


def test_cut_is_noticed_within_25_s() -> None:
    """The periods add up to less than 25 s, with the looks at the clock in between."""
    direct, indirect = silence.DIRECT, silence.INDIRECT
    assert direct.unheard is not None
    assert direct.unheard + direct.look_every < 25
    assert indirect.ask_after + indirect.give_up_after + 2 * indirect.look_every < 25


# --- limits -----------------------------------------------------------------------------------


def test_no_more_than_eight_sessions_at_a_time(
    connection: HostConnection, server: SshServer
) -> None:
    """The ninth program waits until another ends."""
    sessions = [connection.start("read x") for _ in range(8)]
    with pytest.raises(HostError, match="8 programs are running"):
        connection.run("true", timeout_s=0.05)
    wait_until(lambda: server.running == 8)
    sessions[3].close()
    assert connection.run("exit 1").exit_status == 1
    for session in sessions:
        session.close()


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_host_may_allow_fewer_sessions(server: SshServer, home: Home, limit: int) -> None:
    """Where sshd's MaxSessions is lower than what runs at a time, further connections are opened.

    The lock's program and the journal's reader run for as long as a rollout: nobody can wait.
    """
    home.know(server.port)
    server.max_sessions = limit
    connection = home.connector().connect(at(server.port))
    held = [connection.start("echo up; read x") for _ in range(5)]
    for session in held:
        assert next(session.lines(timeout_s=10)) == b"up"
    assert connection.run("exit 3").exit_status == 3
    assert connection.sessions_each == limit
    assert server.connections == -(-6 // limit), "no more than are needed"
    for session in held:
        session.close()
    assert connection.run("exit 4").exit_status == 4
    assert server.connections == -(-6 // limit), "those that stand are used again"
    connection.close()
    wait_until(lambda: not any(transport.is_active() for transport in server.transports))


def test_many_programs_share_few_sessions(server: SshServer, home: Home) -> None:
    """Programs that begin at once find places, whichever comes first."""
    home.know(server.port)
    server.max_sessions = 2
    connection = home.connector().connect(at(server.port))
    statuses: list[int | None] = []

    def run() -> None:
        statuses.append(connection.run("sleep 0.02; exit 3").exit_status)

    threads = [threading.Thread(target=run) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [3] * 12
    assert server.connections <= 8


def test_further_connection_that_fails_names_the_setting(server: SshServer, home: Home) -> None:
    """Where a host allows neither more sessions nor more connections, this is told at once."""
    home.know(server.port)
    server.max_sessions = 1
    connection = home.connector().connect(at(server.port))
    session = connection.start("echo up; read x")
    assert next(session.lines(timeout_s=10)) == b"up"
    server.accepted.clear()
    with pytest.raises(
        HostError,
        match=r"allows 1 sessions on a connection \(MaxSessions .*: authentication failed for ",
    ):
        connection.run("true")
    assert connection.is_alive


def test_further_connection_that_was_lost_is_opened_again(server: SshServer, home: Home) -> None:
    """What ran there is lost and told so; the next program gets a new one."""
    home.know(server.port)
    server.max_sessions = 1
    connection = home.connector().connect(at(server.port))
    first, second = (connection.start("echo up; read x") for _ in range(2))
    for session in (first, second):
        assert next(session.lines(timeout_s=10)) == b"up"
    server.transports[1].close()
    assert list(second.lines(timeout_s=10)) == []
    assert second.exit_status is None
    second.close()
    assert connection.run("exit 3").exit_status == 3
    assert connection.is_alive
    assert server.connections == 3


def test_host_without_sessions_is_told(server: SshServer, home: Home) -> None:
    """A host that allows no session at all is an error that names the setting."""
    home.know(server.port)
    server.max_sessions = 0
    connection = home.connector().connect(at(server.port))
    with pytest.raises(HostError, match="MaxSessions"):
        connection.run("true")


def test_refusal_to_run_is_told(connection: HostConnection, server: SshServer) -> None:
    """A host that opens sessions but runs nothing is told so."""
    server.allows_exec = False
    done = connection.run("true")
    assert done.exit_status is None
    assert done.unknown_because == "the host refused to run it"


@pytest.mark.parametrize("act", ["enter", "check", "observe"])
def test_login_that_runs_nothing_is_quoted(server: SshServer, home: Home, act: str) -> None:
    """A forced command or nologin says on standard output why: that, and who logged in, is told."""
    home.know(server.port)
    server.forced = "echo Welcome; echo; echo 'This account is for backups only.'; exit 1"
    address = at(server.port)
    acts = Acts(Caller(home.connector().connect(address), "echobot", address), "T")
    calls: dict[str, Callable[[], object]] = {
        "check": acts.setup.check,
        "observe": acts.state.observe,
        "enter": lambda: acts.lock.enter(30, LockRequest("rollout", "ada", "", "u")),
    }
    with pytest.raises(
        OutcomeUnknown, match=rf"^w1: {act}: .*\(as deploy: This account is for backups only\.\)$"
    ):
        calls[act]()


# --- gateways ---------------------------------------------------------------------------------


@dataclass
class Behind:
    """A gateway and a host that is reached through it."""

    gateway: SshServer
    inner: SshServer

    def address(self, name: str = "w1") -> Address:
        return Address(
            name,
            "127.0.0.1",
            port=self.inner.port,
            user="deploy",
            jumps=(f"jumper@127.0.0.1:{self.gateway.port}",),
        )


@pytest.fixture
def behind(new_server: Callable[..., SshServer], home: Home) -> Behind:
    """Give a host behind a gateway, both known."""
    made = Behind(new_server(), new_server())
    home.know(made.gateway.port)
    home.know(made.inner.port)
    return made


def test_gateway_is_shared(behind: Behind, home: Home) -> None:
    """Many hosts behind one gateway use one connection to it."""
    connector = home.connector()
    statuses: list[int | None] = []

    def connect(number: int) -> None:
        connection = connector.connect(behind.address(f"w{number}"))
        statuses.append(connection.run("exit 9").exit_status)

    threads = [threading.Thread(target=connect, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [9] * 12
    assert behind.gateway.connections == 1
    assert connector.connections == 13
    assert {user for user, _ in behind.gateway.logins} == {"jumper"}


@pytest.mark.parametrize(
    ("key", "error"), [(None, HostKeyUnknown), (OTHER_HOST_KEY, HostKeyChanged)]
)
def test_gateways_host_key_is_checked(
    behind: Behind, home: Home, key: paramiko.PKey | None, error: type[HostError]
) -> None:
    """A gateway with an unknown or changed key is refused, and nothing goes through it."""
    home.known_hosts.unlink()
    home.know(behind.inner.port)
    if key is not None:
        home.know(behind.gateway.port, key)
    with pytest.raises(error, match=rf"^w1: gateway 127.0.0.1:{behind.gateway.port}: "):
        home.connector().connect(behind.address())
    assert behind.gateway.logins == []
    assert behind.inner.connections == 0


def test_inner_host_key_is_checked_too(behind: Behind, home: Home) -> None:
    """A host behind a gateway must be known as well; the command does not need to reach it."""
    home.known_hosts.unlink()
    home.know(behind.gateway.port)
    with pytest.raises(HostKeyUnknown) as caught:
        home.connector().connect(behind.address())
    line = f"[127.0.0.1]:{behind.inner.port} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}"
    assert f"echo {shlex.quote(line)} >> {home.known_hosts}" in str(caught.value)
    assert behind.inner.logins == []


def test_gateway_that_refuses_is_asked_once(behind: Behind, home: Home) -> None:
    """A gateway that refuses the login is not asked again for each host behind it."""
    behind.gateway.accepted.clear()
    connector = home.connector()
    for number in range(4):
        with pytest.raises(AuthenticationFailed, match=rf"^w{number}: gateway .*jumper@"):
            connector.connect(behind.address(f"w{number}"))
    assert behind.gateway.connections == 1


def test_gateway_that_is_down_is_told(behind: Behind, home: Home) -> None:
    """A gateway that is not there is named as the reason."""
    behind.gateway.close()
    with pytest.raises(Unreachable, match=r"^w1: gateway .*: connection refused by "):
        home.connector().connect(behind.address())


def test_host_that_a_gateway_cannot_reach_is_told(behind: Behind, home: Home) -> None:
    """A host that is down behind a working gateway is told as such."""
    behind.inner.close()
    with pytest.raises(Unreachable, match=r"^w1: gateway .* cannot reach 127.0.0.1:"):
        home.connector().connect(behind.address())
    assert behind.gateway.connections == 1


def test_gateway_that_forbids_forwarding_is_told(behind: Behind, home: Home) -> None:
    """A gateway that forwards nothing is told at once, with the setting."""
    behind.gateway.allows_forwarding = False
    with pytest.raises(Unreachable, match="AllowTcpForwarding"):
        home.connector().connect(behind.address())
    assert len(behind.gateway.forwarded) == 1


def test_gateway_is_opened_anew_after_a_loss(behind: Behind, home: Home) -> None:
    """A new connection through a gateway that was lost opens the gateway again."""
    connector = home.connector()
    first = connector.connect(behind.address())
    behind.gateway.kill_connections()
    wait_until(lambda: not first.is_alive)
    assert connector.connect(behind.address()).run("exit 1").exit_status == 1
    assert behind.gateway.connections == 2


def test_chain_of_gateways(
    behind: Behind, new_server: Callable[..., SshServer], home: Home
) -> None:
    """Hops follow one another, each checked and logged in at."""
    second = new_server()
    home.know(second.port)
    address = behind.address()
    address = replace(address, jumps=(*address.jumps, f"second@127.0.0.1:{second.port}"))
    assert home.connector().connect(address).run("exit 8").exit_status == 8
    assert behind.gateway.forwarded == [("127.0.0.1", second.port)]
    assert second.forwarded == [("127.0.0.1", behind.inner.port)]


def test_gateway_from_ssh_config(behind: Behind, home: Home) -> None:
    """ProxyJump of ssh's config applies, with the jump host's own settings in it."""
    (home.path / ".ssh" / "config").write_text(
        "Host bastion\n"
        f"  HostName 127.0.0.1\n  Port {behind.gateway.port}\n  User jumper\n"
        f"Host inner\n  HostName 127.0.0.1\n  Port {behind.inner.port}\n  User deploy\n"
        "Host *\n  ProxyJump bastion\n"
    )
    assert home.connector().connect(Address("w1", "inner")).run("exit 5").exit_status == 5
    assert {user for user, _ in behind.gateway.logins} == {"jumper"}
    assert {user for user, _ in behind.inner.logins} == {"deploy"}


def test_proxy_command(server: SshServer, home: Home) -> None:
    """A ProxyCommand carries the connection and ends with it."""
    if not shutil.which("socat") and not shutil.which("nc"):
        command = (
            "python3 -c 'import os,socket,sys,threading as t;"
            "s=socket.create_connection((sys.argv[1],int(sys.argv[2])));"
            'f=lambda r,w:[w(d) for d in iter(r,b"")];'
            "t.Thread(target=f,args=(lambda:os.read(0,9999),s.sendall),daemon=True).start();"
            "f(lambda:s.recv(9999),lambda d:os.write(1,d))' %h %p"
        )
    else:
        command = "nc %h %p" if shutil.which("nc") else "socat - TCP:%h:%p"
    home.know(server.port)
    connector = home.connector()
    connection = connector.connect(at(server.port, options=(("proxycommand", command),)))
    assert connection.run("cat | wc -c", stdin=b"x" * 500_000).stdout.split() == [b"500000"]
    connection.close()


def test_failing_proxy_command_says_why(home: Home) -> None:
    """What a failing ProxyCommand writes is in the message."""
    command = "sh -c 'echo no way through >&2; exit 1'"
    with pytest.raises(Unreachable, match="exit 1'\" failed: no way through "):
        home.connector().connect(at(22, options=(("proxycommand", command),)))


def test_shell_that_cannot_run_a_proxy_command_is_told(home: Home) -> None:
    """A SHELL that does not exist is that host's error, no traceback."""
    home.environ["SHELL"] = "/nowhere/shell"
    with pytest.raises(Unreachable, match=r"^w1: .*No such file or directory"):
        home.connector().connect(at(22, options=(("proxycommand", "true"),)))


# --- stopping, and leaving nothing behind -----------------------------------------------------


def test_closing_the_connector_wakes_everybody(server: SshServer, home: Home) -> None:
    """Runs, readers and connects in other threads all end soon when the connector closes."""
    home.know(server.port)
    connector = home.connector()
    connection = connector.connect(at(server.port))
    session = connector.connect(at(server.port)).start("exec sleep 60")
    silent = socket.create_server(("127.0.0.1", 0))
    ended: list[object] = []

    def run() -> None:
        ended.append(connection.run("echo begun; exec sleep 60").exit_status)

    def read() -> None:
        ended.append(list(session.lines()))

    def connect() -> None:
        try:
            connector.connect(at(silent.getsockname()[1]))
        except Unreachable as error:
            ended.append(str(error))

    threads = [threading.Thread(target=target) for target in (run, read, connect)]
    for thread in threads:
        thread.start()
    wait_until(lambda: connection.counts.bytes_received > 0)
    accepted, _ = silent.accept()
    connector.close()
    for thread in threads:
        thread.join()
    assert set(map(str, ended)) == {"None", "[]", "w1: interrupted"}
    accepted.close()
    silent.close()
    with pytest.raises(Unreachable, match="interrupted"):
        connector.connect(at(server.port))


def test_leaves_no_threads_and_no_descriptors(home: Home) -> None:
    """Twenty connections that were refused, closed or lost leave neither thread nor descriptor."""
    keys = [
        str(home.write_key(key, name))
        for key, name in ((HOST_KEY, "host"), (USER_KEY, "user"), (OTHER_HOST_KEY, "other"))
    ]
    # The servers run elsewhere, so that every thread and descriptor here is ours.
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hosts.ssh.sshserver", *keys],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    good, refusing, changed, unknown = (int(port) for port in process.stdout.readline().split())
    for port in (good, refusing, changed):
        home.know(port)
    behind = at(good, jumps=(f"deploy@127.0.0.1:{good}",))

    def all_kinds() -> None:
        connector = home.connector(total_timeout_s=5)
        for port in (refusing, changed, unknown):
            with pytest.raises(HostError):
                connector.connect(at(port))
        connector.connect(behind).run("true")
        session = connector.connect(at(good)).start("echo; exec sleep 60")
        next(session.lines())
        with pytest.raises(HostError):
            connector.connect(at(changed, jumps=(f"deploy@127.0.0.1:{good}",)))
        connector.close()
        home.connectors.remove(connector)

    def held() -> tuple[int, int]:
        gc.collect()
        return threading.active_count(), count_descriptors()

    all_kinds()
    before = held()
    for _ in range(4):
        all_kinds()
    assert held() == before
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_closing_one_connection_leaves_the_others(server: SshServer, home: Home) -> None:
    """Connections are independent of one another."""
    home.know(server.port)
    connector = home.connector()
    first, second = connector.connect(at(server.port)), connector.connect(at(server.port))
    first.close()
    first.close()
    assert not first.is_alive
    assert second.run("exit 3").exit_status == 3


def test_keys_are_exchanged_anew_under_load(
    server: SshServer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new key exchange after each megabyte, with data both ways, loses and mixes nothing."""
    monkeypatch.setattr(WatchfulPacketizer, "REKEY_BYTES", 1024 * 1024)
    home.know(server.port)
    connection = home.connector().connect(at(server.port))
    data = os.urandom(6 * 1024 * 1024)
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(connection.run("cat", stdin=data).stdout))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [data, data]
    transport = connection.fabric.transport  # type: ignore[attr-defined]
    assert transport.session_id != transport.H, "no keys were exchanged anew"


def test_slow_login_is_no_refusal(
    server: SshServer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that does not answer the login in time is unreachable, and has refused nothing."""
    home.know(server.port)
    monkeypatch.setattr(link_module, "HANDSHAKE_TIMEOUT_S", 0.5)
    answer = threading.Event()
    monkeypatch.setattr(server, "accepted", _Slow(answer))
    with pytest.raises(Unreachable, match="did not answer the login"):
        home.connector(total_timeout_s=0.4).connect(at(server.port))
    answer.set()


class _Slow:
    """A set of accepted keys that takes its time."""

    def __init__(self, answer: threading.Event) -> None:
        self._answer = answer

    def __contains__(self, key: object) -> bool:
        self._answer.wait(20)
        return False
