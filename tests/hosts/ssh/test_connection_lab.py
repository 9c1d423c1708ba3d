"""Connections to real hosts with OpenSSH: the same contract, and what only reality breaks."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.model.address import Address
from botdeploy.errors import AuthenticationFailed, HostKeyChanged, HostKeyUnknown, Unreachable
from botdeploy.hosts.ssh.connector import Connector
from tests.hosts.connection_contract import ConnectionContract, closing, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botdeploy.hosts.process.program import HostConnection
    from tests.lab.faults import Fault
    from tests.lab.host import Host
    from tests.lab.lab import Lab

pytestmark = pytest.mark.lab(reset="module")


def at(lab: Lab, host: Host, **settings: object) -> Address:
    """Give the address of a lab host, with the lab's key and known_hosts."""
    address = Address(
        host.name,
        host.address,
        user="deploy",
        identity_files=(str(lab.key),),
        known_hosts_files=(str(lab.known_hosts),),
        options=(("identitiesonly", "yes"),),
    )
    return replace(address, **settings)  # type: ignore[arg-type]


@pytest.fixture
def connector(tmp_path: Path) -> Iterator[Connector]:
    """Give a connector of a user whose home is empty."""
    made = Connector({"HOME": str(tmp_path), "PATH": os.environ["PATH"]}, time.time)
    yield made
    made.close()


@pytest.fixture
def connection(lab: Lab, connector: Connector) -> Iterator[HostConnection]:
    """Give an open connection to the first host."""
    yield from closing(connector.connect(at(lab, lab["h1"])))


class TestLabConnection(ConnectionContract):
    """The contract, on a real host."""


@pytest.mark.parametrize("fault", ["cut_network", "lose_answers"])
def test_cut_network_is_noticed(lab: Lab, connector: Connector, fault: str) -> None:
    """A link that is cut ends runs, readers and the connection, without anybody asking."""
    host = lab["h2"]
    connection = connector.connect(at(lab, host))
    session = connection.start("while :; do echo tick; sleep 0.1; done")
    lines = session.lines()
    assert next(lines) == b"tick"
    idle = connector.connect(at(lab, host))
    results: list[object] = []
    runner = threading.Thread(
        target=lambda: results.append(connection.run("exec sleep 600", timeout_s=600))
    )
    runner.start()
    wait_until(lambda: connection.counts.programs_started == 2)
    cut: Fault = getattr(host, fault)()
    with cut:
        cut_at = time.monotonic()
        for _ in lines:
            pass
        runner.join()
        wait_until(lambda: not idle.is_alive, 30)
        took_s = time.monotonic() - cut_at
    assert not connection.is_alive
    assert session.exit_status is None
    assert [getattr(done, "exit_status", 0) for done in results] == [None]
    assert took_s <= 25, "a cut must be noticed within 25 s"


def test_connects_again_after_a_cut(lab: Lab, connector: Connector) -> None:
    """While the link is down a host is unreachable; after it, a new connection works."""
    host = lab["h2"]
    quick = Connector(os.environ, time.time, connect_timeout_s=0.5, total_timeout_s=1)
    with host.cut_network(), pytest.raises(Unreachable, match=f"^{host.name}: "):
        quick.connect(at(lab, host))
    quick.close()
    assert connector.connect(at(lab, host)).run("exit 4").exit_status == 4


def test_killed_sshd_is_an_unknown_outcome(lab: Lab, connector: Connector) -> None:
    """An sshd that dies in an upload gives no status, and the data is known to be incomplete."""
    host = lab["h2"]
    connection = connector.connect(at(lab, host))

    def pieces() -> Iterator[bytes]:
        for _ in range(5):
            yield b"x" * 100_000
        host.kill_ssh_sessions()
        while True:
            yield b"x" * 100_000

    done = connection.run("cat > /dev/null", stdin=pieces(), timeout_s=60)
    assert done.exit_status is None
    assert done.unknown_because == "the connection ended before the program"


def test_frozen_sshd_does_not_outlast_the_timeout(lab: Lab, connector: Connector) -> None:
    """A host that suddenly says nothing more ends with our own deadline, never with a status."""
    host = lab["h2"]
    connection = connector.connect(at(lab, host))
    connection.run("true")  # sshd forks once more after the login; what comes later is not frozen.
    with host.freeze_sshd():
        try:
            done = connection.run("true", timeout_s=1)
        except Unreachable as error:
            assert "nothing was done" in str(error)  # noqa: PT017 # one of two good ends
        else:
            assert done.exit_status is None
            assert done.unknown_because == "it did not end within 1 s"
    wait_until(lambda: connection.run("exit 2", timeout_s=10).exit_status == 2)


def test_stopped_sshd_is_refused(lab: Lab) -> None:
    """A host without sshd refuses, and says so with its address."""
    host = lab["h2"]
    quick = Connector(os.environ, time.time, total_timeout_s=0.5)
    with (
        host.stop_sshd(),
        pytest.raises(Unreachable, match=f"connection refused by {host.address}:22"),
    ):
        quick.connect(at(lab, host))
    quick.close()


def test_changed_host_key_is_refused(lab: Lab, connector: Connector) -> None:
    """A host that was installed anew is refused, with the command that forgets the old key."""
    host = lab["h2"]
    with host.change_host_key(), pytest.raises(HostKeyChanged) as caught:
        connector.connect(at(lab, host))
    assert f"ssh-keygen -R {host.address} -f {lab.known_hosts}" in str(caught.value)


