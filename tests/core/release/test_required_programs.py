"""What a release needs of a host is told from its command and its build, and nothing is guessed."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.model.bot import Bot, Probe, ProbeKind, Readiness, ReadyKind
from botdeploy.core.release.required_programs import (
    build_item,
    build_needs,
    command_item,
    encoded,
    programs_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BUILDS: dict[str, tuple[list[str], list[tuple[str, str]]]] = {
    "python3 -m venv .venv": (["python3"], [("python3", "venv")]),
    ".venv/bin/pip install -r requirements.txt": ([], []),
    "pip install uv && uv sync": (["pip"], []),
    "npm ci && npm run build": (["npm"], []),
    "A=1 B=2 make -j2 all | tee log": (["make", "tee"], []),
    "if [ -f x ]; then cargo build; else go build; fi": (["cargo", "go"], []),
    "/usr/bin/python3.11 -m build": (["/usr/bin/python3.11"], [("/usr/bin/python3.11", "build")]),
    "pip install build\npython3 -m build": (["pip", "python3"], []),
    "curl -fsS https://x/y | sh": (["curl", "sh"], []),
    "export PATH=$HOME/bin:$PATH\nmine": ([], []),
    "PATH=/x:$PATH\nmine": ([], []),
    ". ./env\nmine": ([], []),
    "for x in a b; do mine $x; done": ([], []),
    "$TOOL x; ${TOOL} y; `tool` z": ([], []),
    "say() { echo x; }\nsay": ([], []),
    "cat >x <<EOF\nmine\nEOF": ([], []),
    "echo 'two\nlines'; mine": ([], []),
    "# only words\ntrue # mine": (["true"], []),
    "! grep x y || exit 1": (["grep", "exit"], []),
    "": ([], []),
}


@pytest.mark.parametrize(("build", "meant"), BUILDS.items())
def test_the_programs_of_a_build(
    build: str, meant: tuple[list[str], list[tuple[str, str]]]
) -> None:
    """The first words of its commands, but for what it makes, installs or hides from a reader."""
    assert build_needs([build]) == meant


@given(st.lists(st.text(st.sampled_from("abPATH=/.-_ $;|&(){}<>'\"\\#!\n") | st.characters())))
def test_any_build_can_be_read(build: list[str]) -> None:
    """Nothing but plain words comes out of it, whatever it holds."""
    names, modules = build_needs(build)
    for name in (*names, *(one for pair in modules for one in pair)):
        assert name
        assert not set(name) - set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+@-"
        )


def bot(command: str, **more: object) -> Bot:
    """Make a bot of a command."""
    return Bot("tbot", command, "../bot", **more)  # type: ignore[arg-type]


def reader(**files: bytes) -> Callable[[str], bytes]:
    """Read files by name."""
    return files.__getitem__


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("python3 -u bot.py", ["python3"]),
        ("/usr/bin/node main.js", ["/usr/bin/node"]),
        ("./run", ["bash"]),
        ("run/.././run", []),
        ("LANG=C ./plain", []),
        ("./gone", []),
        ("'odd name' x", []),
        ("'", []),
    ],
)
def test_the_programs_of_a_command(command: str, meant: list[str]) -> None:
    """What is on the host, or runs a script of the source."""
    read = reader(run=b"#!/usr/bin/env bash\nexit\n", plain=b"\x7fELF")
    assert programs_of(bot(command), read) == meant


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("python3 -u bot.py", ""),
        ("python3 -u gone.py", "the source holds no gone.py"),
        ("python3 -m gone", ""),
        ("python3 -X dev gone.py", ""),
        ("node src/./index.js", "the source holds no src/index.js"),
        ("./run", ""),
        ("./bot.py", "bot.py, which the command runs, is not executable"),
        ("bin/gone", "the source holds no bin/gone"),
        ("/usr/bin/python3 data/bot.py", ""),
        ("bash -c 'exec x.y'", ""),
    ],
)
def test_what_the_source_lacks(command: str, told: str) -> None:
    """A file that the command names and nothing makes."""
    files = {"bot.py": 0o644, "run": 0o755}
    item = command_item(bot(command, shared=("data",)), files)
    assert (item["message"] if item else "").startswith(told)
    assert bool(item) == bool(told)
    assert command_item(bot(command, build=("make",)), files) is None


@pytest.mark.parametrize(
    ("build", "told"),
    [
        ("./gone.sh", "the source holds no gone.sh"),
        ("sh gone.sh && ./other", "the source holds no gone.sh"),
        ("./bot.py", "bot.py, which the build runs, is not executable"),
        ("./run; ./gone", ""),
        ("make && ./gone", ""),
        ("pip install -r gone.txt", ""),
        ("$X/gone", ""),
        ("../gone", ""),
        ("", ""),
    ],
)
def test_what_the_build_s_first_command_lacks(build: str, told: str) -> None:
    """What comes later may have been made by what came before."""
    item = build_item(bot("x", build=(build,)), {"bot.py": 0o644, "run": 0o755})
    assert (item["message"] if item else "").startswith(told)
    assert bool(item) == bool(told)


def test_a_script_of_the_build_wants_what_runs_it() -> None:
    """The first line of a file of the source tells it; without a source nothing does."""
    read = reader(**{"run": b"#!/usr/bin/env -S ruby -w\n", "x/y": b"#! /usr/bin/perl\n"})
    assert build_needs(["./run && x/y"], read) == (["ruby", "/usr/bin/perl"], [])
    assert build_needs(["./run && x/y"]) == ([], [])
    assert build_needs(["python3 -m venv --without-pip .venv"]) == (["python3"], [])


def test_what_is_sent_of_it() -> None:
    """Readiness, programs, build and the unit, as the host's program reads them."""
    made = bot(
        "python3 bot.py",
        build=("python3 -m venv .venv",),
        ready=Readiness(ReadyKind.PORT, "80"),
        probe=Probe(ProbeKind.HTTP, "http://localhost/"),
    )
    assert base64.b64decode(encoded(made, "[Unit]\n\n[Service]\n", None)).decode() == (
        "ready=port\nready=http\nprogram=python3\nbuild=python3\nmodule=python3 venv\n"
        "\n[Unit]\n\n[Service]\n"
    )
