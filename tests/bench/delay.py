"""A relay that makes hosts far away: every byte waits on its way, in both directions.

    python -m tests.bench.delay RTT_MS LISTEN_PORT=ADDRESS:PORT ...

The kernel of a container has no netem. What one end sends arrives half a round trip later, at
whatever rate it was sent, and a connection is there after a whole one. Only the handshake of TCP
itself is shorter than it would be.
"""

from __future__ import annotations

import asyncio
import sys

_CHUNK = 256 * 1024


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float
) -> None:
    """Give what comes from one end to the other, each piece ``delay_s`` after it came."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()

    sending = asyncio.ensure_future(send())
    try:
        while piece := await reader.read(_CHUNK):
            pieces.put_nowait((loop.time() + delay_s, piece))
        pieces.put_nowait((loop.time() + delay_s, b""))
        await sending
    except OSError:
        sending.cancel()
        writer.close()


async def _serve(port: int, address: str, to: int, rtt_s: float) -> asyncio.Server:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(rtt_s)
        far_reader, far_writer = await asyncio.open_connection(address, to)
        try:
            await asyncio.gather(
                _carry(reader, far_writer, rtt_s / 2), _carry(far_reader, writer, rtt_s / 2)
            )
        finally:
            far_writer.close()
            writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", port)


async def _main(rtt_ms: float, ways: list[str]) -> None:
    for way in ways:
        port, _, place = way.partition("=")
        address, _, to = place.rpartition(":")
        await _serve(int(port), address, int(to), rtt_ms / 1000)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(float(sys.argv[1]), sys.argv[2:]))
