"""The bot at work: take messages, answer what is due, stop when told to.

Read from the environment: ``RATE`` messages a second from the crowd (0: none), ``PORT`` of the
line protocol on loopback (0: none), ``DATA_DIR`` for the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time

from echobot import __version__, chat, life, lines
from echobot.replies import Replies
from echobot.store import Job, Store

IDLE_SECONDS = 0.05


def say_ready() -> None:
    """Tell people by the line READY, and systemd where it asked to be told."""
    lines.plain(f"READY echobot {__version__}")
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        if address.startswith("@"):
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", address)


def handle(job: Job, store: Store, replies: Replies) -> None:
    """Answer one job; an error is printed and the job tried again later."""
    began = time.monotonic()
    try:
        reply = replies.answer(job.user, job.text)
    except Exception as error:  # one bad message must not take the bot down
        given_up = store.failed(job)
        lines.exception(error)
        lines.event(
            "error",
            "job_failed",
            job=job.id,
            user=job.user,
            error=type(error).__name__,
            attempt=job.attempts + 1,
            given_up=given_up,
        )
        return
    store.done(job)
    latency = round((time.monotonic() - began) * 1000, 2)
    waited = round(max(0.0, time.time() - job.due) * 1000, 2)
    lines.event(
        "info",
        "replied",
        job=job.id,
        user=job.user,
        reply=reply,
        latency_ms=latency,
        waited_ms=waited,
    )


async def work(store: Store, stop: asyncio.Event) -> None:
    """Answer what is due, oldest first, until told to stop."""
    replies = Replies(store)
    handled = 0
    while not stop.is_set():
        job = store.next_due()
        if job is None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), IDLE_SECONDS)
            continue
        handle(job, store, replies)
        handled += 1
        if handled % 10 == 0:
            counts = store.counts()
            lines.plain(f"queue: {counts.get('waiting', 0)} waiting, {handled} handled so far")
        await asyncio.sleep(0)


async def live() -> None:
    """Run from the first message to the last."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = Store(life.DATA / "queue.sqlite")
    rate = float(os.environ.get("RATE", "1.5"))
    port = int(os.environ.get("PORT", "0"))
    talkers = [asyncio.ensure_future(chat.crowd(store.add, rate))] if rate > 0 else []
    server = await chat.listen(store.add, port) if port else None
    lines.event("info", "started", version=__version__, waiting=store.counts().get("waiting", 0))
    say_ready()
    try:
        await work(store, stop)
    finally:
        for talker in talkers:
            talker.cancel()
        if server is not None:
            server.close()
        counts = store.counts()
        store.close()
        lines.event("info", "stopped", version=__version__, waiting=counts.get("waiting", 0))


def main() -> None:
    """Run until SIGTERM or SIGINT; what waits in the queue is kept for the next life."""
    asyncio.run(live())