def test_printed_keyscan_makes_the_host_known(
    lab: Lab, connector: Connector, tmp_path: Path
) -> None:
    """The ssh-keyscan command in the message, run as it stands, makes the next try work."""
    host = lab["h1"]
    address = at(lab, host, known_hosts_files=(str(tmp_path / "known"),))
    with pytest.raises(HostKeyUnknown) as caught:
        connector.connect(address)
    command = str(caught.value).rpartition("accept it: ")[2]
    assert command.startswith("ssh-keyscan -t ed25519")
    subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True)
    again = Connector({"HOME": str(tmp_path), "PATH": os.environ["PATH"]}, time.time)
    assert again.connect(address).run("exit 3").exit_status == 3
    again.close()


def test_wrong_user_is_told(lab: Lab, connector: Connector) -> None:
    """A user who does not exist is refused after one try, with the command to look into it."""
    host = lab["h1"]
    with pytest.raises(
        AuthenticationFailed, match=f"authentication failed for nobody-here@{host.address}:22"
    ):
        connector.connect(at(lab, host, user="nobody-here"))


def test_too_many_keys_are_told(lab: Lab, connector: Connector, tmp_path: Path) -> None:
    """When sshd hangs up because of too many keys, its words and the way out are in the error."""
    paths = []
    for number in range(8):
        path = tmp_path / f"key{number}"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        paths.append(str(path))
    with pytest.raises(AuthenticationFailed) as caught:
        connector.connect(at(lab, lab["h1"], identity_files=tuple(paths)))
    assert "Too many authentication failures" in str(caught.value)
    assert "ansible_ssh_private_key_file" in str(caught.value)


def test_gateway_is_shared_by_real_hosts(lab: Lab, connector: Connector) -> None:
    """Twenty connections through one real gateway need one connection to it."""
    gateway, inner = lab["h1"], lab["h2"]
    address = at(lab, inner, jumps=(f"deploy@{gateway.address}",))
    statuses: list[int | None] = []

    def connect() -> None:
        statuses.append(connector.connect(address).run("exit 7").exit_status)

    threads = [threading.Thread(target=connect) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [7] * 20
    assert connector.connections == 21


def test_host_that_dies_behind_a_gateway_is_noticed(lab: Lab, connector: Connector) -> None:
    """A cut between gateway and host is noticed, though the link to the gateway is fine."""
    gateway, inner = lab["h1"], lab["h2"]
    connection = connector.connect(at(lab, inner, jumps=(f"deploy@{gateway.address}",)))
    session = connection.start("echo up; exec sleep 600")
    lines = session.lines()
    assert next(lines) == b"up"
    with inner.cut_network():
        cut_at = time.monotonic()
        assert list(lines) == []
        took_s = time.monotonic() - cut_at
    assert session.exit_status is None
    assert not connection.is_alive
    assert took_s <= 25, "a cut must be noticed within 25 s"
    assert connector.connect(at(lab, gateway)).is_alive


def test_many_hosts_at_once(lab: Lab, connector: Connector) -> None:
    """Forty connections to one host at once get through its MaxStartups by trying again."""
    address = at(lab, lab["h1"])
    statuses: list[int | None] = []

    def connect() -> None:
        statuses.append(connector.connect(address).run("exit 6").exit_status)

    threads = [threading.Thread(target=connect) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [6] * 40


def test_closing_ends_everything_at_once(lab: Lab) -> None:
    """Twenty readers on a host all end as soon as the connector closes."""
    connector = Connector(os.environ, time.time)
    connections = [connector.connect(at(lab, lab["h1"])) for _ in range(3)]
    ended: list[list[bytes]] = []
    threads = [
        threading.Thread(
            target=lambda one=one: ended.append(list(one.start("exec sleep 600").lines()))
        )
        for one in connections
        for _ in range(7)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum(one.counts.programs_started for one in connections) == 21)
    connector.close()
    for thread in threads:
        thread.join()
    assert ended == [[]] * 21


@pytest.fixture
def authority(lab: Lab, tmp_path: Path) -> Iterator[str]:
    """Have an authority sign the first host's key, and give the authority's public key."""
    host = lab["h1"]
    key = tmp_path / "authority"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = tmp_path / "host.pub"
    public.write_text(host.root("cat /etc/ssh/ssh_host_ed25519_key.pub").stdout)
    sign = ["ssh-keygen", "-q", "-h", "-s", str(key), "-I", "h1", "-n", host.address]
    subprocess.run([*sign, str(public)], check=True)
    config = "/etc/ssh/sshd_config.d/certificate.conf"
    host.root(
        f"cat > /etc/ssh/host-cert.pub; echo HostCertificate /etc/ssh/host-cert.pub > {config};"
        " systemctl restart ssh",
        stdin=(tmp_path / "host-cert.pub").read_text(),
    )
    yield " ".join((tmp_path / "authority.pub").read_text().split()[:2])
    host.root(f"rm {config}; systemctl restart ssh")


def test_authority_vouches_for_a_host(
    lab: Lab, connector: Connector, authority: str, tmp_path: Path
) -> None:
    """A host known only by its authority is trusted by its certificate, for its name alone."""
    known = tmp_path / "known"
    known.write_text(f"@cert-authority {lab['h1'].address} {authority}\n")
    address = at(lab, lab["h1"], known_hosts_files=(str(known),))
    assert connector.connect(address).run("exit 3").exit_status == 3
    known = tmp_path / "revoked"
    known.write_text(f"@cert-authority * {authority}\n@revoked * {authority}\n")
    with pytest.raises(HostKeyUnknown, match="its certificate is revoked in"):
        connector.connect(replace(address, known_hosts_files=(str(known),)))
    known = tmp_path / "aliased"
    known.write_text(f"@cert-authority * {authority}\n")
    aliased = replace(
        address,
        known_hosts_files=(str(known),),
        options=(*address.options, ("hostkeyalias", "other")),
    )
    with pytest.raises(HostKeyUnknown, match=r"its certificate is for .*, not for other"):
        connector.connect(aliased)
