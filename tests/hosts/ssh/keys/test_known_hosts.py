"""known_hosts is read as ssh reads it: quickly, and never accepting what it does not say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.hosts.ssh.keys.known_hosts import (
    HostKeys,
    KeyStatus,
    KnownHosts,
    Marker,
    fingerprint,
    host_name,
)

if TYPE_CHECKING:
    from pathlib import Path

KEYS = [b"\0\0\0\x0bssh-ed25519" + bytes([number]) * 32 for number in range(4)]
NAMES = ["a", "b.example.org", "[a]:2222", "10.0.0.1", "::1"]


def line(names: str, key: bytes, kind: str = "ssh-ed25519", marker: str = "") -> str:
    """Write one line as ssh does."""
    return f"{marker} {names} {kind} {base64.b64encode(key).decode()} comment".strip()


def hashed(name: str) -> str:
    """Hash a name as ``HashKnownHosts yes`` does."""
    # Not random: the name of a test must be the same in every process that collects it.
    salt = hashlib.sha1(name.encode(), usedforsecurity=False).digest()
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def known(*lines: str) -> KnownHosts:
    """Read lines as one file."""
    hosts = KnownHosts()
    hosts.add("\n".join(lines), "known_hosts")
    return hosts


def status_of(hosts: KnownHosts, name: str, key: bytes) -> KeyStatus:
    """Say how a key stands for a name."""
    return HostKeys.of(hosts, name).judge(key).status


@pytest.mark.parametrize(
    ("names", "name", "matches"),
    [
        ("host", "host", True),
        ("Host", "hOST", True),
        ("host", "hos", False),
        ("a,host,b", "host", True),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "example.org", False),
        ("h?st", "host", True),
        ("h?st", "hst", False),
        ("*,!host", "host", False),
        ("!host,*", "host", False),
        ("!host", "other", False),
        ("[host]:2222", "[host]:2222", True),
        ("[host]:2222", "host", False),
        ("[host]:*", "[host]:2222", True),
        ("[ho]st", "host", False),
        ("*", "[host]:2222", True),
        (hashed("host"), "host", True),
        (hashed("host"), "other", False),
        ("|1|notbase64|x", "host", False),
        ("|2|aaaa|bbbb", "host", False),
    ],
)
def test_names_match_as_in_ssh(names: str, name: str, matches: bool) -> None:  # noqa: FBT001
    """Lists, wildcards, negation, ports, brackets and hashes mean what they mean to ssh."""
    expected = KeyStatus.KNOWN if matches else KeyStatus.UNKNOWN
    assert status_of(known(line(names, KEYS[0])), name, KEYS[0]) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# host ssh-ed25519 AAAA",
        "host",
        "host ssh-ed25519",
        "@unknown host ssh-ed25519 AAAA",
        "@revoked",
        ",,, ssh-ed25519 AAAA",
        "host ssh-ed25519 !!!not-base64!!!",
        "\x00\xff \u2028 \r",
    ],
)
def test_passes_over_what_is_no_line(text: str) -> None:
    """Comments, unknown markers and damaged lines neither raise nor accept anything."""
    hosts = known(text, line("host", KEYS[0]))
    assert status_of(hosts, "other", KEYS[1]) is KeyStatus.UNKNOWN
    assert status_of(hosts, "host", KEYS[0]) is KeyStatus.KNOWN


def test_windows_line_ends_are_read() -> None:
    """A file with carriage returns is read like one without."""
    assert status_of(known(line("host", KEYS[0]) + "\r"), "host", KEYS[0]) is KeyStatus.KNOWN
    bare = line("host", KEYS[0]).removesuffix(" comment") + "\r"
    assert status_of(known(bare), "host", KEYS[0]) is KeyStatus.KNOWN


def test_changed_key_names_the_lines_that_say_otherwise() -> None:
    """A key that differs is told with file and line of the known one."""
    hosts = known("# first", line("host", KEYS[0]), line("host", KEYS[1]))
    finding = HostKeys.of(hosts, "host").judge(KEYS[2])
    assert finding.status is KeyStatus.CHANGED
    assert [key.place for key in finding.because] == ["known_hosts:2", "known_hosts:3"]
    assert finding.because[0].fingerprint == fingerprint(KEYS[0])


def test_key_for_the_bare_name_counts_on_another_port() -> None:
    """A match without the port counts, a contradiction without the port does not, as in ssh."""
    hosts = known(line("host", KEYS[0]))
    keys = HostKeys.of(hosts, "[host]:2222", "host")
    assert keys.judge(KEYS[0]).status is KeyStatus.KNOWN
    assert keys.judge(KEYS[1]).status is KeyStatus.UNKNOWN
    both = known(line("host", KEYS[0]), line("[host]:2222", KEYS[1]))
    keys = HostKeys.of(both, "[host]:2222", "host")
    assert keys.judge(KEYS[1]).status is KeyStatus.KNOWN
    assert keys.judge(KEYS[0]).status is KeyStatus.CHANGED


def test_revocation_counts_wherever_it_stands() -> None:
    """A revoked key is refused before or after the line that lists it, also by a wildcard."""
    for lines in (
        [line("host", KEYS[0]), line("*", KEYS[0], marker="@revoked")],
        [line("host", KEYS[0], marker="@revoked"), line("host", KEYS[0])],
    ):
        assert status_of(known(*lines), "host", KEYS[0]) is KeyStatus.REVOKED


def test_asks_for_the_known_types() -> None:
    """The types to ask a host for are those that it is known by; RSA by its SHA-2 names."""
    hosts = known(
        line("host", KEYS[0], "ssh-rsa"),
        line("host", KEYS[1], "ecdsa-sha2-nistp256"),
        line("host", KEYS[2], "ssh-ed25519", "@cert-authority"),
        line("host", KEYS[3], "ssh-dss", "@revoked"),
    )
    keys = HostKeys.of(hosts, "host")
    assert keys.key_types == ("rsa-sha2-512", "rsa-sha2-256", "ecdsa-sha2-nistp256")
    assert [key.marker for key in keys.authorities] == [Marker.AUTHORITY]


def test_files_count_in_order_and_may_be_missing(tmp_path: Path) -> None:
    """Several files add up; one that does not exist has no keys."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(line("host", KEYS[0]))
    second.write_bytes(b"\xff\xfe caf\xe9\n" + line("host", KEYS[1]).encode())
    hosts = KnownHosts.read([first, tmp_path / "none", second])
    assert status_of(hosts, "host", KEYS[0]) is KeyStatus.KNOWN
    assert status_of(hosts, "host", KEYS[1]) is KeyStatus.KNOWN
    with pytest.raises(OSError, match="directory"):
        KnownHosts.read([tmp_path])


