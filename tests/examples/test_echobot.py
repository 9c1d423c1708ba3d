"""The example bot: it must be a real bot, and version 3 must fail only after a while."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.programs

ECHOBOT = Path(__file__).parents[2] / "examples" / "echobot"
VERSIONS = ("v1", "v2", "v3")
PATIENCE_SECONDS = 30


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each version in turn."""
    return str(request.param)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Any]]:
    """Import a module of a version; its package is forgotten afterwards."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "echobot"]:
            del sys.modules[name]

    def load_module(version: str, name: str) -> Any:
        forget()
        with monkeypatch.context() as context:
            context.syspath_prepend(str(ECHOBOT / version))
            return importlib.import_module(name)

    yield load_module
    forget()


@contextlib.contextmanager
def running(version: str, data: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run a version as its unit would, and see to it that it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "echobot"],
        cwd=ECHOBOT / version,
        env={**os.environ, "DATA_DIR": str(data), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = threading.Timer(PATIENCE_SECONDS, process.kill)
    deadline.start()
    try:
        yield process
    finally:
        deadline.cancel()
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def lines_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    """Read lines up to the first that holds ``wanted``; fails where the output ends before."""
    seen: list[str] = []
    assert process.stdout
    for line in process.stdout:
        seen.append(line.rstrip("\n"))
        if wanted in line:
            return seen
    pytest.fail(f"no {wanted!r} in: {seen}")


def lives(data: Path) -> list[dict[str, Any]]:
    """Read the entries of ``lives.log``."""
    return [json.loads(line) for line in (data / "lives.log").read_text().splitlines()]


def test_versions_differ_only_in_number_and_replies() -> None:
    """What one version has beyond another is a real small change, not a copy gone astray."""
    digests = {
        version: {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (ECHOBOT / version / "echobot").glob("*.py")
        }
        for version in VERSIONS
    }
    for other in ("v2", "v3"):
        differing = {
            name
            for name in digests["v1"].keys() | digests[other].keys()
            if digests["v1"].get(name) != digests[other].get(name)
        }
        assert differing == {"__init__.py", "replies.py"}


def test_ready_then_answers_then_ends_clean(version: str, tmp_path: Path) -> None:
    """A version says READY, answers in JSON lines with latency, and ends with 0 on SIGTERM."""
    with running(version, tmp_path, RATE="100", CACHE_SECONDS="0") as bot:
        lines_until(bot, f"READY echobot {version[1:]}")
        reply = json.loads(lines_until(bot, '"replied"')[-1])
        assert reply["level"] == "info"
        assert reply["latency_ms"] > 0
        assert any(line.startswith("queue: ") for line in lines_until(bot, "queue: "))
        bot.send_signal(signal.SIGTERM)
        assert json.loads(lines_until(bot, '"stopped"')[-1])["version"] == version[1:]
        assert bot.wait() == 0
    assert [entry["event"] for entry in lives(tmp_path)] == ["start", "end"]


def test_silent_bot_says_only_what_it_must(tmp_path: Path) -> None:
    """With no crowd and no port a bot is ready and quiet."""
    with running("v1", tmp_path, RATE="0") as bot:
        before = lines_until(bot, "READY")
        bot.send_signal(signal.SIGTERM)
        after = lines_until(bot, '"stopped"')
    assert len(before) + len(after) == 3


def test_second_copy_is_refused_and_recorded(tmp_path: Path) -> None:
    """While one copy lives a second one ends with 75 and leaves a ``clash``."""
    with running("v1", tmp_path, RATE="0") as first:
        lines_until(first, "READY")
        with running("v2", tmp_path, RATE="0") as second:
            lines_until(second, "CRITICAL another copy")
            assert second.wait() == 75
    assert [entry["event"] for entry in lives(tmp_path)] == ["start", "clash"]


def test_killed_copy_does_not_block_the_next(tmp_path: Path) -> None:
    """After SIGKILL the lock is free at once, and the log shows a life without an end."""
    with running("v1", tmp_path, RATE="0") as first:
        lines_until(first, "READY")
        first.kill()
        first.wait()
        with running("v2", tmp_path, RATE="0") as second:
            lines_until(second, "READY")
    assert [entry["event"] for entry in lives(tmp_path)] == ["start", "start"]


def test_version_3_fails_only_after_a_while(tmp_path: Path) -> None:
    """Version 3 answers at first, then prints tracebacks and error lines, and lives on."""
    with running("v3", tmp_path, RATE="200", CACHE_SECONDS="0.1") as bot:
        seen = lines_until(bot, '"job_failed"')
        assert sum('"replied"' in line for line in seen) >= 5
        assert "Traceback (most recent call last):" in seen
        assert any(line.startswith("KeyError: ") for line in seen)
        failure = json.loads(seen[-1])
        assert (failure["level"], failure["error"]) == ("error", "KeyError")
        assert bot.poll() is None


def test_version_3_answers_while_its_cache_is_fresh(
    load: Callable[[str, str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The KeyError comes when a user speaks again after ``CACHE_SECONDS``, not before."""
    store = load("v3", "echobot.store").Store(tmp_path / "queue.sqlite")
    replies = importlib.import_module("echobot.replies")
    now = 100.0
    monkeypatch.setattr(replies.time, "monotonic", lambda: now)
    answers = replies.Replies(store)
    assert answers.answer("ada", "hi") == "hello ada, you said: hi"
    now = 100.0 + replies.CACHE_SECONDS
    assert answers.answer("ada", "hi") == "hello ada, you said: hi"
    now += 0.1
    with pytest.raises(KeyError, match="ada"):
        answers.answer("ada", "hi")
    store.close()


