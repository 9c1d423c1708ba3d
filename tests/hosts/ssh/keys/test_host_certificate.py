"""Host certificates made by ssh's own tool: which are accepted, and which are not."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.errors import HostKeyUnknown
from botdeploy.hosts.ssh.config.ssh_config import Destination
from botdeploy.hosts.ssh.keys.host_certificate import BadCertificate, HostCertificate
from botdeploy.hosts.ssh.keys.host_key_policy import HostKeyPolicy
from botdeploy.hosts.ssh.keys.known_hosts import HostKeys, KnownHosts

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no ssh-keygen here"),
]

NOW_S = 1_800_000_000


def make_key(folder: Path, name: str, kind: str = "ed25519") -> Path:
    """Make a key pair and give the private half's path."""
    path = folder / name
    size = ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-f", str(path)], check=True)
    return path


def public(path: Path, suffix: str = ".pub") -> bytes:
    """Give the key or certificate beside a private key."""
    return base64.b64decode(Path(f"{path}{suffix}").read_text().split()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder for keys."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Path:
    """Give an authority's key."""
    return make_key(folder, "authority")


@pytest.fixture
def sign(tmp_path: Path, authority: Path) -> Callable[..., bytes]:
    """Give a function that makes a host's key, signs it, and gives the certificate."""

    def sign_one(
        *options: str, kind: str = "ed25519", by: Path = authority, host: bool = True
    ) -> bytes:
        key = make_key(tmp_path, "host", kind)
        times = () if "-V" in options else ("-V", "20200101Z:20991231Z")
        command = ["ssh-keygen", "-q", "-s", str(by), "-I", "id"]
        command += ["-h"] if host else []
        subprocess.run([*command, *times, *options, f"{key}.pub"], check=True)
        return public(key, "-cert.pub")

    return sign_one


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("authority_kind", ["ed25519", "ecdsa", "rsa"])
def test_true_certificate_is_accepted(
    sign: Callable[..., bytes], tmp_path: Path, kind: str, authority_kind: str
) -> None:
    """A certificate of any usual kind by any usual authority is accepted for its hosts."""
    by = make_key(tmp_path, "by", authority_kind)
    certificate = HostCertificate.parse(sign("-n", "w1,*.example.org", kind=kind, by=by))
    assert certificate.key_id == "id"
    assert certificate.principals == ("w1", "*.example.org")
    for name in ("w1", "W1", "a.example.org"):
        certificate.check(name, NOW_S, [b"another", public(by)])


def test_certificate_without_names_is_for_every_host(
    sign: Callable[..., bytes], authority: Path
) -> None:
    """A certificate that names no hosts is for all, as for ssh."""
    HostCertificate.parse(sign()).check("anything", NOW_S, [public(authority)])


@pytest.mark.parametrize(
    ("options", "host", "reason"),
    [
        (("-n", "other"), True, "is for other, not for w1"),
        (("-n", "w1"), False, "is not for hosts"),
        (("-n", "w1", "-V", "20200101Z:20210101Z"), True, "not valid at this time"),
        (("-n", "w1", "-V", "20900101Z:20910101Z"), True, "not valid at this time"),
        (("-n", "w1", "-O", "critical:strange=1"), True, "critical options"),
    ],
)
def test_what_does_not_prove_the_key(
    sign: Callable[..., bytes],
    authority: Path,
    options: tuple[str, ...],
    host: bool,  # noqa: FBT001
    reason: str,
) -> None:
    """Other names, users' certificates, other times and unknown options are refused."""
    certificate = HostCertificate.parse(sign(*options, host=host))
    with pytest.raises(BadCertificate, match=reason):
        certificate.check("w1", NOW_S, [public(authority)])


def test_unlisted_authority_is_refused(sign: Callable[..., bytes]) -> None:
    """A true certificate by somebody whom known_hosts does not list is refused."""
    certificate = HostCertificate.parse(sign("-n", "w1"))
    with pytest.raises(BadCertificate, match="authority that known_hosts does not list"):
        certificate.check("w1", NOW_S, [b"another"])


def test_validity_is_judged_by_the_clock_that_is_handed_in(
    sign: Callable[..., bytes], tmp_path: Path, authority: Path
) -> None:
    """The same certificate is accepted by one clock and refused by a later one."""
    sign("-n", "w1", "-V", "20200101Z:20210101Z")
    key = paramiko.Ed25519Key.from_private_key_file(str(tmp_path / "host"))
    key.load_certificate(str(tmp_path / "host-cert.pub"))
    known = KnownHosts()
    known.add(f"@cert-authority w1 {authority.with_suffix('.pub').read_text()}", "known_hosts")
    place = Destination("w1", 22, "deploy")

    def ask(now_s: float) -> None:
        policy = HostKeyPolicy("w1", place, HostKeys.of(known, "w1"), lambda: now_s)
        policy.missing_host_key(None, "w1", key)

    ask(1_600_000_000)
    with pytest.raises(HostKeyUnknown, match=r"known_hosts:1 lists .* is not valid at this time"):
        ask(NOW_S)


@pytest.fixture(scope="module")
def good(folder: Path, authority: Path) -> bytes:
    """Give a certificate for w1."""
    key = make_key(folder, "good")
    command = ["ssh-keygen", "-q", "-h", "-s", str(authority), "-I", "id", "-n", "w1"]
    subprocess.run([*command, "-V", "20200101Z:20991231Z", f"{key}.pub"], check=True)
    return public(key, "-cert.pub")


@given(st.data())
def test_changed_certificate_is_never_accepted(
    good: bytes, authority: Path, data: st.DataObject
) -> None:
    """Whatever single byte is changed, or whatever is cut off, it is refused."""
    blob = bytearray(good)
    position = data.draw(st.integers(0, len(blob) - 1))
    if data.draw(st.booleans()):
        blob[position] ^= data.draw(st.integers(1, 255))
    else:
        del blob[position:]
    with pytest.raises(BadCertificate):
        HostCertificate.parse(bytes(blob)).check("w1", NOW_S, [public(authority)])


@given(st.binary())
def test_any_bytes_are_harmless(blob: bytes) -> None:
    """What is no certificate is told as such, and nothing else is raised."""
    with pytest.raises(BadCertificate):
        HostCertificate.parse(blob)
