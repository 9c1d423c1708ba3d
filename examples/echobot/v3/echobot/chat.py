"""Where messages come from: a line protocol on loopback, and a small crowd that always talks."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Callable

USERS = ("ada", "grace", "linus", "edsger", "barbara")
SAYINGS = (
    "good morning",
    "is the build green?",
    "remind 3 to look at the oven",
    "who broke the tests?",
    "speak de",
    "speak en",
    "that was a long day",
    "remind 7 to go home",
)
Receive = Callable[[str, str], int]


async def crowd(receive: Receive, rate: float) -> None:
    """Let the crowd say about ``rate`` messages a second, each in turn, for ever."""
    for user in itertools.cycle(USERS):
        await asyncio.sleep(random.uniform(0.5, 1.5) / rate)
        receive(user, random.choice(SAYINGS))


async def listen(receive: Receive, port: int) -> asyncio.AbstractServer:
    """Take ``USER TEXT`` lines on a loopback port; each is answered with its job's number."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).decode(errors="replace").strip():
            user, _, text = line.partition(" ")
            writer.write(f"{receive(user, text)}\n".encode())
            await writer.drain()
        writer.close()

    return await asyncio.start_server(talk, "127.0.0.1", port)