def test_what_version_3_failed_is_answered_by_version_2(
    load: Callable[[str, str], Any], tmp_path: Path
) -> None:
    """The queue outlives the release: a failed job waits for the one that comes back."""
    store = load("v3", "echobot.store").Store(tmp_path / "queue.sqlite")
    store.add("ada", "hi")
    job = store.next_due()
    assert not store.failed(job)
    store.close()

    store = load("v2", "echobot.store").Store(tmp_path / "queue.sqlite")
    assert store.counts() == {"waiting": 1}
    assert store.next_due() is None, "the delay after a failure is kept too"
    store.done(job)
    assert store.counts() == {"done": 1}
    store.close()


def test_job_that_always_fails_is_given_up(load: Callable[[str, str], Any], tmp_path: Path) -> None:
    """After eight tries a job is dead and no longer due."""
    module = load("v1", "echobot.store")
    store = module.Store(tmp_path / "queue.sqlite")
    store.add("ada", "hi")
    job = store.next_due()
    outcomes = [store.failed(job._replace(attempts=tried)) for tried in range(module.MAX_ATTEMPTS)]
    assert outcomes == [False] * 7 + [True]
    assert store.counts() == {"dead": 1}
    store.close()


def test_reminder_is_due_later(
    load: Callable[[str, str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``remind 3 TEXT`` queues a message that is due three seconds later."""
    module = load("v1", "echobot.store")
    now = 1000.0
    monkeypatch.setattr(module.time, "time", lambda: now)
    store = module.Store(tmp_path / "queue.sqlite")
    replies = importlib.import_module("echobot.replies").Replies(store)
    assert replies.answer("ada", "remind 3 to stretch") == "I will remind you in 3 s"
    now = 1002.9
    assert store.next_due() is None
    now = 1003.0
    assert store.next_due().text == "reminder: to stretch"
    store.close()


def test_language_is_remembered_by_version_2(
    load: Callable[[str, str], Any], tmp_path: Path
) -> None:
    """Version 2 greets in the language that its user chose."""
    store = load("v2", "echobot.store").Store(tmp_path / "queue.sqlite")
    replies = importlib.import_module("echobot.replies").Replies(store)
    replies.answer("ada", "speak de")
    assert replies.answer("ada", "hi") == "hallo ada, you said: hi"
    assert replies.answer("grace", "hi") == "hello grace, you said: hi"
    store.close()
