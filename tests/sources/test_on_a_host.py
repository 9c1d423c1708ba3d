"""A build on a real host: systemd reads what was written, and a bot can live in the unit."""

from __future__ import annotations

import io
import json
import os
import shlex
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot, SecretsBy
from botdeploy.core.model.inventory import Host, Inventory
from botdeploy.core.model.policy import Policy
from botdeploy.sources.build import Build, build
from botdeploy.sources.host_trees import HostTrees
from botdeploy.sources.read import read
from botdeploy.sources.systemd_quoting import quote_environment, quote_word

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.host import Host as LabHost
    from tests.lab.lab import Lab

HARD = {
    "PLAIN": "info",
    "EMPTY": "",
    "BLANKS": "  x  ",
    "QUOTES": "it's \"so\" `x` '' \"",
    "BACKSLASHES": "\\ \\\\ \\n \\\" \\' \\$ end\\",
    "DOLLARS": "$HOME ${HOME} $$ $(id) %n %% %h",
    "COMMENT": "#not a comment ;nor this",
    "EQUALS": "=a=b=",
    "LINES": "first\nEVIL=1\n\n[Service]\n last \n",
    "TABS": "\t\tx\t",
    "UNICODE": "ünï 日本 🤖 \u00a0 \u2028 \ufffd",
    "JSON": '{"a": "b\\n", "c": [1, "\\u00e9"]}',
    "KEY": "-----BEGIN KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0\n" * 40 + "-----END KEY-----",
    "LONG": "x" * 100_000,
}

#: Says what it sees and can do, once, as JSON; then lives on as a bot does.
PROBE = """
import ctypes, json, os, socket, sqlite3, subprocess, sys, tempfile, threading, time, urllib.request
import asyncio, concurrent.futures, multiprocessing

def tries(what):
    try:
        what()
        return "yes"
    except Exception as error:
        return type(error).__name__

async def loop():
    await asyncio.sleep(0)
    return await asyncio.to_thread(lambda: 1)

def database():
    with sqlite3.connect("/opt/echobot/shared/bot.db") as it:
        it.execute("pragma journal_mode=wal")
        it.execute("create table if not exists t (x)")

def pool():
    with concurrent.futures.ProcessPoolExecutor(1) as it:
        assert it.submit(abs, -1).result() == 1

folder = os.environ.get("CREDENTIALS_DIRECTORY")
seen = {
    "argv": sys.argv[1:],
    "env": dict(os.environ),
    "cwd": os.getcwd(),
    "uid": os.getuid(),
    "credentials": {n: open(f"{folder}/{n}").read() for n in os.listdir(folder)} if folder else {},
    "can": {
        "thread": tries(lambda: threading.Thread(target=int).start()),
        "asyncio": tries(lambda: asyncio.run(loop())),
        "sqlite": tries(database),
        "subprocess": tries(lambda: subprocess.run(["true"], check=True)),
        "processes": tries(pool),
        "ctypes": tries(lambda: ctypes.CFUNCTYPE(ctypes.c_int)(int)),
        "tcp": tries(lambda: socket.create_server(("127.0.0.1", 0))),
        "interfaces": tries(socket.if_nameindex),
        "temporary": tries(lambda: tempfile.NamedTemporaryFile()),
        "memory": tries(lambda: open("/proc/meminfo").read()),
    },
    "cannot": {
        "write the release": tries(lambda: open("evil", "w")),
        "read the environment file": tries(lambda: open(".botdeploy/environment")),
        "see homes": tries(lambda: os.listdir("/root")),
        "write /etc": tries(lambda: open("/etc/evil", "w")),
        "make a namespace": tries(lambda: subprocess.run(["unshare", "-U", "true"], check=True)),
    },
}
def main():
    with open("/opt/echobot/shared/seen.new", "w") as file:
        json.dump(seen, file)
    os.rename("/opt/echobot/shared/seen.new", "/opt/echobot/shared/seen")
    time.sleep(3600)
if __name__ == "__main__":
    main()
"""


def put(host: LabHost, packed: bytes, folder: str) -> None:
    """Unpack a package on a host as its program does."""
    host.root(f"mkdir -p {folder} && tar -xz -f - -C {folder} --no-same-owner -p", stdin=packed)


def install(host: LabHost, made: Build, of: Host) -> None:
    """Put a build on a host by hand, without the programs that do it in earnest."""
    place = f"/opt/echobot/releases/{made.release.id}"
    host.root(
        "id -u echobot >/dev/null 2>&1 || useradd --system --no-create-home echobot; "
        "install -d -o echobot -m 0750 /opt/echobot/shared"
    )
    put(host, made.delta(of, None), place)
    put(host, made.meta(of), f"{place}/.botdeploy")
    host.root(
        f"ln -sfn {place} /opt/echobot/current; ln -sfn /opt/echobot/current/.botdeploy/"
        "echobot.service /etc/systemd/system/echobot.service; "
        "systemctl daemon-reload"
    )


def run(host: LabHost, made: Build, of: Host) -> dict[str, Any]:
    """Start the probe as the real unit does and give what it saw."""
    install(host, made, of)
    result = host.root(
        "systemctl start echobot && for _ in $(seq 100); do "
        "[ -e /opt/echobot/shared/seen ] && break; sleep 0.05; done; "
        "cat /opt/echobot/shared/seen || journalctl -u echobot -n 30 >&2",
        check=False,
    )
    assert result.stdout, result.stderr
    seen: dict[str, Any] = json.loads(result.stdout)
    return seen


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a bot that tells what it sees."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/probe.py").write_text(PROBE)
    return tmp_path / "src"


