"""Secrets: planted, printed by the bot itself, and searched for wherever they must not be."""

from __future__ import annotations

import base64
import re
import secrets as random
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.text.token_patterns import STARS
from tests.core.lines.test_secrets import SECRETS as TOKENS
from tests.lab.rollouts import BOT, Project, releases_of
from tests.lab.shell import HANG_S
from tests.lab.watcher import Watcher
from tests.views.servers import hook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

CHATTY = """\
import base64, json, os, sys, threading, time, traceback
def secret(name):
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return os.environ[name] if name in os.environ else open(f"{folder}/{name}").read()
values = [secret(name) for name in ("PIN_ENV", "PIN_FILE", "PIN_COMMAND")] + FOREIGN
for value in values:
    print("I log in with", value, json.dumps({"and": value}), flush=True)
    print("or", base64.b64encode(value.encode()).decode(), flush=True)
def complain():
    while True:
        for number, value in enumerate(values):
            try:
                raise RuntimeError(f"login {'abcdefghijkl'[number]} refused: {value}")
            except RuntimeError:
                traceback.print_exc()
        time.sleep(0.4)
if DEFAULT_MODE == "errors":
    threading.Timer(1, complain).start()
DEFAULT_MODE = "good"
"""


@dataclass
class Planted:
    """A project whose bot prints all of its secrets, and everything that botdeploy said of it."""

    project: Project
    values: dict[str, str]
    said: str = ""
    env: dict[str, str] = field(default_factory=dict)

    @property
    def forms(self) -> list[str]:
        """The values, as they are and in base64."""
        values = list(self.values.values())
        return values + [base64.b64encode(value.encode()).decode() for value in values]

    @property
    def words(self) -> list[str]:
        """What must be found nowhere: those, and tokens that only the bot's own code knows."""
        return self.forms + list(TOKENS.values())

    def version(self, name: str, mode: str) -> str:
        """Write a version of the bot that tells everything."""
        place = self.project.version(name, mode)
        (self.project.folder / name / "main.py").write_text(
            f"DEFAULT_MODE = {mode!r}\nVERSION = {name!r}\nFOREIGN = {list(TOKENS.values())!r}\n"
            + CHATTY
            + BOT
        )
        return place

    def type(self, *words: str, code: int | None = 0, env: dict[str, str] | None = None) -> str:
        """Run a command as a person does, and keep what it says; ``--json`` first for a script."""
        given = self.env if env is None else env
        process = self.project.command(*words, env=given)
        out, err = process.communicate(timeout=HANG_S)
        assert code is None or process.returncode == code, f"{words}\n{out}\n{err}"
        self.said += out + err
        return out + err


