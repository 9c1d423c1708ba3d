"""A git repository over ssh that can't be read: ssh's own line says why."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import paramiko
import pytest

from botdeploy.errors import SourceError
from botdeploy.sources.git_repo import read_url
from tests.hosts.ssh.sshserver import SshServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh")), reason="no git or ssh"),
]

HOST_KEY = paramiko.ECDSAKey.generate()
OTHER_HOST_KEY = paramiko.ECDSAKey.generate()
USER_KEY = paramiko.ECDSAKey.generate()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """Give a server that git reaches with a key that is let in, and that is known."""
    made = SshServer([HOST_KEY], accepted=[USER_KEY], path=tmp_path)
    key, known = tmp_path / "key", tmp_path / "known_hosts"
    USER_KEY.write_private_key_file(str(key))
    known.write_text(f"[127.0.0.1]:{made.port} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n")
    monkeypatch.setenv(
        "GIT_SSH_COMMAND",
        f"ssh -F none -i {key} -o IdentityAgent=none -o UserKnownHostsFile={known}",
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield made
    made.close()


def url(server: SshServer, path: str = "/bot.git") -> str:
    return f"ssh://deploy@127.0.0.1:{server.port}{path}"


def test_repository_over_ssh_is_read(server: SshServer, tmp_path: Path) -> None:
    """With a key that is let in, a known host and the right path it works."""
    repo = tmp_path / "bot"
    for command in (
        ["init", "-q", str(repo)],
        ["-C", str(repo), "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q",
         "--allow-empty", "-m", "x"],
    ):  # fmt: skip
        subprocess.run(["git", *command], check=True)
    (repo / "main.py").write_text("print()\n")
    subprocess.run(["git", "-C", str(repo), "add", "main.py"], check=True)
    commit = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "y"]
    subprocess.run(["git", "-C", str(repo), *commit], check=True)
    assert list(read_url(url(server, str(repo)), None, os.environ).files()) == ["main.py"]


def test_key_that_is_not_let_in_is_told(server: SshServer) -> None:
    """Who was refused, and by which methods, stands in the error."""
    server.accepted.clear()
    with pytest.raises(SourceError, match=r"deploy@127\.0\.0\.1: Permission denied \(publickey\)"):
        read_url(url(server), None, os.environ)


def test_unknown_host_key_is_told(server: SshServer, tmp_path: Path) -> None:
    """A host that is not known is told as such, and nobody is asked."""
    (tmp_path / "known_hosts").write_text("")
    with pytest.raises(SourceError, match="Host key verification failed"):
        read_url(url(server), None, os.environ)


def test_changed_host_key_is_told(server: SshServer, tmp_path: Path) -> None:
    """A host with another key is told with the line that it differs from."""
    known = f"[127.0.0.1]:{server.port} {OTHER_HOST_KEY.get_name()} {OTHER_HOST_KEY.get_base64()}"
    (tmp_path / "known_hosts").write_text(f"{known}\n")
    with pytest.raises(SourceError, match=r"HAS CHANGED.*Host key verification failed"):
        read_url(url(server), None, os.environ)


def test_wrong_path_is_told(server: SshServer) -> None:
    """A path without a repository is told with its name."""
    with pytest.raises(SourceError, match=r"'/nowhere/bot.git' does not appear to be a git"):
        read_url(url(server, "/nowhere/bot.git"), None, os.environ)
