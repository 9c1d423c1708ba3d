"""The example `segments`: one Telegram bot, chats that get what is new, and never two pollers."""

from __future__ import annotations

import shutil
import threading
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from tests.examples.playing import IS_LONG, Example, long
from tests.examples.telegram import CHATS, Telegram
from tests.examples.wheels import unpacked, wheelhouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.lab import Lab

PACKAGE = "python-telegram-bot==22.8"
FAREWELL_S = long(4, 2)
ROUNDS = long(25, 1)
"""So many rollouts, and as many rollbacks, beside those of the story."""
PATIENCE_S = 60.0


@pytest.fixture
def telegram(lab: Lab) -> Iterator[Telegram]:
    """Give a stand-in for Telegram that the lab's hosts reach."""
    with Telegram(lab.record.network.gateway) as service:
        yield service


@pytest.fixture
def played(lab: Lab, telegram: Telegram, tmp_path: Path) -> Example:
    """Give the example with a bot that goes on for a while after it was told to stop."""
    made = Example(
        tmp_path,
        lab,
        example="segments",
        machines={"192.0.2.30": "h1"},
        secrets={"TELEGRAM_TOKEN": "1:secret"},
    )
    bot = made.original("bot")
    env = {"TELEGRAM_API": telegram.url, "FAREWELL_S": str(FAREWELL_S)}
    if IS_LONG:
        offline = "--quiet --no-index --find-links wheels"
        made.bot = {"build": [one.replace("--quiet", offline) for one in bot["build"]]}
    else:
        # Without a virtual environment of its own, which takes longer than the soak.
        made.bot = {"build": None, "command": "/usr/bin/python3 bot.py"}
        env["PYTHONPATH"] = "lib"
    for place in made.folder.glob("v?"):
        if IS_LONG:
            shutil.copytree(wheelhouse(PACKAGE), place / "wheels")
        else:
            unpacked(PACKAGE, place / "lib")
    made.bot["env"] = env
    soaks(made, long(60, 8))
    return made


def soaks(played: Example, seconds: int) -> None:
    """Let a release soak for so long instead of a day."""
    (ring,) = played.original("rollout")["rings"]
    played.write(rings=[{**ring, "soak": f"{seconds}s", "settle": "0s"}])


def open_for(played: Example, chats: str) -> None:
    """Write the chats into the inventory, as a person does."""
    played.bot["env"]["BETA_CHATS"] = chats
    played.write()


def test_chats_get_what_is_new_by_segments_and_no_poll_meets_another(
    played: Example, telegram: Telegram
) -> None:
    """Each change of the segment is a release; one that breaks for the first chat goes back."""

    def who_has_it() -> set[int]:
        """Tell which chats get what is new: of each the next answer counts."""
        seen = len(telegram.replies)
        played.wait_until(
            lambda: {chat for chat, _ in telegram.replies[seen:]} == set(CHATS),
            "each chat has an answer",
            PATIENCE_S,
        )
        last = dict(telegram.replies[seen:])
        return {chat for chat, text in last.items() if "words:" in text}

    played.type("canary prod")
    assert who_has_it() == set()
    for chats, wanted in (("111", {111}), ("111,222", {111, 222})):
        open_for(played, chats)
        played.type("canary prod --source v2")
        assert who_has_it() == wanted
        played.tell(f"with BETA_CHATS={chats!r} what is new goes to {sorted(wanted)}")
    good = played.running()
    open_for(played, "111")
    played.type("canary prod --source v3", code=1)
    assert played.running() == good
    assert who_has_it() == {111, 222}

    soaks(played, 0)
    for number in range(ROUNDS):
        played.type(f"canary prod --source v2 --set ROUND={number}")
        played.type("rollback prod --keep --yes")
    assert played.running() == good
    played.tell(
        f"{4 + ROUNDS} rollouts and {1 + ROUNDS} returns of a bot that goes on for {FAREWELL_S} s"
        f" after it was told to stop: {telegram.polls} polls, {telegram.conflicts} answered 409"
    )
    assert telegram.conflicts == 0


@pytest.mark.programs
def test_the_stand_in_ends_the_older_of_two_polls() -> None:
    """It would tell of two copies: the count above is no zero that nothing can change."""

    def poll(timeout: int) -> int:
        asked = HTTPConnection("127.0.0.1", service.port, timeout=20)
        asked.request("POST", "/bot1:x/getUpdates", f"offset=999&timeout={timeout}")
        return asked.getresponse().status

    with Telegram("127.0.0.1") as service:
        ended: list[int] = []
        older = threading.Thread(target=lambda: ended.append(poll(15)))
        older.start()
        while not service.polls:
            time.sleep(0.01)
        assert poll(0) == 200
        older.join()
        assert ended == [409]
        assert service.conflicts == 1