@pytest.fixture
def planted(lab: Lab, tmp_path: Path) -> Planted:
    """Give a project with a secret from each source, of values that are nowhere else."""
    values = {
        name: f"canary-{name.lower()}-{random.token_hex(6)}"
        for name in ("PIN_ENV", "PIN_FILE", "PIN_COMMAND")
    }
    project = Project(tmp_path, lab)
    place = tmp_path / "sources"
    place.mkdir()
    for name in ("PIN_FILE", "PIN_COMMAND"):
        (place / name).write_text(f"{values[name]}\n")
    project.bot["secrets"] = {
        "PIN_ENV": "env:GIVEN_PIN",
        "PIN_FILE": "file:../sources/PIN_FILE",
        "PIN_COMMAND": "command:cat ../sources/PIN_COMMAND",
    }
    project.bot["build"] = ["sleep 0.2; env >built-with"]
    project.write()
    (tmp_path / "tmp").mkdir()
    env = {
        "GIVEN_PIN": values["PIN_ENV"],
        "BOTDEPLOY_OWNER": "the controller of the secrets test",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    made = Planted(project, values, env=env)
    made.version("v1", "good")
    return made


def owners(planted: Planted) -> dict[str, int]:
    """Give the number of the bot's user on each host."""
    return {
        name: int(planted.project.lab[name].root("id -u tbot").stdout)
        for name in planted.project.hosts
    }


def search(planted: Planted) -> list[str]:
    """List the files of the project's folder, but for the bot's sources, that hold a secret."""
    return [
        f"{path}: {word}"
        for path in planted.project.folder.rglob("*")
        if path.is_file() and path.parent.name not in {"sources", "v1", "v2", "v3", "v4"}
        for word in planted.words
        if word.encode() in path.read_bytes()
    ]


def readable(planted: Planted, name: str, user: str) -> str:
    """Search a host for the bot's secrets with the eyes of a user without rights."""
    host = planted.project.lab[name]
    host.root("cat >/run/words; chmod 644 /run/words", stdin="\n".join(planted.forms))
    found = host.root(
        f"runuser -u {user} -- grep -rslF --binary-files=text -D skip -f /run/words"
        " / --exclude-dir=proc --exclude-dir=sys --exclude=words",
        check=False,
        timeout=120,
    ).stdout
    host.root("rm /run/words")
    return found


def test_no_secret_is_anywhere_but_where_it_belongs(planted: Planted) -> None:
    """Not in what is said, told, kept or shown, nor in any process list, in a life of commands."""
    project = planted.project
    words = [word.encode() for word in planted.words]
    users: set[int] = set()
    mine = planted.env["BOTDEPLOY_OWNER"].encode()

    given = [word for word in words if planted.values["PIN_ENV"].encode() in word]

    def may_know(user: int, environ: bytes, word: bytes) -> bool:
        # The bot, and of GIVEN_PIN who was given it by a person: the controller.
        return (user in users and user != 0) or (mine in environ and word in given)

    with hook() as team, Watcher(words, may_know) as watcher:
        project.write(notify=[team.url()])
        planted.type("plan", "prod")
        # The bot's user is made by the first rollout; until then nobody may know.
        planted.type("setup", "prod")
        users |= set(owners(planted).values())
        planted.type("canary", "prod")
        planted.type("--json", "plan", "prod", "--source", planted.version("v2", "errors"))
        bad = planted.type(
            "--json", "canary", "prod", "--source", str(project.folder / "v2"), code=1
        )
        planted.type("canary", "prod", "--source", planted.version("v3", "good"))
        planted.type("rollback", "prod")
        for words_ in (("status",), ("history",), ("releases",), ("logs", "-n", "2000")):
            planted.type(words_[0], "prod", *words_[1:], env={"BOTDEPLOY_OWNER": mine.decode()})
            planted.type("--json", words_[0], "prod", *words_[1:])
        planted.type("report", "prod", env={"BOTDEPLOY_OWNER": mine.decode()})
    assert "refused: " + STARS in bad  # it did come to what is hidden
    assert f"I log in with {STARS}" in planted.said
    page = (project.folder / "botdeploy-report-prod.html").read_text("utf-8")
    everything = planted.said + page + team.bodies
    assert [word for word in planted.words if word in everything] == []
    assert search(planted) == []
    assert watcher.found == set()
    assert any(b"runuser" in line or b"systemd-run" in line for line in watcher.seen)
    print(  # noqa: T201
        f"{len(watcher.gaps_s)} looks, half of them within"
        f" {statistics.median(watcher.gaps_s) * 1000:.1f} ms, {len(watcher.seen)} command lines"
    )
    for name in project.hosts:
        for user in ("plain", "nobody"):
            assert readable(planted, name, user) == ""
        shown = (
            project.lab[name].ssh("systemctl show tbot; systemctl cat tbot", user="plain").stdout
        )
        assert [word for word in planted.words if word in shown] == []
        assert "GIVEN" not in project.lab[name].root("cat /opt/tbot/current/built-with").stdout


def test_cron_hides_what_only_the_hosts_know(planted: Planted) -> None:
    """With none here, and others in the release before: reasons and evidence hide both."""
    project = planted.project
    canary = {"name": "canary", "hosts": 1, "soak": "5s", "settle": "1s"}
    fleet = {"name": "fleet", "hosts": "all", "settle": "1s"}
    project.write(rings=[canary, fleet])
    planted.type("canary", "prod")
    old = dict(planted.values)
    for name in planted.values:
        planted.values[name] = f"rotated-{name.lower()}-{random.token_hex(6)}"
    for name in ("PIN_FILE", "PIN_COMMAND"):
        (project.folder / "sources" / name).write_text(planted.values[name])
    planted.env["GIVEN_PIN"] = planted.values["PIN_ENV"]
    project.write(rings=[{**canary, "soak": "12s"}, fleet], attended_soak="1s")
    new = releases_of(project.canary("--source", planted.version("v2", "errors"), env=planted.env))
    for name in ("PIN_FILE", "PIN_COMMAND"):
        (project.folder / "sources" / name).unlink()
    deadline = time.monotonic() + HANG_S
    told = ""
    while "refused" not in told:
        assert time.monotonic() < deadline, planted.said
        told = planted.type("--json", "promote", "prod", code=None, env={})
        time.sleep(1)
    assert STARS in told
    host = project.lab["h1"]
    kept = host.root("cat /var/lib/botdeploy/tbot/evidence/* /var/lib/botdeploy/tbot/audit.jsonl")
    assert new in kept.stdout
    assert STARS in kept.stdout
    planted.type("logs", "prod", "-n", "2000", env={})
    assert f"I log in with {STARS}" in planted.said
    everything = planted.said + kept.stdout
    words = [*planted.words, *old.values()]
    assert [word for word in words if word in everything] == []


def test_a_fault_of_our_own_tells_no_secret(planted: Planted) -> None:
    """A bug whose message holds one ends with 3, and a report that can be pasted."""
    project = planted.project
    bug = project.folder / "bug"
    bug.mkdir()
    (bug / "sitecustomize.py").write_text(
        "from botdeploy.hosts.acts.release import ReleaseActs\n"
        "def stage(self, *_, **__):\n"
        f"    raise RuntimeError({' '.join(planted.values.values())!r})\n"
        "ReleaseActs.stage = stage\n"
    )
    path = f"{bug}:{project.path}"
    said = planted.type("canary", "prod", code=3, env={**planted.env, "PYTHONPATH": path})
    reports = list(project.folder.glob("botdeploy-fault-*.txt"))
    assert len(reports) == 1
    text = reports[0].read_text("utf-8")
    assert f"RuntimeError: {STARS} {STARS} {STARS}" in text
    assert [word for word in planted.words if word in said + text] == []


def test_credentials_come_as_files_and_go_back_with_the_release(planted: Planted) -> None:
    """The bot reads each from its folder; the old values return with the old release."""
    project = planted.project
    project.bot["secrets_by"] = "credential"
    project.write()
    first = releases_of(project.canary(env=planted.env))
    old = dict(planted.values)
    assert printed(project, "h2", first) == set(old.values())
    for name in ("PIN_FILE", "PIN_COMMAND"):
        planted.values[name] = f"rotated-{name.lower()}-{random.token_hex(6)}"
        (project.folder / "sources" / name).write_text(planted.values[name])
    second = releases_of(project.canary(env=planted.env))
    assert second != first
    assert printed(project, "h2", second) == set(planted.values.values())
    for name in project.hosts:
        host = project.lab[name]
        pid = host.root("systemctl show -P MainPID tbot.service").stdout.strip()
        environ = host.root(f"tr '\\0' '\\n' </proc/{pid}/environ").stdout
        assert re.search("^CREDENTIALS_DIRECTORY=", environ, re.MULTILINE)
        assert "PIN_" not in environ
        for value in planted.values.values():
            assert value not in environ
        assert readable(planted, name, "plain") == ""
        listed = host.root("find /run/credentials/tbot.service -type f -printf '%m %f\\n'").stdout
        assert sorted(listed.split()) == sorted(["400"] * 3 + list(planted.values))
    assert project.run("rollback", "prod").code == 0
    assert project.running() == [first] * len(project.hosts)
    for name in project.hosts:
        listed = project.lab[name].root("cat /run/credentials/tbot.service/*").stdout
        assert all(value in listed for value in old.values())


def printed(project: Project, name: str, release: str) -> set[str]:
    """Give the values that the running release has printed."""
    lines = project.lab[name].root(
        "run=$(systemctl show -P InvocationID tbot);"
        " journalctl -q -u tbot -o cat _SYSTEMD_INVOCATION_ID=$run"
    )
    assert project.status()[name]["running"] == release
    found = set(re.findall(r"I log in with ((?:canary|rotated)-\S+)", lines.stdout))
    assert found
    return found


def test_the_watcher_finds_what_is_planted() -> None:
    """A word on a command line or in an environment is seen while the process lives."""
    with Watcher([b"planted-where"], lambda _user, _environ, _word: False) as watcher:
        subprocess.run(["/bin/sh", "-c", "sleep 0.5; : planted-where"], check=True)
        subprocess.run(["/bin/sleep", "0.5"], check=True, env={"WORD": "planted-where"})
    assert len(watcher.found) == 2
    with Watcher([b"planted-where"], lambda _user, _environ, _word: True) as watcher:
        subprocess.run(["/bin/sleep", "0.5"], check=True, env={"WORD": "planted-where"})
    assert watcher.found == set()
