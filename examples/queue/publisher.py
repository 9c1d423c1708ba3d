"""Publish numbered jobs steadily: `python publisher.py AMQP_URL PER_SECOND FILE`.

A number stands in FILE as soon as RabbitMQ has confirmed that it keeps the job.
"""

import signal
import sys
import threading
import time

import pika


def main(url: str, per_second: float, file: str) -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())  # between two jobs, not within one
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.queue_declare("jobs", durable=True)
    channel.confirm_delivery()
    keep = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    began, number = time.monotonic(), 0
    with open(file, "a", buffering=1) as published:
        while not stopping.is_set():
            number += 1
            channel.basic_publish("", "jobs", str(number).encode(), keep)
            published.write(f"{number}\n")
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))


main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