BOT = Bot(
    name="echobot",
    command="python3 probe.py",
    source="/x",
    env=HARD,
    secrets={"TOKEN": "env:TOKEN"},
    shared=("data",),
)


def build_of(bot: Bot, source: Path, token: str) -> tuple[Build, Host]:
    """Build for one host."""
    host = Host("h1", Address("h1", "h1"), bot)
    inventory = Inventory("lab", "/none/x.yml", (host,), Policy(()))
    made = build(
        inventory,
        HostTrees.same(inventory, read(str(source), os.environ)),
        now=datetime.now(UTC),
        who="t",
        environ={"TOKEN": token},
    )
    return made, host


def test_a_bot_sees_its_arguments_and_environment_unchanged(lab: Lab, source: Path) -> None:
    """Whatever stands in a value, systemd gives the process exactly that, and a bot can work."""
    arguments = [
        "",
        "a b",
        "$HOME",
        "${PLAIN}",
        "$$",
        "%n",
        "%%",
        ";",
        "'\"`\\",
        "\\x41",
        "ü 🤖",
        "#",
    ]
    bot = replace(BOT, command=shlex.join(["python3", "probe.py", *arguments]))
    made, host = build_of(bot, source, "it's a $ecret \\")
    seen = run(lab["h1"], made, host)
    assert seen["argv"] == arguments
    wanted = {**HARD, "TOKEN": "it's a $ecret \\", "BOTDEPLOY_RELEASE": made.release.id}
    assert {name: seen["env"].get(name) for name in wanted} == wanted
    assert "EVIL" not in seen["env"]
    assert seen["cwd"] == f"/opt/echobot/releases/{made.release.id}"
    assert seen["uid"] != 0
    assert set(seen["can"].values()) == {"yes"}, seen["can"]
    assert "yes" not in seen["cannot"].values(), seen["cannot"]


def test_a_bot_reads_its_secrets_as_credentials(lab: Lab, source: Path) -> None:
    """With secrets_by: credential the value is in a file, exact, and in no environment."""
    token = HARD["KEY"] + "\n \\ ' \""
    bot = replace(BOT, env={}, secrets_by=SecretsBy.CREDENTIAL)
    made, host = build_of(bot, source, token)
    seen = run(lab["h1"], made, host)
    assert seen["credentials"] == {"TOKEN": token}
    assert token not in seen["env"].values()
    exposed = lab["h1"].root("systemd-analyze security --no-pager echobot | tail -n 1").stdout
    level = float(exposed.rsplit(": ", 1)[1].split()[0])
    assert level <= 2.5


def test_what_is_packed_is_what_the_host_s_tools_find(lab: Lab, source: Path) -> None:
    """The host's find and sha256sum agree with the manifest that came along."""
    (source / "empty").mkdir()
    (source / "a b").mkdir()
    (source / "a b/ünï").write_text("x")
    (source / "-rf").write_text("x")
    (source / "link").symlink_to("a b/ünï")
    made, host = build_of(BOT, source, "t")
    install(lab["h1"], made, host)
    place = f"/opt/echobot/releases/{made.release.id}"
    checked = lab["h1"].root(
        f"cd {place} && mv .botdeploy /tmp/meta && sha256sum -c --quiet --strict /tmp/meta/sums && "
        "find . -mindepth 1 -printf '%y %m %P %l\\n' | LC_ALL=C sort | cmp - /tmp/meta/tree && "
        "stat -c '%a %U' /tmp/meta/environment /tmp/meta/sums"
    )
    assert checked.stdout == "600 root\n644 root\n"


def test_systemd_itself_reads_any_value(lab: Lab) -> None:
    """A thousand values made of nothing but what is special come through one by one."""
    special = "'\"\\`$ #;=\n\t%{}é"
    values = [
        "".join(special[(n >> shift * 4) % len(special)] for shift in range(4))
        for n in range(0, 65536, 64)
    ]
    text = "".join(f"V{n}={quote_environment(value)}\n" for n, value in enumerate(values))
    words = [value.replace("\n", "") for value in values[:200]]
    unit = (
        "[Service]\nType=oneshot\nEnvironmentFile=/tmp/values\n"
        "ExecStart=/usr/bin/python3 /tmp/tell.py "
        + " ".join(quote_word(word) for word in words)
        + "\n"
    )
    tell = (
        "import json, os, sys\n"
        "json.dump([sys.argv[1:], dict(os.environ)], open('/tmp/told', 'w'))\n"
    )
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in (
            ("tmp/values", text),
            ("tmp/tell.py", tell),
            ("etc/systemd/system/tell.service", unit),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content.encode())
            tar.addfile(info, io.BytesIO(content.encode()))
    put(lab["h1"], out.getvalue(), "/")
    told = lab["h1"].root("systemctl daemon-reload; systemctl start tell && cat /tmp/told").stdout
    argv, env = json.loads(told)
    assert argv == words
    assert {n: env.get(f"V{n}") for n in range(len(values))} == dict(enumerate(values))