def test_name_has_its_port_only_when_it_is_another() -> None:
    """A host on port 22 is listed by its name, on another with brackets and port."""
    assert host_name("Host") == "host"
    assert host_name("host", 2222) == "[host]:2222"
    assert host_name("::1", 22) == "::1"


MARKERS = st.sampled_from(["", "", "", "@revoked", "@cert-authority"])
ENTRIES = st.lists(st.tuples(MARKERS, st.sampled_from(NAMES), st.integers(0, 3)), max_size=12)


@given(ENTRIES, st.sampled_from(NAMES), st.integers(0, 3), st.data())
def test_verdict_follows_from_the_lines(
    entries: list[tuple[str, str, int]], name: str, number: int, data: st.DataObject
) -> None:
    """Revoked beats known, known needs a plain line for this very name, and order is nothing."""
    own = [(marker, key) for marker, listed, key in entries if listed == name]
    plain = {key for marker, key in own if marker == ""}
    if ("@revoked", number) in own:
        expected = KeyStatus.REVOKED
    elif number in plain:
        expected = KeyStatus.KNOWN
    else:
        expected = KeyStatus.CHANGED if plain else KeyStatus.UNKNOWN
    lines = [
        line(hashed(listed) if data.draw(st.booleans()) else listed, KEYS[key], marker=marker)
        for marker, listed, key in data.draw(st.permutations(entries))
    ]
    assert status_of(known(*lines), name, KEYS[number]) is expected


@given(st.text(), st.text(min_size=1))
def test_any_text_is_harmless(text: str, name: str) -> None:
    """No text raises, and none makes a key known that it does not hold."""
    assert status_of(known(text), name, KEYS[0]) in {KeyStatus.UNKNOWN, KeyStatus.CHANGED}


def test_agrees_with_ssh_keygen(tmp_path: Path) -> None:
    """The tool of ssh itself finds the same lines, for every kind of name."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("no ssh-keygen here")
    file = tmp_path / "known_hosts"
    names = [
        "host",
        "host,other",
        "*.example.org,!bad.example.org",
        "[host]:2222",
        "10.0.?.1",
        hashed("host"),
        hashed("[host]:2222"),
        "HOST",
    ]
    public = tmp_path / "key.pub"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True
    )
    key = base64.b64decode(public.read_text().split()[1])
    file.write_text("".join(f"{line(one, key)}\n" for one in names))
    hosts = KnownHosts.read([file])
    for name in ("host", "other", "a.example.org", "bad.example.org", "[host]:2222", "10.0.7.1"):
        found = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", str(file)], capture_output=True, text=True, check=False
        )
        theirs = {
            int(text.rpartition("line ")[2].split()[0])
            for text in found.stdout.splitlines()
            if text.startswith("#")
        }
        assert {one.line for one in hosts.keys_of(name)} == theirs, name
