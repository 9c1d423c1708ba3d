"""A worker: takes messages from the queue `jobs`, does the work, then acknowledges."""

import json
import os
import signal
import sys
import time
import traceback

import pika
from work import work

PREFETCH = 4


def main() -> None:
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.queue_declare("jobs", durable=True)
    channel.basic_qos(prefetch_count=PREFETCH)
    done = open("data/done.jsonl", "a", buffering=1)

    def handle(channel, method, properties, body) -> None:
        number, began = int(body), time.monotonic()
        try:
            work(number)
        except Exception:
            traceback.print_exc()
            channel.basic_nack(method.delivery_tag)  # it goes to another worker
            return
        ms = (time.monotonic() - began) * 1000
        row = {"job": number, "ms": round(ms, 1), "redelivered": method.redelivered}
        done.write(json.dumps(row) + "\n")  # the work's own effect
        channel.basic_ack(method.delivery_tag)
        print(f"INFO job {number} done in {ms:.1f} ms", flush=True)

    def stop(*_: object) -> None:
        connection.add_callback_threadsafe(channel.stop_consuming)

    signal.signal(signal.SIGTERM, stop)
    channel.basic_consume("jobs", handle)
    print("READY", flush=True)
    channel.start_consuming()
    connection.close()  # what was fetched and not yet done goes back to the queue


if __name__ == "__main__":
    sys.exit(main())
